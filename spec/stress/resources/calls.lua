-- Lets the system calls of a scenario fail, one after the other, all in one Lua state. Run by
-- spec/stress/resources.sh with faults.so preloaded:
--
--     moonfork calls.lua FOLDER SCENARIO MOST [CALL ERROR [FIRST]]
--
-- Without CALL: lists the calls that the scenario makes, "CALL COUNT CHILD" a line: how often this
-- process makes it, and the child that makes it most often. With it: strace attaches to this
-- process, lets call number 1, 2 ... MOST fail in this process and in each child, and leaves; after
-- each the failure was clean, the scenario does its work again, and nothing is left.

local folder, name, most, call, errno, start = table.unpack(arg)
local here = arg[0]:match "^(.*)/"
package.path = here .. "/?.lua;" .. here .. "/../../../?.lua;" .. package.path

local faults = assert(package.loadlib(folder .. "/faults.so", "luaopen_faults"))()
local scenarios = require "scenarios"
local mp = require "moonfork"
local audit = require "spec.support.audit"
local judge = require "judge"

local scenario = scenarios[name]
local log = ("%s/%s.%s.%s.strace"):format(folder, name, call or "all", errno or "none")

local function out(...)
    io.stdout:write(string.format(...), "\n")
    io.stdout:flush()
end

-- Runs the scenario under strace with these options.
local function traced(...)
    local traces, said = faults.trace("-o", log, "-a", "0", ...)
    local ok, e = pcall(scenario, mp)
    faults.untrace()
    if not traces then
        error("strace does not attach: " .. said)
    end
    return ok, e
end

-- The calls in the log: by pid, by name; and whether one was made to fail.
local function read_log()
    local pids, injected = {}, 0
    for line in io.lines(log) do
        local pid, made = line:match "^(%d+) ([%w_]+)%("
        if pid then
            pids[pid] = pids[pid] or {}
            pids[pid][made] = (pids[pid][made] or 0) + 1
        end
        if line:find "%(INJECTED%)" then
            injected = injected + 1
        end
    end
    return pids, injected
end

local function list()
    assert(traced())
    local own, children = {}, {}
    for pid, calls in pairs((read_log())) do
        local counts = pid == tostring(mp.getpid()) and own or children
        for made, n in pairs(calls) do
            counts[made] = math.max(counts[made] or 0, n)
            own[made] = own[made] or 0
        end
    end
    for made, n in pairs(own) do
        out("%s %d %d", made, n, children[made] or 0)
    end
end

for _ = 1, 2 do
    scenario(mp)
end
if not call then
    list()
    return
end
local function snapshot()
    local all = audit.snapshot()
    all.missing_processors = -mp.cpu_count()
    return all
end

local before = snapshot()
local tried = 0
for n = math.tointeger(start or 1), math.tointeger(most) do
    out("at %d", n)
    local ok, e = traced("-e", "trace=" .. call, "-e",
        ("inject=%s:error=%s:when=%d"):format(call, errno, n))
    local complaint = not ok and judge.refusal(e)
    local _, injected = read_log()
    if injected == 0 then
        break
    end
    tried = tried + 1
    local again, why = pcall(scenario, mp)
    if not complaint and not again then
        complaint = "the next run fails: " .. judge.text(why)
    end
    complaint = complaint or audit.compare(before, snapshot())
    if complaint then
        out("bad %d: %s", n, complaint:gsub("\n", " | "))
        before = snapshot()
    end
end
out("tried %d", tried)
