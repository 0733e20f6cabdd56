-- crash.lua [--full] [--list]: the workers of a pool are killed at each crash point that they come
-- to, and each map gives all its results all the same. Runs under a moonfork built with MF_FAULTS.
--
-- A worker is armed by the initializer, as long as there are tokens: so a certain number of workers
-- die, at a certain visit of theirs. --full: three workers each, and also at later visits.

local mp = require "moonfork"

local FEW <const> = 20 -- tasks of a map
local full = arg[1] == "--full"

if arg[1] == "--list" then
    for point in pairs(mp.debug._crash_visits()) do
        print(point)
    end
    return
end

-- Uses what there is: a child, a pipe, a queue, long results, results that mention objects.
local function task(n, q)
    local child
    if n % 5 == 0 then
        repeat -- a child may be struck in place of its parent
            local p = mp.spawn(function()
                return n
            end)
            local ok, value = pcall(p.get, p)
            child = ok and value
        until ok
        local a, b = mp.Pipe()
        a:send(n)
        b:recv()
        a:close()
    end
    q:put(n)
    q:put { n }
    q:get()
    q:get()
    return { n * n, ("x"):rep(n % 7 * 100), n % 3 == 0 and mp.Lock() or nil, child or n }
end

local function arm(tokens, point, visit)
    if tokens:get(0) then
        mp.debug._crash(point, visit)
    end
end

-- How often a worker comes to each point that is behind its initializer.
local function count_visits(q)
    local function visits()
        return mp.debug._crash_visits()
    end
    local pool <close> = mp.Pool { processes = 1, initializer = visits }
    pool:map(function(n)
        return task(n, q)
    end, { 5, 6, 7, 8, 9, 10 }, { chunksize = 2 })
    return pool:apply(visits)
end

-- Nothing, or what is wrong; and whether a worker was struck: what only a fresh family does may not
-- be done again.
local function strike(point, visit, victims)
    local tokens, q = mp.Queue(), mp.Queue()
    for i = 1, victims do
        tokens:put(i)
    end
    local items = {}
    for i = 1, FEW do
        items[i] = i
    end
    mp.debug._crash_struck()
    local pool <close> =
        mp.Pool { processes = 2, initializer = arm, initargs = { tokens, point, visit } }
    local ok, got = pcall(pool.map, pool, function(n)
        return task(n, q)
    end, items, { retries = 2 * victims, chunksize = 3 })
    if not ok then
        return tostring(got)
    end
    for i = 1, FEW do
        if got[i][1] ~= i * i or #got[i][2] ~= i % 7 * 100 or got[i][4] ~= i then
            return "result " .. i .. " is not right"
        end
    end
    pool:close()
    pool:join()
    return nil, mp.debug._crash_struck() ~= 0
end

-- The bindings have points of their own, which crash.c does not know.
local function of_bindings(point)
    local subject = point:match "^%a+"
    return subject == "transfer" or subject == "pipe" or subject == "target" or subject == "result"
end

-- The same, until a worker was struck if one must be: where the machine is busy, the other worker
-- may have done all tasks that come to the point.
local function strike_until_struck(point, visit, victims)
    local wrong, struck
    local tries = of_bindings(point) and 20 or 1
    repeat
        wrong, struck = strike(point, visit, victims)
        tries = tries - 1
    until wrong or struck or tries == 0
    return wrong, struck
end

local q = mp.Queue()
local visits = count_visits(q)
local points = {}
for point in pairs(visits) do
    points[#points + 1] = point
end
table.sort(points)

local passed, failed, maps = 0, 0, 0
for _, point in ipairs(points) do
    local wrong, struck
    for _, visit in ipairs(full and { 1, 2, 10 } or { 1 }) do
        if visits[point] >= visit and not wrong then
            local again
            wrong, again = strike_until_struck(point, visit, full and 3 or 1)
            struck = struck or again
            maps = maps + (again and 1 or 0)
        end
    end
    if not wrong and not struck and of_bindings(point) then
        wrong = "no worker was killed there"
    end
    if wrong then
        print("wrong: " .. point .. ": " .. wrong)
        failed = failed + 1
    elseif struck then
        passed = passed + 1
    end
end
print(maps .. " maps of " .. FEW .. " tasks in which workers were killed")
print(passed .. " passed, " .. failed .. " failed")
os.exit(failed == 0)
