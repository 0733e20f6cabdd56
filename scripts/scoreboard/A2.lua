-- A2: after one of 20 tasks has killed its worker, the pool is used again.
local mp = require "moonfork"

local tasks = {}
for i = 1, 20 do
    tasks[i] = i
end

local pool <close> = mp.Pool(2)
local got = pool:map(function(n)
    if n == 7 then
        os.execute("kill -KILL " .. mp.getpid())
    end
    return n
end, tasks, { on_error = "collect" })
local lost = 0
for i = 1, 20 do
    lost = lost + (got[i] == i and 0 or 1)
end

got = pool:map(function(n) return n * n end, tasks)
for i = 1, 20 do
    assert(got[i] == i * i)
end
assert(lost == 1)
print("the pool goes on; 1 of 20 was lost")
