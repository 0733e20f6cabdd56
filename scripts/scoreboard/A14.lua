-- A14: has a pool, a queue and a lock in use when scoreboard.sh kills all of it with SIGKILL.
local mp = require "moonfork"

local pool = mp.Pool(2)
local q, lock = mp.Queue(), mp.Lock()
pool:apply(function()
    local _ <close> = lock:guard()
    q:put(("x"):rep(1 << 20))
end)
print "ready"
io.stdout:flush()
mp.Queue():get()
