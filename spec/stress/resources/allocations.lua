-- Lets the allocations of a scenario fail, one after the other, all in one Lua state. Run by
-- spec/stress/resources.sh with faults.so preloaded:
--
--     moonfork allocations.lua FOLDER SCENARIO WHO COUNT MOST [FIRST]
--
-- FOLDER holds faults.so; WHO and COUNT are those of arm() (faults.c); MOST is how many failures to
-- try, spread over all that there are (0: every one), from number FIRST on. After each: the
-- failure was clean, the scenario does its work again, and nothing is left.
--
-- Prints "at N" before each, and "bad N: ..." for what is wrong; at the end "tried N of M, K
-- finalisers": so many had no memory to be called. Lua does not call them again, so what they would
-- have given back stays to the end of the process; all else must be given back.

local folder, name, who, count, most, start = table.unpack(arg)
local here = arg[0]:match "^(.*)/"
package.path = here .. "/?.lua;" .. here .. "/../../../?.lua;" .. package.path

local faults = assert(package.loadlib(folder .. "/faults.so", "luaopen_faults"))()
local scenarios = require "scenarios"
local mp = require "moonfork"
local audit = require "spec.support.audit"
local judge = require "judge"

count, most = math.tointeger(count), math.tointeger(most)
local scenario = scenarios[name]

local function out(...)
    io.stdout:write(string.format(...), "\n")
    io.stdout:flush()
end

local function run()
    local ok, e = pcall(scenario, mp)
    return ok, e
end

local function live()
    collectgarbage()
    collectgarbage()
    return faults.live()
end

-- Runs it with the failure; how many allocations failed, what was wrong.
local function strike(n)
    faults.arm(n, count, who)
    local ok, e = run()
    local failed = faults.disarm()
    return failed, not ok and judge.complaint(e, who == "parent")
end

-- What is wrong after the failure, in one line, or nil.
local function aftermath(before)
    local ok, e = run()
    if not ok then
        return "the next run fails: " .. judge.text(e)
    end
    return audit.compare(before, audit.snapshot())
end

local blocks -- of malloc, as few as there were after a run

-- Does failing at n leave blocks of malloc behind, each time that it fails there?
local function leak(n)
    local now, lost = live(), faults.unfinalised()
    for _ = 1, 6 do
        if now <= blocks or faults.unfinalised() > lost then
            blocks = now
            return nil
        end
        local last = now
        strike(n)
        run()
        now = live()
        if now <= last then
            blocks = now
            return nil
        end
    end
    local more = now - blocks
    blocks = now
    return ("blocks of malloc are left each time (%d more)"):format(more)
end

for _ = 1, 3 do -- what is made once is made
    scenario(mp)
end
faults.arm(math.maxinteger, 1, who)
scenario(mp)
local _, parent, child = faults.disarm()
local all = who == "child" and child or parent
local step = most > 0 and math.max(1, all // most) or 1
local before = audit.snapshot()
blocks = live()

local n, tried, unfinalised = math.tointeger(start or 1), 0, 0
while n <= all + 10 do
    out("at %d", n)
    local failed, complaint = strike(n)
    if failed == 0 then
        break
    end
    tried = tried + 1
    local lost = faults.unfinalised()
    if lost > unfinalised then
        unfinalised = lost
        run()
        before, blocks = audit.snapshot(), live()
    end
    complaint = complaint or aftermath(before) or leak(n)
    if complaint then
        out("bad %d: %s", n, complaint:gsub("\n", " | "))
        audit.snapshot()
        run()
        before, blocks = audit.snapshot(), live()
    end
    n = n + step
end
out("tried %d of %d, %d finalisers", tried, all, unfinalised)
