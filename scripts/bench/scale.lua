-- bench.sh --scale: time and memory against size. The driver: it runs the program of each series
-- with each size, prints a row as soon as that is measured, and says what the growth is.

local command = require "scripts.bench.command"
local growth = require "scripts.bench.growth"
local programs = require "scripts.bench.programs"
local report = require "scripts.bench.growth_report"
local series_of_all = require "scripts.bench.series"

local longest = 120 -- seconds that a size may take
local limits_folder = "build/bench"
local MiB = 1 << 20

local function usage()
    local lines = { [[
usage: sh scripts/bench.sh --scale [messages ...] [options]

Measures how time and memory grow with the size of what is done, for all series or those that are
named: a table for each, and whether its growth is linear or better, its throughput holds, and its
memory comes back after the burst. Memory is the PSS of all processes. Each size is measured in a
fresh process. A size that needs more memory than there is is left out.

  --quick         small sizes, to try whether everything runs: no figure means anything
  --json FILE     writes all figures into FILE
  --readme        prints the tables in Markdown, and writes them, and plots, into a README.md
  --into FOLDER   the folder of that README.md, instead of scripts/bench
  --help          prints this

The status is 1 when a program has failed, or when, without --quick, something is not as it should
be; 2 when this command is wrong.

Series:]] }
    for _, series in ipairs(series_of_all) do
        lines[#lines + 1] = ("  %-10s %s"):format(series.name, series.what)
    end
    return table.concat(lines, "\n")
end

local function parse(words)
    local options = command.parse(words, { ["--scale"] = "scale", ["--quick"] = "quick",
        ["--readme"] = "readme", ["--help"] = "help" },
        { ["--json"] = "json", ["--into"] = "into" }, series_of_all, "name", "series")
    if options.into and not options.readme then
        command.refuse "--into needs --readme"
    end
    return options
end

-- Memory ------------------------------------------------------------------------------------------

local function meminfo(name)
    return tonumber(command.first_match("/proc/meminfo", name .. ": *(%d+)")) * 1024
end

-- Why a size does not fit; nil where it does. The arena has half of the machine's memory.
local function lack(series, size)
    local arena = series.arena and series.arena(size) or 0
    local all = arena + (series.heap and series.heap(size) or 0)
    if arena > 0.9 * meminfo "MemTotal" / 2 then
        return ("left out: needs %.0f MiB of the arena"):format(arena / MiB)
    elseif all > 0.8 * meminfo "MemAvailable" then
        return ("left out: needs %.0f MiB of memory"):format(all / MiB)
    end
end

-- Running -----------------------------------------------------------------------------------------

-- The record that a program prints; nil if it is none.
local function record(answer)
    local ok, row = pcall(require "cjson".decode, answer)
    return ok and type(row) == "table" and row.seconds and row or nil
end

local function limit_of(series, name, size)
    if series.limit == "C" then
        return { name = name .. ".c " .. size,
            command = ("%s/%s %d"):format(limits_folder, name, size) }
    end
    name = name .. "_in_lua.lua"
    return { name = name .. " " .. size,
        command = ("%s scripts/bench/%s %d"):format(arg[-1], name, size) }
end

local function run(series, size)
    local name = "scale/" .. series.name
    local row, why = programs.run({
        name = name .. ".lua " .. size,
        command = ("%s scripts/bench/%s.lua %d"):format(arg[-1], name, size),
        read = record,
        wanted = "record",
    }, longest)
    if not row then
        return nil, why
    end
    row.size = size
    if series.limit then
        row.limit, why = programs.run(limit_of(series, name, size), longest)
    end
    return not why and row or nil, why
end

local function build_limits(chosen)
    local list = {}
    for i, series in ipairs(chosen) do
        list[i] = { id = "scale/" .. series.name, limit = series.limit == "C" }
    end
    programs.build_limits(list, limits_folder)
end

-- What is printed is kept, for the README.
local printed = {}

local function say(line)
    print(line)
    io.stdout:flush()
    printed[#printed + 1] = line
end

-- The rows of a series, and a list of what went wrong.
local function measure(series, options)
    local rows, errors = {}, {}
    for _, size in ipairs(options.quick and series.quick or series.sizes) do
        command.progress(series.name, ": ", size, " ", series.axis)
        local row, why = nil, lack(series, size)
        if not why then
            row, why = run(series, size)
            errors[#errors + 1] = why
        end
        command.progress()
        rows[#rows + 1] = row
        say(row and report.row(series, row, options.readme)
            or report.note(series, size, why, options.readme))
    end
    return rows, errors
end

local function judge(series, rows, options)
    local all_hold = true
    for _, verdict in ipairs(rows[1] and growth.verdicts(series, rows) or {}) do
        say((options.readme and "- " or "    ") .. report.verdict(series, verdict))
        all_hold = all_hold and verdict.holds
    end
    say ""
    return all_hold
end

local function measure_all(options)
    local result = { series = {}, errors = {} }
    local all_hold = true
    for _, series in ipairs(options.chosen) do
        if options.readme then
            say(("![%s](plots/%s.svg)\n"):format(series.what, series.name))
        end
        say(report.head(series, options.readme))
        local rows, errors = measure(series, options)
        say ""
        all_hold = judge(series, rows, options) and all_hold
        result.series[series.name] = rows
        table.move(errors, 1, #errors, #result.errors + 1, result.errors)
    end
    return result, all_hold
end

-- The README --------------------------------------------------------------------------------------

local function read_readme(path)
    local file <close> = io.open(path) or command.refuse("cannot read " .. path)
    local whole = file:read "a"
    return report.between_marks(whole, "") and whole or command.refuse(path .. " has no marks")
end

local function write_readme(options, folder, result)
    assert(os.execute("mkdir -p '" .. folder .. "/plots'"))
    for _, series in ipairs(options.chosen) do
        local rows = result.series[series.name]
        if rows[1] then
            command.write(("%s/plots/%s.svg"):format(folder, series.name),
                report.plot(series, rows))
        end
    end
    local path = folder .. "/README.md"
    command.write(path, report.between_marks(read_readme(path), table.concat(printed, "\n")))
end

local options = parse(arg)
if options.help then
    print(usage())
    return
end
local folder = options.into or "scripts/bench"
if options.readme then
    read_readme(folder .. "/README.md")
end
if options.json then
    command.check_writable(options.json)
end

build_limits(options.chosen)
local date, what = os.date "%Y-%m-%d", command.machine(command.version())
say(("%s, %s.%s\n"):format(date, what,
    options.quick and " A try, --quick: no figure means anything." or ""))
local result, all_hold = measure_all(options)
if options.readme then
    write_readme(options, folder, result)
end
if options.json then
    result.date, result.machine, result.quick = date, what, options.quick or false
    command.write_result(options.json, result)
end
for _, why in ipairs(result.errors) do
    io.stderr:write(why, "\n")
end
if result.errors[1] or not (all_hold or options.quick) then
    os.exit(1, true)
end
