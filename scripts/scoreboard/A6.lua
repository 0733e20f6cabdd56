-- A6: a task raises an error that cannot be sent: a userdata, an object whose __tostring fails.
local mp = require "moonfork"

local pool <close> = mp.Pool(2)
local ok, err = pcall(pool.apply, pool, function() error(io.tmpfile()) end)
assert(not ok and err.kind == "error" and err.message:find "FILE" or err.message:find "file")

ok, err = pcall(pool.apply, pool, function()
    error(setmetatable({}, { __tostring = function() error "no text" end }))
end)
assert(not ok and err.kind == "error" and #err.message > 0)
assert(pool:apply(math.abs, { -1 }) == 1)
print "an error with a text, both times"
