-- bench.sh --scale: how growth is judged, told and drawn, and that each program runs.
-- No figure decides anything here.

local audit = require "spec.support.audit"
local files = require "spec.support.files"
local growth = require "scripts.bench.growth"
local growth_report = require "scripts.bench.growth_report"
local lfs = require "lfs"
local plot = require "scripts.bench.plot"
local run = require "spec.support.run"
local series_of_all = require "scripts.bench.series"

audit.install(before_each, after_each)

describe("the growth with the size", function()
    local MiB = 1 << 20
    local of_bursts = { name = "b", what = "bursts", axis = "items", item = "item",
        judged = "growth" }
    local of_workers = { name = "w", what = "workers", axis = "workers", item = "item",
        judged = "throughput" }

    -- A row of each size, whose seconds and bytes are those of the functions.
    local function rows(seconds, used, left)
        local list = {}
        for i, size in ipairs { 1, 10, 100, 1000, 10000 } do
            list[i] = { size = size, count = size, seconds = seconds(size), before = MiB,
                peak = MiB + (used or math.abs)(size), left = MiB + (left or math.abs)(size) }
        end
        return list
    end

    local function holds(series, list)
        local found = {}
        for _, verdict in ipairs(growth.verdicts(series, list)) do
            found[verdict.what or verdict.claim] = verdict.holds
        end
        return found
    end

    it("is linear, or better, or worse", function()
        local function time(f)
            return holds(of_bursts, rows(f)).time
        end
        assert.is_true(time(function(n) return 3 * n end))
        assert.is_true(time(function(n) return n * math.log(n + 1) end))
        assert.is_true(time(function(n) return 7 + n ^ 0.5 end))
        assert.is_false(time(function(n) return n * n end))
    end)

    it("may be the machine's, which the limit shows", function()
        local of_limit = setmetatable({ limit = "C" }, { __index = of_bursts })
        local function verdict(power)
            local list = rows(function(n) return n * n end)
            for _, row in ipairs(list) do
                row.limit = row.size ^ power / row.count
            end
            return growth.verdicts(of_limit, list)[1]
        end
        assert.is_true(verdict(1.9).holds)
        assert.is_false(verdict(1.5).holds)
        assert.equal("linear or better: yes (time grows with the power 2.00 of the size, that of"
            .. " the C limit with 1.90)", growth_report.verdict(of_limit, verdict(1.9)))
    end)

    it("counts in the upper decades only", function()
        local function late(n) return n < 100 and 1 or n ^ 2 end
        assert.is_false(holds(of_bursts, rows(late)).time)
        local function early(n) return n < 100 and n ^ 3 or 1e6 + n end
        assert.is_true(holds(of_bursts, rows(early)).time)
    end)

    it("is that of the memory, too, where it is more than noise", function()
        local function seconds(n) return n end
        assert.is_nil(holds(of_bursts, rows(seconds)).memory)
        assert.is_true(holds(of_bursts, rows(seconds, function(n) return n * MiB end)).memory)
        assert.is_false(holds(of_bursts, rows(seconds, function(n) return n * n * MiB end)).memory)
    end)

    it("tells whether memory comes back", function()
        local function used(n) return n * MiB end
        local function comes_back(left)
            return holds(of_bursts, rows(used, used, left))["memory comes back"]
        end
        assert.is_true(comes_back(function() return 64 * MiB end))
        assert.is_true(comes_back(function(n) return n * MiB / 5 end))
        assert.is_false(comes_back(function(n) return n * MiB / 3 end))
    end)

    it("tells whether the throughput collapses", function()
        local function throughput(f)
            return holds(of_workers, rows(f))["throughput holds"]
        end
        assert.is_true(throughput(function(n) return n * 2 end))
        assert.is_false(throughput(function(n) return n < 10000 and n or n * 4 end))
    end)

    it("is told in a line each", function()
        local list = rows(function(n) return n end, function(n) return n * n * MiB end)
        local lines = {}
        for i, verdict in ipairs(growth.verdicts(of_bursts, list)) do
            lines[i] = growth_report.verdict(of_bursts, verdict)
        end
        assert.same({
            "linear or better: yes (time grows with the power 1.00 of the size)",
            "linear or better: NO (memory grows with the power 2.00 of the size)",
            "memory comes back: yes (9.77 KiB of 97656 GiB are left after 10 k)",
        }, lines)
    end)

    it("is drawn, with labels, units and a legend, in what is well-formed", function()
        local text = growth_report.plot(of_bursts, rows(function(n) return n / 1e6 end,
            function(n) return n * MiB end))
        for _, label in ipairs { "b: bursts", "items", "time of all", "memory of all processes",
            "moonfork", "linear", "at the peak", "left after it", "1 µs", "10 ms", "2 GiB" } do
            assert.truthy(text:find(">" .. label .. "</text>", 1, true), label)
        end
        local open = {}
        for slash, name, rest in text:gmatch "<(/?)(%w+)([^>]*)>" do
            if slash == "/" then
                assert.equal(table.remove(open), name)
            elseif not rest:find "/$" then
                open[#open + 1] = name
            end
        end
        assert.same({}, open)
        for x, y in text:gmatch 'cx="(%S+)" cy="(%S+)"' do
            assert.is_true(tonumber(x) >= 0 and tonumber(x) <= 380 and tonumber(y) <= 300)
        end
    end)

    it("has figures with their units", function()
        assert.equal("512 MiB", plot.text(1 << 29, "bytes"))
        assert.equal("10 M", plot.text(1e7, "count"))
        assert.equal("1.5 ms", plot.text(0.0015, "seconds"))
        assert.equal("12 M/s", plot.text(12e6, "rate"))
    end)

    it("stands between its marks, where nothing else changes", function()
        local whole = files.read "scripts/bench/README.md"
        local once = growth_report.between_marks(whole, "one")
        assert.truthy(once:find("\none\n", 1, true))
        assert.equal(growth_report.between_marks(whole, "two"),
            growth_report.between_marks(once, "two"))
        assert.is_nil(growth_report.between_marks("no marks", "one"))
    end)

    it("has a program for each series, and no other", function()
        for _, series in ipairs(series_of_all) do
            assert.equal("file", lfs.attributes("scripts/bench/scale/" .. series.name .. ".lua",
                "mode"))
        end
    end)

    local function scale(arguments)
        return run.shell("exec $LUA scripts/bench/scale.lua --scale " .. arguments, 200)
    end

    it("has a driver that refuses what it does not know", function()
        for wrong, message in pairs {
            ["--fast"] = "unknown option --fast; --help lists them",
            ["--json"] = "--json needs a value",
            ["--into /tmp"] = "--into needs --readme",
            ["--readme --into /nowhere"] = "cannot read /nowhere/README.md",
            ["--readme --into ."] = "./README.md has no marks",
        } do
            local result = scale(wrong)
            assert.equal("bench: " .. message .. "\n", result.err)
            assert.equal(2, result.status)
        end
        assert.truthy(scale "size".err:find "no series is called size; there are messages depth ")
        assert.truthy(scale "--help".out:find "^usage: sh scripts/bench.sh %-%-scale ")
    end)

    it("is measured in small sizes, and written with plots", function()
        local folder <close> = run.folder()
        local into = tostring(folder)
        files.write(into .. "README.md", files.read "scripts/bench/README.md")
        local result = scale("--quick --json " .. into .. "x.json --readme --into " .. into)
        assert.equal("", result.err)
        assert.equal(0, result.status)
        assert.truthy(result.out:find "no figure means anything")
        local written = require "cjson".decode(files.read(into .. "x.json"))
        local readme = files.read(into .. "README.md")
        for _, series in ipairs(series_of_all) do
            assert.equal(#series.quick, #written.series[series.name], series.name)
            assert.truthy(readme:find("](plots/" .. series.name .. ".svg)", 1, true))
            assert.truthy(files.read(into .. "plots/" .. series.name .. ".svg"):find "^<svg ")
        end
    end)
end)
