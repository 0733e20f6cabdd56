-- Lets the system calls of a scenario fail, one after the other, all in one Lua state. Run by
-- spec/stress/resources.sh with faults.so preloaded:
--
--     moonfork calls.lua FOLDER SCENARIO MOST [CALL ERROR... [FIRST]]
--
-- Without CALL: lists the calls that the scenario makes, "CALL COUNT CHILD" a line: how often this
-- process makes it, and the child that makes it most often. With it: for each of the errors strace
-- attaches to this process, lets call number 1, 2 ... MOST (0: every one) fail in this process and
-- in each child, and leaves; after each the failure was clean, the scenario does its work again,
-- and nothing is left. FIRST is the number of the failure to begin with. Output as of
-- allocations.lua.

local folder, name, most, call = table.unpack(arg)
most = math.tointeger(most) > 0 and math.tointeger(most) or math.maxinteger
local errors, start = { table.unpack(arg, 5) }, 1
if math.tointeger(errors[#errors]) then
    start = math.tointeger(table.remove(errors))
end
local here = arg[0]:match "^(.*)/"
package.path = here .. "/?.lua;" .. here .. "/../../../?.lua;" .. package.path

local faults = assert(package.loadlib(folder .. "/faults.so", "luaopen_faults"))()
local scenarios = require "scenarios"
local mp = require "moonfork"
local audit = require "spec.support.audit"
local judge = require "judge"

local scenario = scenarios[name]
local log = ("%s/%s.%s.strace"):format(folder, name, call or "all")

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
local number, tried = 0, 0 -- of all failures

-- Lets call n fail with the error; false when the scenario does not make so many.
local function strike(n, errno)
    local ok, e = traced("-e", "trace=" .. call, "-e",
        ("inject=%s:error=%s:when=%d"):format(call, errno, n))
    local complaint = not ok and judge.refusal(e)
    local _, injected = read_log()
    if injected == 0 then
        return false
    end
    tried = tried + 1
    local again, why = pcall(scenario, mp)
    if not complaint and not again then
        complaint = "the next run fails: " .. judge.text(why)
    end
    complaint = complaint or audit.compare(before, snapshot())
    if complaint then
        out("bad %d: call %d, %s: %s", number, n, errno, complaint:gsub("\n", " | "))
        before = snapshot()
    end
    return true
end

for _, errno in ipairs(errors) do
    for n = 1, most do
        number = number + 1
        out("at %d", number)
        if number >= start and not strike(n, errno) then
            break
        end
    end
end
out("tried %d of %d", tried, number)
