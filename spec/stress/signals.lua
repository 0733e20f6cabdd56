-- signals.lua MODE COUNT SEED: a family with producers, consumers, a pool and a lock at work, while
-- signals come at it. MODE
--
--   stops       COUNT times a process, the first one among them, is stopped at a random moment and
--               goes on a little later
--   storm       a timer interrupts each process, a thousand times a second, for COUNT seconds
--   interrupts  a timer raises errors in a consumer and a producer, as Ctrl-C does, for COUNT
--               seconds
--
-- Checks that nothing is lost, doubled or out of order, and prints a line of a table. Run by
-- signals.sh.

local mp = require "moonfork"
local probe = require "signals_probe"

local mode, count, seed = arg[1], tonumber(arg[2]), tonumber(arg[3])
math.randomseed(seed)

local SIGSTOP, SIGCONT, SIGKILL = 19, 18, 9

local q, results, lock, counter = mp.Queue(64), mp.Queue(), mp.Lock(), mp.Queue(1)
local stop = mp.Queue() -- closed when all is to end
counter:put(0)

local function shake()
    if mode == "storm" then
        probe.storm(1000, math.random(2) == 1)
    end
end

-- Puts numbers until the end; raises nothing, whatever interrupts it.
local function produce(who)
    shake()
    local n = 0
    while not stop:is_closed() do
        local text = ("x"):rep(n % 50 == 0 and 5000 or n % 90)
        assert(q:put { who, n + 1, text })
        n = n + 1
    end
    results:put { "produced", n }
end

local function consume()
    shake()
    local last, n = {}, 0
    for message in q:iter() do
        local who, number, text = table.unpack(message)
        assert(number > (last[who] or 0), "out of order, or twice")
        assert(#text == ((number - 1) % 50 == 0 and 5000 or (number - 1) % 90), "torn")
        last[who] = number
        n = n + 1
    end
    results:put { "consumed", n }
end

local function add()
    shake()
    local n = 0
    while not stop:is_closed() do
        local guard <close> = lock:guard() -- luacheck: ignore
        counter:put(counter:get_nowait() + 1)
        n = n + 1
    end
    results:put { "added", n }
end

-- Stops and continues at random, with nothing of moonfork in it; gives its pid.
local function start_driver(pids)
    local driver = probe.fork()
    if driver ~= 0 then
        return driver
    end
    for _ = 1, count do
        local pid = pids[math.random(#pids)]
        probe.kill(pid, SIGSTOP)
        probe.pause(math.random() * 0.02)
        probe.kill(pid, SIGCONT)
        probe.pause(math.random() * 0.005)
    end
    probe.exit(0)
end

local function all_work(pool, ended)
    local tasks = 0
    repeat
        local sum = 0
        for i, n in pool:imap_unordered(function(n) return n * n end, mp.iter(ipairs {
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }), { chunksize = 2 }) do
            assert(n == i * i)
            sum = sum + n
        end
        assert(sum == 385)
        tasks = tasks + 10
    until ended()
    return tasks
end

local function run_family()
    local children = { mp.spawn(produce, 1), mp.spawn(produce, 2), mp.spawn(consume),
        mp.spawn(consume), mp.spawn(add), mp.spawn(add) }
    local pool = mp.Pool { processes = 2, initializer = shake }
    local pids = pool:pids()
    for _, p in ipairs(children) do
        pids[#pids + 1] = p.pid
    end
    pids[#pids + 1] = mp.getpid()
    local driver = mode == "stops" and start_driver(pids)
    shake()
    local last = mp.time() + count
    local tasks = all_work(pool, function()
        return driver and probe.wait(driver, true) ~= 0 or not driver and mp.time() > last
    end)
    stop:close()
    for _, i in ipairs { 1, 2, 5, 6 } do
        children[i]:get()
    end
    q:close()
    children[3]:get()
    children[4]:get()
    pool:close()
    pool:join()
    probe.storm(0)
    return tasks
end

local function check_family()
    local tasks = run_family()
    local sums = { produced = 0, consumed = 0, added = 0 }
    for _ = 1, 6 do
        local what, n = table.unpack(results:get(10))
        sums[what] = sums[what] + n
    end
    local stats = q:stats()
    assert(sums.produced == sums.consumed, "messages were lost or doubled")
    assert(stats.put == sums.produced and stats.got == stats.put and stats.lost == 0)
    assert(counter:get(0) == sums.added, "two were in the lock at a time")
    return stats.put, tasks
end

-- Runs f with errors that come as Ctrl-C does. The hook that raises stands in the main thread;
-- here, in a coroutine, only calls that wait hear of it: so each error says of one call that it did
-- nothing.
local function interrupted(f)
    local main = coroutine.running()
    return coroutine.wrap(function()
        local result = table.pack(f(function()
            probe.storm(0)
            debug.sethook(main)
        end))
        return table.unpack(result, 1, result.n)
    end)()
end

local function send(finish)
    local n, raised, last = 0, 0, mp.time() + count
    probe.interrupts(997)
    while mp.time() < last do
        if pcall(q.put, q, n + 1) then
            n = n + 1
        else
            raised = raised + 1
        end
    end
    finish()
    q:close()
    return n, raised
end

local function receive(finish)
    local n, raised = 0, 0
    probe.interrupts(991)
    while true do
        local ok, message, _, code = pcall(q.get, q)
        if code == "closed" then
            break
        elseif ok then
            n = n + 1
            assert(message == n, "lost, doubled or out of order")
        else
            assert(tostring(message):find "interrupted!", message)
            raised = raised + 1
            probe.pause(0.002) -- so that the sender meets a full queue
        end
    end
    finish()
    return n, raised
end

local function check_interrupts()
    local sender = mp.spawn(interrupted, send)
    local got, raised = interrupted(receive)
    local put, raised_there = sender:get(10)
    local stats = q:stats()
    assert(put == got and stats.put == put and stats.got == got and stats.lost == 0)
    assert(raised > 0 and raised_there > 0, "nothing was interrupted")
    return put, 0
end

-- A hang is told by its end.
local main = mp.getpid()
local watchdog = probe.fork()
if watchdog == 0 then
    probe.pause(120 + (mode == "stops" and count // 10 or 4 * count))
    io.stderr:write("signals.lua ", mode, " hangs, seed ", seed, "\n")
    probe.kill(main, SIGKILL)
    probe.exit(0)
end
local guard <close> = setmetatable({}, { -- luacheck: ignore
    __close = function()
        probe.kill(watchdog, SIGKILL)
        probe.wait(watchdog)
    end,
})
local began = mp.time()
local messages, tasks = (mode == "interrupts" and check_interrupts or check_family)()
assert(mode ~= "storm" or probe.handled() > 100 * count)
local line = "%-11s %7d %10d %10d %7.1f  %d"
print(line:format(mode, count, messages, tasks, mp.time() - began, seed))
