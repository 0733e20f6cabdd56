-- The benchmark: its arithmetic and its table, what its driver refuses, and that each program runs.
-- No figure decides anything here.

local audit = require "spec.support.audit"
local figures = require "scripts.bench.figures"
local files = require "spec.support.files"
local lfs = require "lfs"
local programs = require "scripts.bench.programs"
local report = require "scripts.bench.report"
local run = require "spec.support.run"
local workloads = require "scripts.bench.workloads"

audit.install(before_each, after_each)

local slack = tonumber(os.getenv "MF_SLACK") or 1 -- for what slows programs down

local fast = { id = "F", what = "f", unit = "/s", better = "higher", goal = 100,
    peers = { "a", "b" } }
local brief = { id = "B", what = "b", unit = "µs", better = "lower", goal = 10, peers = {} }
local partly = { id = "P", what = "p", unit = "/s", better = "higher", goal = 100,
    goal_of_limit = 0.8, peers = {} }

describe("the figures of the benchmark", function()
    it("have a median, whatever their order, and their list stays as it is", function()
        local list = { 9, 1, 5 }
        assert.equal(5, figures.median(list))
        assert.same({ 9, 1, 5 }, list)
        assert.equal(3, figures.median { 4, 1, 2, 9 })
        assert.equal(7, figures.median { 7 })
    end)

    it("have a spread in parts of the median, unless there is only one or it is 0", function()
        assert.same({ 0.5, 1.5 }, { figures.spread { 10, 15, 5 } })
        assert.is_nil(figures.spread { 10 })
        assert.is_nil(figures.spread { 0, 0, 1 })
    end)

    it("stand beside the better of the peers", function()
        local row = figures.summary(fast, { lua = { 100, 100, 100 }, a = { 50, 50, 50 },
            b = { 20, 200, 80 } })
        assert.equal("b", row.peer.suffix)
        assert.equal(80, row.peer.median)
        local runs = { lua = { 1 }, a = { 50 }, b = { 80 } }
        brief.peers = fast.peers
        assert.equal("a", figures.summary(brief, runs).peer.suffix)
        brief.peers = {}
        assert.is_nil(figures.summary(brief, runs).peer)
    end)

    it("are compared with those of the same round", function()
        local row = figures.summary(fast, { lua = { 100, 10, 1 }, c = { 50, 10, 0.1 } })
        assert.equal(2, row.limit.ratio)
    end)

    it("are as many times as good, where less is better, as the other takes", function()
        local row = figures.summary(brief, { lua = { 4 }, c = { 2 } })
        assert.equal(0.5, row.limit.ratio)
    end)

    it("have no ratio to nothing", function()
        assert.is_nil(figures.summary(fast, { lua = { 4 }, c = { 0 } }).limit.ratio)
        assert.is_nil(figures.summary(brief, { lua = { 0 }, c = { 2 } }).limit.ratio)
    end)

    it("meet their goal or do not", function()
        assert.is_true(figures.summary(fast, { lua = { 100 } }).met)
        assert.is_false(figures.summary(fast, { lua = { 99 } }).met)
        assert.is_true(figures.summary(brief, { lua = { 10 } }).met)
        assert.is_false(figures.summary(brief, { lua = { 11 } }).met)
    end)

    it("meet a goal that is a part of the limit only where that was measured", function()
        assert.is_true(figures.summary(partly, { lua = { 100 }, c = { 125 } }).met)
        assert.is_false(figures.summary(partly, { lua = { 100 }, c = { 126 } }).met)
        assert.is_false(figures.summary(partly, { lua = { 99 }, c = { 1 } }).met)
        assert.is_nil(figures.summary(partly, { lua = { 100 } }).met)
    end)
end)

describe("the comparison of two results", function()
    local function compare(workload, old, new)
        return figures.compare({ workload }, { workloads = { [workload.id] = old } },
            { workloads = { [workload.id] = new } })
    end

    it("tells what has changed by more than the wider of the two spreads", function()
        local steady, loose = { 98, 100, 102 }, { 70, 100, 120 }
        local less = { 79, 80, 81 }
        local changes = compare(fast, { lua = steady }, { lua = less })
        assert.equal(1, #changes)
        assert.is_true(changes[1].worse)
        assert.is_true(math.abs(changes[1].part - 0.2) < 1e-9)
        assert.same({}, compare(fast, { lua = loose }, { lua = less }))
        assert.same({}, compare(fast, { lua = less }, { lua = { 60, 80, 100 } }))
        assert.same({}, compare(fast, { lua = steady }, { lua = steady }))
    end)

    it("knows what is better of each workload", function()
        assert.is_false(compare(fast, { lua = { 1 } }, { lua = { 2 } })[1].worse)
        assert.is_true(compare(brief, { lua = { 1 } }, { lua = { 2 } })[1].worse)
        assert.is_true(compare(brief, { lua = { 0 } }, { lua = { 2 } })[1].worse)
    end)

    it("tells what happened to the limit, or else to a peer", function()
        local old = { lua = { 1 }, b = { 4 }, c = { 10 } }
        local new = { lua = { 2 }, b = { 5 }, c = { 5 } }
        local beside = compare(fast, old, new)[1].beside
        assert.same({ suffix = "c", part = 0.5, worse = true }, beside)
        new.c = nil
        beside = compare(fast, old, new)[1].beside
        assert.same({ suffix = "b", part = 0.25, worse = false }, beside)
    end)

    it("leaves out what only one of them has", function()
        assert.same({}, figures.compare({ fast }, { workloads = {} },
            { workloads = { F = { lua = { 1 } } } }))
    end)

    it("is told in a line each, those for the worse first", function()
        local old = { workloads = { F = { lua = { 1e6 }, c = { 2 } }, B = { lua = { 4 } } } }
        local new = { workloads = { F = { lua = { 3e6 }, c = { 2 } }, B = { lua = { 5 } } } }
        assert.equal("B    worse by 25 %: 4 µs -> 5 µs, spread 0 %\n"
            .. "F    better by 200 %: 1 M/s -> 3 M/s, spread 0 %; the C limit: the same",
            report.changes(figures.compare({ fast, brief }, old, new), {}))
        assert.equal("nothing is better or worse by more than the spread", report.changes({}, {}))
    end)
end)

describe("the table of the benchmark", function()
    local row = figures.summary(fast, { lua = { 80, 100, 130 }, a = { 50, 50, 50 },
        c = { 200, 200, 200 } })

    local function cells(line)
        local list = {}
        for cell in line:sub(2):gmatch " *([^|]-) *|" do
            list[#list + 1] = cell
        end
        return list
    end

    it("has the figures with their units", function()
        assert.equal("12.3 M/s", report.value(12.34e6, "/s"))
        assert.equal("52.4 k/s", report.value(52351, "/s"))
        assert.equal("3012/s", report.value(3012, "/s"))
        assert.equal("0.63 µs", report.value(0.63, "µs"))
        assert.equal("3790 KiB", report.value(3790, "KiB"))
        assert.equal("≥ 100/s, 0.8 × limit", report.goal(partly))
        assert.equal("≤ 10 µs", report.goal(brief))
    end)

    it("can be Markdown", function()
        assert.same({ "F", "f", "100/s", "Ann 50/s", "200/s", "≥ 100/s", "2", "0.5", "80...130 %",
            "yes" }, cells(report.row(fast, row, { a = "Ann" }, true)))
        local head = report.head(true)
        assert.equal(10, #cells(head:match "^[^\n]*"))
        assert.truthy(head:find "\n| %-%-%-")
    end)

    it("is plain otherwise, with all columns under their titles", function()
        local title, line = report.head(), report.row(fast, row, { a = "Ann" })
        local at = utf8.len(title, 1, title:find("× limit", 1, true) - 1)
        assert.truthy(line:sub(utf8.offset(line, at + 1)):find "^0%.5 ")
        assert.is_nil(line:find "|")
    end)

    it("leaves a cell empty where nothing was measured", function()
        local row_of_one = figures.summary(brief, { lua = { 20 } })
        assert.same({ "B", "b", "20 µs", "", "", "≤ 10 µs", "", "", "", "no" },
            cells(report.row(brief, row_of_one, {}, true)))
    end)

    it("tells of a failure what there is to know", function()
        local message = "F.lua: exit 1\nfirst\nsecond\n"
        assert.truthy(report.error_row(fast, message):find(
            "ERROR: F.lua: exit 1\n    first\n    second$"))
        assert.equal("ERROR: F.lua: exit 1", cells(report.error_row(fast, message, true))[3])
    end)

    it("knows each program there is, and no other", function()
        local there, known = {}, {}
        for file in lfs.dir "scripts/bench" do
            there[#there + 1] = file:match "^W%d+%a?%.%a+$"
        end
        for _, workload in ipairs(workloads) do
            known[#known + 1] = workload.id .. ".lua"
            known[#known + 1] = workload.limit and workload.id .. ".c"
            for _, suffix in ipairs(workload.peers) do
                known[#known + 1] = workload.id .. "." .. suffix
            end
        end
        table.sort(there)
        table.sort(known)
        assert.same(known, there)
    end)
end)

describe("a program of the benchmark", function()
    local function answer(command, seconds)
        return programs.run({ name = "X.lua", command = command }, seconds or 60 * slack)
    end

    it("gives its number", function()
        assert.equal(12.5, (answer "echo 12.5"))
        assert.equal(2, (answer "sh -c 'echo 2'"))
    end)

    it("has failed when its status says so, with what it wrote on stderr", function()
        local number, why = answer "sh -c 'echo 1; echo the cause >&2; exit 3'"
        assert.is_nil(number)
        assert.equal("X.lua: exit 3\nthe cause\n", why)
    end)

    it("has failed when it prints no number that can be", function()
        for _, text in ipairs { "", "many", "1 2", "inf", "nan", "-1" } do
            local number, why = answer("echo " .. text)
            assert.is_nil(number)
            assert.equal("X.lua: its answer is no number: " .. text .. "\n", why)
        end
    end)

    it("is ended with its children when it takes too long", function()
        local folder <close> = run.folder()
        local number, why = answer("sh -c 'sleep 60 & echo $! >" .. folder .. "pid; wait'",
            2 * slack)
        assert.is_nil(number)
        assert.equal(("X.lua: no answer after %g s\n"):format(2 * slack), why)
        local pid = files.read(folder .. "pid"):match "%d+"
        audit.eventually(function()
            local state = audit.state_of(pid)
            return state == nil or state == "Z"
        end)
    end)
end)

describe("the benchmark's driver", function()
    local function bench(arguments, environment)
        return run.shell((environment or "") .. " exec $LUA scripts/bench/bench.lua " .. arguments)
    end

    local try = "MF_BENCH_SCALE=0.001"

    it("prints how to use it, and all workloads, with --help", function()
        local result = bench "--help"
        assert.equal(0, result.status)
        assert.equal("", result.err)
        assert.truthy(result.out:find "^usage: sh scripts/bench.sh ")
        for _, workload in ipairs(workloads) do
            assert.truthy(result.out:find("\n  " .. workload.id .. " ", 1, true), workload.id)
        end
    end)

    it("refuses names and options that it does not know, and says which there are", function()
        local result = bench "W2 W99"
        assert.equal(2, result.status)
        assert.equal("", result.out)
        assert.truthy(result.err:find "no workload is called W99; there are W1a W1b .* W12\n$")
        for wrong, message in pairs {
            ["--fast"] = "unknown option --fast; --help lists them",
            ["--runs"] = "--runs needs a value",
            ["--runs 0"] = "--runs needs a number, 1 or more",
            ["--runs few"] = "--runs needs a number, 1 or more",
            ["--compare /nowhere.json"] = "cannot read /nowhere.json",
            ["--json /nowhere/x.json"] = "cannot write /nowhere/x.json",
            ["--compare README.md"] = "README.md is no result of this benchmark",
        } do
            result = bench(wrong)
            assert.equal("bench: " .. message .. "\n", result.err)
            assert.equal(2, result.status)
        end
    end)

    it("writes a result, and compares with one of the same scale", function()
        local folder <close> = run.folder()
        local file = folder .. "result.json"
        local result = bench("W11 --runs 2 --json " .. file, try)
        assert.equal("", result.err)
        assert.equal(0, result.status)
        assert.truthy(result.out:find "no figure means anything.*\nW11  plain scripts")
        local written = require "cjson".decode(files.read(file))
        assert.equal(2, #written.workloads.W11.lua)
        result = bench("W11 --runs 1 --readme --compare " .. file, try)
        assert.equal("", result.err)
        assert.equal(0, result.status)
        assert.truthy(result.out:find "\n| W11 | plain scripts")
        assert.truthy(result.out:find("\nSince " .. file, 1, true))
        result = bench("W11 --compare " .. file, "MF_BENCH_SCALE=0.002")
        assert.equal(2, result.status)
        assert.truthy(result.err:find "was measured with MF_BENCH_SCALE=0.001")
    end)

    it("has a row for a workload that fails, and fails in the end", function()
        local folder <close> = run.folder()
        files.write(folder .. "lua5.4", "#!/bin/sh\necho no Lua today >&2\nexit 1\n")
        assert(os.execute("chmod +x " .. folder .. "lua5.4"))
        local result = bench("W11 --runs 1", try .. " PATH=" .. folder .. ":$PATH")
        assert.equal(1, result.status)
        assert.truthy(result.out:find "\nW11 .* ERROR: W11.lua: exit 1\n    no Lua today\n")
    end)
end)

-- Peers as far as they are installed; under a sanitizer, or valgrind, only what is moonfork's.
describe("at a thousandth of its size", function()
    local folder, list = run.folder(), {}
    local with_others = not (run.sanitized or os.getenv "MF_INTERPRETER")
    for _, workload in ipairs(workloads) do
        local ours = with_others and workload or { id = workload.id, peers = {} }
        for _, program in ipairs(programs.of(ours, "$LUA", tostring(folder))) do
            list[#list + 1] = program
        end
    end

    -- Some at once: most of what they do is to wait.
    lazy_setup(function()
        if with_others then
            programs.build_limits(workloads, tostring(folder))
        end
        for _, program in ipairs(list) do
            local file = folder .. program.name
            files.write(file .. ".sh", ("%s >%s.out 2>%s.err\necho $? >%s.status\n"):format(
                program.command, file, file, file))
        end
        run.shell("export LUA MF_BENCH_SCALE=0.001; ls " .. folder .. "*.sh"
            .. " | xargs -P 4 -n 1 timeout " .. 100 * slack .. " sh", 200)
    end)

    lazy_teardown(function()
        getmetatable(folder).__close()
    end)

    for _, program in ipairs(list) do
        it(program.name .. " prints one number", function()
            local file = folder .. program.name
            assert.equal("", files.read(file .. ".err"))
            assert.equal("0\n", files.read(file .. ".status"))
            local number = tonumber(files.read(file .. ".out"):match "^(%S+)\n$")
            assert.is_true(number >= 0 and number < math.huge)
        end)
    end
end)
