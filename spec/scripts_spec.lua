-- Runs every script in scripts/ and compares what it prints with spec/golden/NAME.txt.
--
-- A golden file has a line for each line of output: labels, `| `, the text. Two lines that share a
-- label stand in this order. A line without labels stands behind all that are above it and before
-- all that are below it. All other order is free. Pids are written <pid>, numbers with a decimal
-- point <x>, and random numbers <n>. A first line that begins with `$` has the script's arguments.

local files = require "spec.support.files"
local lfs = require "lfs"
local run = require "spec.support.run"

local function names()
    local list = {}
    for file in lfs.dir "scripts" do
        list[#list + 1] = file:match "^([^.]+)%.lua$"
    end
    table.sort(list)
    return list
end

local function read_golden(name)
    local golden = { arguments = "" }
    for line in io.lines("spec/golden/" .. name .. ".txt") do
        if line:find "^%$" then
            golden.arguments = line:sub(2)
        else
            local labels, text = line:match "^([^|]*)| ?(.*)$"
            assert(labels, name .. ".txt: neither labels nor text: " .. line)
            golden[#golden + 1] = { labels = labels:gsub("%s", ""), text = text }
        end
    end
    return golden
end

local function are_ordered(first, second)
    return first.labels == "" or second.labels == ""
        or first.labels:find("[" .. second.labels .. "]") ~= nil
end

-- Numbers the lines of the output that belong to the golden ones: of equal texts, the n-th to the
-- n-th. What cannot be matched is an error.
local function place(golden, output)
    local places, expected, got = {}, {}, {}
    for i, text in ipairs(output) do
        places[text] = places[text] or {}
        table.insert(places[text], i)
        got[i] = text
    end
    for i, line in ipairs(golden) do
        expected[i] = line.text
        line.place = table.remove(places[line.text] or {}, 1)
    end
    table.sort(expected)
    table.sort(got)
    assert.same(expected, got)
end

local function compare(golden, output)
    place(golden, output)
    for j, second in ipairs(golden) do
        for i = 1, j - 1 do
            local first = golden[i]
            if are_ordered(first, second) and first.place > second.place then
                error(("this comes after what it should come before:\n  %s\n  %s\n\n%s"):format(
                    first.text, second.text, table.concat(output, "\n")), 0)
            end
        end
    end
end

local function masked_lines(text)
    text = text:gsub("PID: %d+", "PID: <pid>"):gsub("%d+%.%d+", "<x>")
        :gsub("putting %d+", "putting <n>"):gsub("got %d+", "got <n>")
        :gsub("to get %d+", "to get <n>")
    local lines = {}
    for line in text:gmatch "([^\n]*)\n" do
        lines[#lines + 1] = line
    end
    return lines
end

-- What the masks hide, where it can be checked.
local checks = {}

function checks.process(out)
    local pids, different = {}, 0
    for who, pid in out:gmatch "(%w+ ?%d?) %(PID: (%d+)%)" do
        assert.equal(pids[who] or pid, pid)
        pids[who] = pid
    end
    for _, pid in pairs(pids) do
        for _, other in pairs(pids) do
            different = different + (pid ~= other and 1 or 0)
        end
    end
    assert.equal(6, different)
end

function checks.queue(out)
    local put = {}
    for n in out:gmatch "putting (%d+)" do
        put[#put + 1] = tonumber(n)
        assert.is_true(put[#put] >= 1 and put[#put] <= 100)
    end
    local i = 0
    for n, square in out:gmatch "got (%d+)%. Squaring it to get (%d+)" do
        i = i + 1
        assert.equal(put[i], tonumber(n))
        assert.equal(put[i] ^ 2, tonumber(square))
    end
end

describe("the comparison with a golden file", function()
    local golden

    before_each(function()
        golden = {
            { labels = "", text = "first" }, { labels = "a", text = "x" },
            { labels = "b", text = "y" }, { labels = "a", text = "z" },
            { labels = "", text = "last" },
        }
    end)

    it("takes any order that the labels leave free", function()
        compare(golden, { "first", "y", "x", "z", "last" })
        compare(golden, { "first", "x", "z", "y", "last" })
    end)

    it("refuses another order, a missing line and one too many", function()
        assert.has_error(function() compare(golden, { "first", "y", "z", "x", "last" }) end)
        assert.has_error(function() compare(golden, { "x", "first", "y", "z", "last" }) end)
        assert.has_error(function() compare(golden, { "first", "y", "x", "z" }) end)
        assert.has_error(function() compare(golden, { "first", "x", "x", "y", "z", "last" }) end)
    end)
end)

describe("the script", function()
    local folder = run.folder()

    -- All at once: most of what they do is to wait.
    lazy_setup(function()
        local lines = {}
        for _, name in ipairs(names()) do
            local file = folder .. name
            lines[#lines + 1] = ("{ timeout 100 $LUA scripts/%s.lua %s >%s.out 2>%s.err; "
                .. "echo $? >%s.status; } &"):format(name, read_golden(name).arguments, file, file,
                file)
        end
        run.shell(table.concat(lines, "\n") .. "\nwait", 110)
    end)

    lazy_teardown(function()
        getmetatable(folder).__close()
    end)

    for _, name in ipairs(names()) do
        it(name .. ".lua prints what it should", function()
            local out = files.read(folder .. name .. ".out")
            assert.equal("", files.read(folder .. name .. ".err"))
            assert.equal("0\n", files.read(folder .. name .. ".status"))
            compare(read_golden(name), masked_lines(out))
            if checks[name] then
                checks[name](out)
            end
        end)

        it(name .. ".lua says in its first line what it shows, and is short", function()
            local n = 0
            for line in io.lines("scripts/" .. name .. ".lua") do
                n = n + 1
                assert.truthy(n > 1 or line:find "^%-%- .*%.$", line)
            end
            assert.is_true(n < (name == "wordcount" and 120 or 40))
        end)
    end
end)
