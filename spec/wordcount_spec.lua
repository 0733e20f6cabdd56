-- scripts/wordcount.lua, held against an independent count and against tr, sort and uniq.

local files = require "spec.support.files"
local run = require "spec.support.run"

local function wordcount(arguments)
    return run.shell("exec $LUA scripts/wordcount.lua " .. arguments, 120)
end

-- The lines that are due for a text which stands `times` (1) times in a file, by a walk over its
-- characters.
local function expected_of(text, times)
    local counts, word = {}, ""
    for i = 1, #text + 1 do
        local c = text:sub(i, i)
        if c >= "a" and c <= "z" or c >= "A" and c <= "Z" then
            word = word .. c:lower()
        elseif word ~= "" then
            counts[word] = (counts[word] or 0) + 1
            word = ""
        end
    end
    local rows = {}
    for w, n in pairs(counts) do
        rows[#rows + 1] = { w, n }
    end
    table.sort(rows, function(a, b)
        return a[2] > b[2] or a[2] == b[2] and a[1] < b[1]
    end)
    for i, row in ipairs(rows) do
        rows[i] = ("%7d %s\n"):format(row[2] * (times or 1), row[1])
    end
    return table.concat(rows)
end

-- The same by the tools of the system; files are taken one by one.
local pipeline = [[
    for file in FILES; do LC_ALL=C tr -cs A-Za-z '\n' <"$file" | tr A-Z a-z; echo; done |
        grep . | LC_ALL=C sort | uniq -c | LC_ALL=C sort -k1,1nr -k2,2
]]

local function tools(names)
    return run.shell((pipeline:gsub("FILES", names)), 120).out
end

local function same_as_tools(names, arguments)
    local ours = wordcount(names .. " --top 1000000000 " .. (arguments or ""))
    assert.equal("", ours.err)
    assert.is_true(tools(names) == ours.out, "the counts differ from those of sort and uniq")
    assert.equal(0, ours.status)
end

-- Text of 200 bytes with words of all lengths, numbers, bytes over 127, and no newline at its end.
local function sample()
    local text = {}
    local letters = { "a", "B", "c", "Z", "z", " ", "\n", ".", "7", "_", "\xE4", "\0", "'" }
    local state = 12345
    for i = 1, 199 do
        state = (state * 1103515245 + 12345) % 2147483648
        local n = state >> 16
        text[i] = (n % 3 > 0) and letters[n % 5 + 1] or letters[n // 3 % #letters + 1]
    end
    return table.concat(text) .. "a"
end

describe("wordcount", function()
    local folder, file

    before_each(function()
        folder = run.folder()
        file = folder .. "text"
    end)

    after_each(function()
        getmetatable(folder).__close()
    end)

    it("counts a word once wherever the ranges end", function()
        local text = sample()
        assert.equal(200, #text)
        files.write(file, text)
        -- All sizes of a range in one process, which runs the script once for each.
        local result = run.shell(([[
            exec $LUA -e 'for size = 1, 200 do
                arg = { "%s", "--top", "1000", "--workers", "2", "--chunk", size }
                dofile "scripts/wordcount.lua"
                print "."
            end']]):format(file), 120)
        assert.equal("", result.err)
        local expected, size = expected_of(text), 0
        for part in result.out:gmatch "([^.]*)%.\n" do
            size = size + 1
            assert.equal(expected, part, "ranges of " .. size)
        end
        assert.equal(200, size)
    end)

    it("counts as tr, sort and uniq do", function()
        files.write(file, sample())
        same_as_tools(file)
        same_as_tools(file, "--chunk 3")
        same_as_tools(file, "--workers 0")
    end)

    it("counts nothing in an empty file, and in one without letters", function()
        for _, text in ipairs { "", "12 \n\n\xC3\xA4" } do
            files.write(file, text)
            assert.same({ out = "", err = "", status = 0 }, wordcount(file))
            assert.same({ out = "[]\n", err = "", status = 0 }, wordcount(file .. " --json"))
        end
    end)

    it("counts the last word, with a newline behind it and without", function()
        for _, text in ipairs { "one two", "one two\n", "one two\n\n" } do
            files.write(file, text)
            assert.equal("      1 one\n      1 two\n", wordcount(file).out)
        end
    end)

    it("does not join words over the ends of files", function()
        files.write(file, "one tw")
        files.write(folder .. "more", "o three")
        same_as_tools(file .. " " .. folder .. "more")
        same_as_tools(file .. " " .. folder .. "more " .. file, "--chunk 2")
    end)

    it("counts a word that is longer than many ranges, and than a piece, once", function()
        local long = ("AbcdefghIjklmnopqrstuvwxyz"):rep(10000)
        files.write(file, "x " .. long .. " y " .. long)
        assert.equal(("      2 %s\n      1 x\n      1 y\n"):format(long:lower()),
            wordcount(file .. " --chunk 5000").out)
    end)

    it("counts the licences of the system", function()
        same_as_tools("/usr/share/common-licenses/*")
        same_as_tools("/usr/share/common-licenses/*", "--chunk 1000")
    end)

    it("prints as many as it is told, or JSON", function()
        files.write(file, "b a c b c c d")
        assert.equal("      3 c\n      2 b\n", wordcount(file .. " --top 2").out)
        assert.equal("", wordcount(file .. " --top 0").out)
        assert.equal('[["c",3],["b",2],["a",1],["d",1]]\n', wordcount("--json " .. file).out)
    end)

    -- The kernel holds each process to 64 MiB of memory of its own. A sanitizer needs more than
    -- that for itself: then the counts alone are compared, on less.
    local function limited(command)
        return "ulimit -d 65536; exec $LUA " .. command
    end
    local can_limit = run.shell(limited "-e ''").status == 0
    local size = can_limit and 100000000 or 2000000

    local function counted_within_limit()
        local command = "scripts/wordcount.lua --top 1000000 " .. file
        return run.shell(can_limit and limited(command) or "exec $LUA " .. command, 120)
    end

    it("needs little memory for a large file", function()
        local made = run.shell(([[
            cd %s; cat /usr/share/common-licenses/* >some; touch text; n=0
            while [ $(stat -c %%s text) -lt %d ]; do cat some; n=$((n + 1)); done >>text
            echo $n
        ]]):format(folder, size))
        local times = tonumber(made.out)
        local expected = tools(folder .. "some"):gsub(" *(%d+)", function(count)
            return ("%7d"):format(count * times)
        end)
        local result = counted_within_limit()
        assert.equal("", result.err)
        assert.is_true(expected == result.out)
    end)

    it("needs little memory for one long line", function()
        local line = {}
        for i = 1, 1000 do
            line[i] = ("word%s "):format(string.char(97 + i % 26, 97 + i // 26 % 26))
        end
        local text = table.concat(line)
        do
            local out <close> = assert(io.open(file, "wb"))
            for _ = 1, size // #text do
                out:write(text)
            end
        end
        local expected = expected_of(text, size // #text)
        local result = counted_within_limit()
        assert.equal("", result.err)
        assert.is_true(expected == result.out)
    end)

    if not run.under_valgrind then -- whose own memory the limit does not count
        it("would be stopped by that limit if it held the file", function()
            local result = run.shell(limited "-e 'local s = (\"x\"):rep(100 << 20) print(#s)'")
            assert.not_equal(0, result.status)
        end)
    end
end)

describe("wordcount refuses", function()
    local function refused_with(result, ...)
        assert.equal("", result.out)
        assert.equal(1, result.status)
        assert.equal(1, select(2, result.err:gsub("\n", "")), result.err)
        for _, text in ipairs { "wordcount: ", ... } do
            assert.truthy(result.err:find(text, 1, true), result.err)
        end
    end

    local function refused(arguments, ...)
        refused_with(wordcount(arguments), ...)
    end

    it("a missing file, before it begins", function()
        refused("LICENSE no/such/file", "no/such/file", "No such file")
    end)

    it("a directory", function()
        refused("spec", "spec", "directory")
    end)

    it("what cannot be read", function()
        refused("/proc/self/mem", "/proc/self/mem", "Input/output error")
    end)

    it("what cannot be divided into ranges", function()
        refused_with(run.shell "echo a b c | $LUA scripts/wordcount.lua /dev/stdin", "ranges")
    end)

    it("no file at all", function()
        refused("", "usage")
        refused("--top 3", "usage")
    end)

    it("options that it does not have, and bad numbers", function()
        refused("LICENSE --what", "--what")
        refused("LICENSE --top", "--top")
        refused("LICENSE --top x", "--top")
        refused("LICENSE --top -1", "--top")
        refused("LICENSE --chunk 1.5", "--chunk")
    end)
end)
