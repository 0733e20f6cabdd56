-- A3: a getter that sleeps in q:get() is killed; then put and get.
local mp = require "moonfork"

local q = mp.Queue()
local getter = mp.spawn(function() q:get() end)
mp.sleep(0.3) -- it sleeps by now
getter:kill()
getter:join()

local start = mp.time()
q:put "message"
assert(q:get(3) == "message")
assert(mp.time() - start < 0.2)
print "got at once"
