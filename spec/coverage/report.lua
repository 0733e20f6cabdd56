-- report.lua FOLDER LIMIT [--list]: adds up what gcov says of each program, and prints it for the
-- runtime and the codec, by folder and file. FOLDER holds a file for each program, with one text of
-- JSON a line. --list adds the branches that were not taken. Fails when less than LIMIT per cent of
-- the branches were.
--
-- A branch is one direction of a decision: an `if` has two, a `switch` as many as it has cases.

local cjson = require "cjson"
local lfs = require "lfs"

local folder, limit, list = arg[1], tonumber(arg[2]), arg[3] == "--list"
local root = lfs.currentdir() .. "/"

local files = {} -- by path: { lines = { [number] = count }, branches = { [place] = taken } }

-- Is this a file whose coverage is asked for?
local function wanted(path)
    if path:sub(1, 1) == "/" then
        if path:sub(1, #root) ~= root then
            return nil
        end
        path = path:sub(#root + 1)
    end
    local ours = path:find "^runtime/" or path:find "^bindings/codec/"
    return ours and not path:find "/test/" and not path:find "/examples/" and path or nil
end

local function add_line(file, line)
    local number = line.line_number
    file.lines[number] = (file.lines[number] or 0) + line.count
    for i, branch in ipairs(line.branches) do
        -- A function that several programs, or objects, have is one function.
        local place = ("%06d %s %03d"):format(number, line.function_name or "", i)
        file.branches[place] = (file.branches[place] or 0) + branch.count
    end
end

local function read(path)
    for text in io.lines(path) do
        for _, part in ipairs(cjson.decode(text).files) do
            local name = wanted(part.file)
            if name then
                files[name] = files[name] or { lines = {}, branches = {} }
                for _, line in ipairs(part.lines) do
                    add_line(files[name], line)
                end
            end
        end
    end
end

-- How many a table has, and how many of them are not 0.
local function count(counts)
    local all, some = 0, 0
    for _, n in pairs(counts) do
        all = all + 1
        some = some + (n > 0 and 1 or 0)
    end
    return all, some
end

local function percent(all, some)
    return all == 0 and 100 or 100 * some / all
end

local function sorted(t)
    local keys = {}
    for key in pairs(t) do
        keys[#keys + 1] = key
    end
    table.sort(keys)
    return keys
end

local sums = {} -- by folder: lines, lines run, branches, branches taken
local function add_to(name, row)
    sums[name] = sums[name] or { 0, 0, 0, 0 }
    for i, n in ipairs(row) do
        sums[name][i] = sums[name][i] + n
    end
end

local function print_row(name, row)
    print(("%-38s %6d %6d %6.1f %9d %6d %6.1f"):format(name, row[1], row[2],
        percent(row[1], row[2]), row[3], row[4], percent(row[3], row[4])))
end

for name in lfs.dir(folder) do
    if name:sub(1, 1) ~= "." then
        read(folder .. "/" .. name)
    end
end

print(("%-38s %6s %6s %6s %9s %6s %6s"):format("", "lines", "run", "%", "branches", "taken", "%"))
for _, name in ipairs(sorted(files)) do
    local row = {}
    row[1], row[2] = count(files[name].lines)
    row[3], row[4] = count(files[name].branches)
    print_row(name, row)
    add_to(name:match "^(.*)/", row)
    add_to("all", row)
end
print()
for _, name in ipairs(sorted(sums)) do
    if name ~= "all" then
        print_row(name, sums[name])
    end
end
assert(sums.all, "nothing was counted")
print_row("the runtime and the codec", sums.all)

if list then
    for _, name in ipairs(sorted(files)) do
        local source
        for _, place in ipairs(sorted(files[name].branches)) do
            if files[name].branches[place] == 0 then
                if not source then
                    source = {}
                    for text in io.lines(name) do
                        source[#source + 1] = text
                    end
                end
                local number, _, i = place:match "^(%d+) (%S*) (%d+)$"
                number = tonumber(number)
                print(("%s:%d: branch %d of: %s"):format(name, number, tonumber(i),
                    source[number]:match "^%s*(.*)"))
            end
        end
    end
end

os.exit(percent(sums.all[3], sums.all[4]) >= limit)
