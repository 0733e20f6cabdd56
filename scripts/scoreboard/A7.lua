-- A7: a child puts 1000 messages of 1 KB and one of 64 MB; the parent joins it before it reads.
local mp = require "moonfork"

local q = mp.Queue()
local child = mp.spawn(function()
    for i = 1, 1000 do
        q:put(("%04d"):format(i) .. ("x"):rep(1020))
    end
    q:put(("y"):rep(64 << 20))
end)
assert(child:join(4))
for i = 1, 1000 do
    local text = q:get(0)
    assert(#text == 1024 and tonumber(text:sub(1, 4)) == i)
end
assert(#q:get(0) == 64 << 20 and q:qsize() == 0)
print "join returns, the messages are there"
