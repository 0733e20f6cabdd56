-- A13: has 4 workers, two of them busy, when scoreboard.sh kills it with SIGKILL.
local mp = require "moonfork"

local pool = mp.Pool(4)
local begins = mp.Queue()
pool:map_async(function()
    begins:put(true)
    while true do end -- luacheck: ignore
end, { 1, 2 }, { chunksize = 1 })
begins:get()
begins:get()
print "ready"
io.stdout:flush()
mp.Queue():get()
