-- A1: Pool(2), 20 tasks, one of which does `kill -9` of itself.
local mp = require "moonfork"

local function task(n)
    if n == 7 then
        os.execute("kill -KILL " .. mp.getpid())
    end
    return n * n
end

local tasks = {}
for i = 1, 20 do
    tasks[i] = i
end

local pool <close> = mp.Pool(2)
local got = pool:map(task, tasks, { on_error = "collect" })
local results = 0
for i = 1, 20 do
    results = results + (got[i] == i * i and 1 or 0)
end
local err = got[7]
assert(results == 19 and err.signal == 9 and err.pid and err.index == 7, err)

-- With a retry, where only the first try is killed.
local once = mp.Queue()
once:put "kill"
got = pool:map(function(n)
    if n == 7 and once:get_nowait() then
        os.execute("kill -KILL " .. mp.getpid())
    end
    return n * n
end, tasks, { retries = 1 })
for i = 1, 20 do
    assert(got[i] == i * i)
end
print("19 results, 1 error (signal, pid, task); all with a retry")
