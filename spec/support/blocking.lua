-- Every call that waits, as Lua text: a list of { name, before =, call =, after = }. `before`
-- makes what is waited for, with `mp` in scope; `call` waits for ever; `after` uses what the call
-- was interrupted at, and raises when it is not as it was before. Where `busy`, it does not sleep.

local pool = [[
    local go = mp.Queue()
    local pool = mp.Pool(1)
    local function wait(n)
        return n, go:get()
    end]]

-- The task of the interrupted call goes on, and the pool takes more.
local pool_works = [[
    go:put "gone on"
    assert(pool:apply(math.abs, { -3 }) == 3)
    assert(go:qsize() == 0)]]

-- A task that no worker had begun is cancelled with the loop.
local pool_takes_more = [[
    go:put "gone on"
    assert(pool:apply(math.abs, { -3 }) == 3)
    assert(go:qsize() <= 1)]]

local process = [[
    local go = mp.Queue()
    local p = mp.spawn(function() return go:get() end)]]

local process_goes_on = [[
    assert(p:is_alive() and p.exitcode == nil)
    go:put "gone on"
    assert(p:get(10) == "gone on" and p.exitcode == 0)]]

local full = [[
    local q = mp.Queue(1)
    q:put "first"]]

-- What was not put is not there, what was there is.
local still_full = [[
    assert(q:qsize() == 1 and q:get(5) == "first" and q:qsize() == 0)
    assert(q:put "second" and q:get(5) == "second" and q:stats().lost == 0)]]

local queue = "local q = mp.Queue()"

local queue_works = [[
    assert(q:put "x" and q:get(5) == "x" and q:stats().got == 1)]]

local pipe = "local a, b = mp.Pipe()"

local pipe_works = [[
    assert(b:send "x" and a:poll(5) and a:recv(5) == "x")]]

local held = [[
    local lock = mp.Lock()
    lock:acquire()]]

local lock_works = [[
    assert(lock:acquire(0) == nil)
    lock:release()
    assert(lock:acquire(5) == true)]]

local function calls_of(before, after, names)
    local calls = {}
    for i, call in ipairs(names) do
        calls[i] = { call, before = before, call = call, after = after }
    end
    return table.unpack(calls)
end

local M = {}

local function add(...)
    for _, call in ipairs { ... } do
        M[#M + 1] = call
    end
end

add(calls_of(queue, queue_works, {
    "q:get()",
    "q:get(1000)",
    "for _ in q:iter() do end",
    "coroutine.wrap(function() q:get() end)()",
}))
add(calls_of(full, still_full, {
    "q:put(1)",
    "q:put(1, 1000)",
    "q:put { 'a', 'table' }",
    "q:put(('a long text'):rep(10000))",
}))
add(calls_of(process, process_goes_on, { "p:join()", "p:join(1000)", "p:get()" }))
add {
    "the end of the scope of a process",
    before = process,
    call = "do local scope <close> = p end",
    after = process_goes_on,
}
add(calls_of(pool, pool_works, {
    "pool:map(wait, { 1 })",
    "pool:starmap(wait, { { 1 } })",
    "pool:apply(wait, { 1 })",
}))
add(calls_of(pool, pool_takes_more, {
    "for _ in pool:imap(wait, { 1 }) do end",
    "for _ in pool:imap_unordered(wait, { 1 }) do end",
}))
add(calls_of(pool .. " local result = pool:submit(wait, 1)", [[
    go:put "gone on"
    assert(select(2, result:get(10)) == "gone on")
    assert(pool:apply(math.abs, { -3 }) == 3)]], { "result:get()", "result:wait()" }))
add(calls_of(pool .. " local result = pool:submit(wait, 1) pool:close()", [[
    go:put "gone on"
    assert(pool:join(10))
    assert(select(2, result:get(0)) == "gone on")]], { "pool:join()", "pool:join(1000)" }))
add {
    "the end of the scope of a pool",
    before = pool .. " local result = pool:submit(wait, 1)",
    call = "do local scope <close> = pool end",
    after = [[
        go:put "gone on"
        assert(select(2, result:get(10)) == "gone on")]],
}
add(calls_of(held, lock_works, { "lock:acquire()", "lock:acquire(1000)", "lock:guard()" }))
add(calls_of(pipe, pipe_works, { "a:recv()", "a:recv(1000)", "a:poll(1000)" }))
add { "mp.sleep(1000)", before = "", call = "mp.sleep(1000)", after = "mp.sleep(0.01)" }
add { "while true do end", before = "", call = "while true do end", after = "", busy = true }

return M
