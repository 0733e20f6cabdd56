-- The leak audit: what this process had before a spec it has after it, no more. Put
--
--     require("spec.support.audit").install(before_each, after_each)
--
-- at the top of a describe block.

local files = require "spec.support.files"
local lfs = require "lfs"
local mp = require "moonfork"

local M = {}

local function names_in(folder)
    local names = {}
    for name in lfs.dir(folder) do
        if name ~= "." and name ~= ".." then
            names[#names + 1] = name
        end
    end
    return names
end

-- The state letter of a process, or nil when there is none of that pid: "Z" is a zombie.
function M.state_of(pid)
    local stat = files.read("/proc/" .. pid .. "/stat")
    return stat and stat:match "^%d+ %(.*%) (%a)"
end

-- Pids of the children, zombies too.
function M.children()
    local pids = {}
    for _, tid in ipairs(names_in "/proc/self/task") do
        for pid in (files.read("/proc/self/task/" .. tid .. "/children") or ""):gmatch "%d+" do
            pids[#pids + 1] = math.tointeger(tonumber(pid))
        end
    end
    return pids
end

local function count_files()
    return #names_in "/proc/self/fd"
end

-- Shared mappings: what the C library maps for itself comes and goes.
local function count_mappings()
    local n = 0
    for _ in (files.read "/proc/self/maps" or ""):gmatch "\n?%x+%-%x+ [r-][w-][x-]s " do
        n = n + 1
    end
    return n
end

function M.snapshot()
    collectgarbage()
    collectgarbage()
    mp.active_children() -- reaps those that have ended
    local counts = mp.debug.counts()
    local zombies, running = 0, 0
    for _, pid in ipairs(M.children()) do
        if M.state_of(pid) == "Z" then
            zombies = zombies + 1
        else
            running = running + 1
        end
    end
    return {
        children = running,
        zombies = zombies,
        files = count_files(),
        mappings = count_mappings(),
        blocks = counts.blocks,
        objects = counts.objects,
        slots = counts.slots,
        late_wakes = counts.late_wakes,
    }
end

-- What `after` has more than `before`, as one line; nil when there is nothing.
function M.compare(before, after)
    local leaks = {}
    for what, count in pairs(after) do
        if count > before[what] then
            leaks[#leaks + 1] = ("%s %d -> %d"):format(what, before[what], count)
        end
    end
    table.sort(leaks)
    return leaks[1] and "left behind: " .. table.concat(leaks, ", ")
end

function M.install(before_each, after_each)
    local before
    before_each(function()
        before = M.snapshot()
    end)
    after_each(function()
        local leak = M.compare(before, M.snapshot())
        if leak then
            error(leak, 0)
        end
    end)
end

-- Calls f until it gives something true, and gives that; an error after `seconds` (10), times
-- $MF_SLACK, in which it has looked a hundred times a second: a machine that has no time for this
-- process has none for the others either.
function M.eventually(f, seconds)
    seconds = (seconds or 10) * (tonumber(os.getenv "MF_SLACK") or 1)
    local last, looks = mp.time() + seconds, 0
    repeat
        local value = f()
        if value then
            return value
        end
        mp.sleep(0.002)
        looks = looks + 1
    until mp.time() > last and looks > 100 * seconds
    error("it did not come true in time", 2)
end

return M
