-- A11: one worker that is replaced after two tasks, 6 tasks.
local mp = require "moonfork"

local pool <close> = mp.Pool { processes = 1, maxtasksperchild = 2 }
local pids, n = {}, 0
for _, pid in ipairs(pool:map(mp.getpid, { 1, 2, 3, 4, 5, 6 }, { chunksize = 1 })) do
    n = n + (pids[pid] and 0 or 1)
    pids[pid] = true
end
assert(n == 3)
print "6 results from 3 pids"
