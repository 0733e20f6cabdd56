-- pool:apply runs one call in a worker and waits for it; all its results come back.
local mp = require "moonfork"

local function divide(a, b)
    return a // b, a % b, mp.getpid()
end

local pool <close> = mp.Pool(2)
local quotient, remainder, pid = pool:apply(divide, { 17, 5 })
print(("17 / 5 = %d, remainder %d"):format(quotient, remainder))
print(("Computed in another process: %s"):format(pid ~= mp.getpid()))

-- An error in the call is raised here, with the place where it happened.
local ok, err = pcall(pool.apply, pool, divide, { 1, 0 })
print(ok, err.kind, (err.message:gsub("^.*:%d+: ", "")))
