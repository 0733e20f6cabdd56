-- A17: is in the middle of a map when scoreboard.sh sends SIGINT to its group, as Ctrl-C does.
local mp = require "moonfork"

local pool <close> = mp.Pool(4)
local begins = mp.Queue()
local result = pool:map_async(function()
    begins:put(true)
    while true do end -- luacheck: ignore
end, { 1, 2, 3, 4 }, { chunksize = 1 })
for _ = 1, 4 do
    begins:get()
end
print "ready"
io.stdout:flush()
result:get()
