-- A5: the holder of a lock is killed.
local mp = require "moonfork"

local lock, held = mp.Lock(), mp.Queue()
local holder = mp.spawn(function()
    lock:acquire()
    held:put(true)
    mp.sleep(100)
end)
held:get()
holder:kill()

local ok, how = lock:acquire()
assert(ok and how == "abandoned")
print "acquired, and told: abandoned"
