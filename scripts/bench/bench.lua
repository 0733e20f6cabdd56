-- The benchmark's driver, which bench.sh runs: moonfork, its peers and the limits in C in turn,
-- some rounds of it, and a row of the table for each workload as soon as it is measured.

local command = require "scripts.bench.command"
local figures = require "scripts.bench.figures"
local programs = require "scripts.bench.programs"
local report = require "scripts.bench.report"
local workloads = require "scripts.bench.workloads"

local limits_folder = "build/bench"
local longest = 60 -- seconds that a program may take

local function usage()
    local lines = { [[
usage: sh scripts/bench.sh [W1a ...] [options]

Measures moonfork beside the peers that are installed (Python, node, Perl's MCE, Ruby) and beside
what the machine allows (small programs in C), all workloads or those that are named, and prints a
row for each: the medians of 5 rounds in which all of them run in turn. "x peer" and "x limit" are
how many times as good moonfork is, whatever the unit: the medians of the ratios of each round.
"spread" is the least and the largest figure of moonfork, as per cent of its median.

  --runs N          N rounds
  --json FILE       writes all figures into FILE
  --compare FILE    tells what is better or worse than in FILE, by more than the spread
  --readme          prints the table in Markdown
  --install-peers   installs the Debian packages of the peers first
  --scale           measures time and memory against size instead; --scale --help tells how
  --help            prints this

With MF_BENCH_SCALE=0.01 in the environment everything is tried quickly, and no figure means
anything. The status is 1 when a program has failed, 2 when this command is wrong.

Workloads:]] }
    for _, workload in ipairs(workloads) do
        lines[#lines + 1] = ("  %-5s %s"):format(workload.id, workload.what)
    end
    return table.concat(lines, "\n")
end

-- The options -------------------------------------------------------------------------------------

local flags = { ["--readme"] = "readme", ["--install-peers"] = "install", ["--help"] = "help" }
local valued = { ["--runs"] = "runs", ["--json"] = "json", ["--compare"] = "compare" }

local function parse(words)
    local options = command.parse(words, flags, valued, workloads, "id", "workload")
    options.runs = math.tointeger(tonumber(options.runs or 5)) or 0
    if options.runs < 1 then
        command.refuse "--runs needs a number, 1 or more"
    end
    return options
end

local function read_result(path)
    local file <close> = io.open(path, "rb") or command.refuse("cannot read " .. path)
    local ok, result = pcall(require "cjson".decode, file:read "a")
    if not ok or type(result) ~= "table" or type(result.workloads) ~= "table" then
        command.refuse(path .. " is no result of this benchmark")
    end
    return result
end

local function versions(list)
    local text, seen = { command.version() }, {}
    for _, workload in ipairs(list) do
        for _, suffix in ipairs(workload.peers) do
            if not seen[suffix] and programs.version(suffix) then
                text[#text + 1] = programs.names[suffix] .. " " .. programs.version(suffix)
            end
            seen[suffix] = true
        end
    end
    return table.concat(text, ", ")
end

-- Running -----------------------------------------------------------------------------------------

-- The figures of a workload; or nil, and what went wrong.
local function measure(workload, rounds)
    local runs = {}
    for round = 1, rounds do
        for _, program in ipairs(programs.of(workload, arg[-1], limits_folder)) do
            command.progress(workload.id, ": round ", round, " of ", rounds, ", ", program.name)
            local number, why = programs.run(program, longest)
            if not number then
                return nil, why
            end
            runs[program.suffix] = runs[program.suffix] or {}
            runs[program.suffix][round] = number
        end
    end
    return runs
end

local function measure_all(options, scale)
    local result = { workloads = {}, errors = {} }
    for _, workload in ipairs(options.chosen) do
        local runs, why = measure(workload, options.runs)
        command.progress()
        if runs then
            local row = figures.summary(workload, runs)
            if scale ~= 1 then
                row.met = nil
            end
            result.workloads[workload.id] = runs
            print(report.row(workload, row, programs.names, options.readme))
        else
            result.errors[workload.id] = why
            print(report.error_row(workload, why, options.readme))
            if options.readme then
                io.stderr:write(why, "\n")
            end
        end
        io.stdout:flush()
    end
    return result
end

local options = parse(arg)
if options.help then
    print(usage())
    return
end
local scale = tonumber(os.getenv "MF_BENCH_SCALE") or 1
local old = options.compare and read_result(options.compare)
if old and old.scale ~= scale then
    command.refuse(options.compare .. " was measured with MF_BENCH_SCALE=" .. tostring(old.scale))
end
if options.json then
    command.check_writable(options.json)
end

programs.build_limits(options.chosen, limits_folder)
local date, what = os.date "%Y-%m-%d", command.machine(versions(options.chosen))
print(("%s, %s.%s\n\n%s"):format(date, what,
    scale == 1 and "" or (" A try, MF_BENCH_SCALE=%g: no figure means anything."):format(scale),
    report.head(options.readme)))
local result = measure_all(options, scale)
if old then
    print(("\nSince %s (%s):\n%s"):format(options.compare, tostring(old.date),
        report.changes(figures.compare(options.chosen, old, result), programs.names)))
end
if options.json then
    result.date, result.machine, result.scale, result.rounds = date, what, scale, options.runs
    command.write_result(options.json, result)
end
if next(result.errors) then
    os.exit(1, true)
end
