-- A16: the initializer of a pool raises.
local mp = require "moonfork"

local start = mp.time()
local pool <close> = mp.Pool { processes = 2, initializer = function() error "no database" end }
local ok, err = pcall(pool.map, pool, math.abs, { 1, 2, 3 })
assert(not ok and err.message:find "no database" and mp.time() - start < 2)
pool:terminate()
print "one error at once"
