-- The memory of a process and of all that descend from it: the sum of their PSS, in which a page
-- that several share counts once. What no living process has touched of the arena is not in it: so
-- the main process of each program puts or gets each message itself.

local mp = require "moonfork"

local M = {}

local function read(path)
    local file <close> = io.open(path)
    return file and file:read "a" or "" -- a process may end at any moment
end

-- The pids of a process and its descendants.
function M.pids(pid, list)
    list = list or {}
    list[#list + 1] = pid
    for child in read(("/proc/%d/task/%d/children"):format(pid, pid)):gmatch "%d+" do
        M.pids(tonumber(child), list)
    end
    return list
end

-- Bytes of a process and its descendants.
function M.memory(pid)
    local sum = 0
    for _, member in ipairs(M.pids(pid)) do
        local pss = read(("/proc/%d/smaps_rollup"):format(member)):match "\nPss: *(%d+) kB"
        sum = sum + 1024 * (tonumber(pss) or 0)
    end
    return sum
end

local function watch(pid, till)
    local most = 0
    repeat
        local begin = mp.time()
        most = math.max(most, M.memory(pid))
        -- A look at gigabytes takes time from those who work.
    until till:get(math.max(0.005, 10 * (mp.time() - begin)))
    return most
end

-- Calls f(look), and gives the most memory that was there meanwhile: at the calls of look, and as
-- often as a process of its own has looked, whose memory is in it, too.
function M.peak(f)
    local most, pid, till = 0, mp.getpid(), mp.Queue()
    local watcher <close> = mp.spawn(watch, pid, till)
    f(function()
        most = math.max(most, M.memory(pid))
    end)
    till:put(true)
    return math.max(most, (watcher:get()))
end

return M
