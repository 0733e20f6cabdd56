-- Short jobs that together use the whole of the module. Each may be run again and again in the same
-- state, leaves nothing behind however it ends, and tells a wrong result from a failure: what is
-- not as it should be raises "WRONG: ...", a failure is raised as it came.
--
-- Used by the runners of spec/stress/resources.sh.

local M = { names = { "codec", "queue", "pipe", "lock", "process", "ending", "zygote", "pool",
    "lazy", "workers", "shared", "local" } }

local function wrong(text, ...)
    error("WRONG: " .. text:format(...), 0)
end

local function same(expected, got, what)
    if expected ~= got or math.type(expected) ~= math.type(got) then
        -- A refusal is told as nil, message, code: what is nil here may be that.
        wrong("%s: %s expected, got %s", what, tostring(expected), tostring(got))
    end
end

-- The values of a call that may answer nil, message, code: that is a failure, raised.
local function must(value, message, code)
    if value == nil and code then
        error({ code = code, message = message }, 0)
    end
    return value, message
end

-- f fails with a text; the error object. Another failure is raised on.
local function failure(text, f, ...)
    local ok, e = pcall(f, ...)
    if ok then
        wrong("a failure with '%s' expected, got %s", text, tostring(e))
    elseif not tostring(e):find(text, 1, true) then
        error(e, 0)
    end
    return e
end

-- The process has ended before its time: raises why.
local function ended(p)
    p:get(20)
    wrong("process '%s' ended too early", p.name)
end

-- What a process sends; its failure if it ends without.
local function from(p, get)
    repeat
        local over = not p:is_alive()
        local value, message, code = get(over and 0 or 0.2)
        if value ~= nil then
            return value
        elseif over or code == "closed" then
            ended(p)
        elseif code ~= "timeout" and code ~= "empty" then
            must(value, message, code)
        end
    until false
end

local Point = {}
Point.__index = Point
function Point.new(x, y)
    return setmetatable({ x = x, y = y }, Point)
end
function Point:sum()
    return self.x + self.y
end

local function deep(n)
    local t = {}
    local top = t
    for i = 1, n do
        t.next = { i }
        t = t.next
    end
    return top
end

-- One of each kind of value, and the checks of its copy.
local function everything()
    local shared = { "shared" }
    local up, count = 40, 0
    local t = {
        integer = 1 << 40, float = 0.5, nan = 0 / 0, minus = -0.0, yes = true, no = false,
        short = "short", long = ("long"):rep(3000), bytes = "\0\255\n", empty = {},
        list = { 1, 2, 3, nil, 5 }, numbers = {}, floats = {}, [1.5] = "float", [true] = "boolean",
        shared = shared, again = shared, point = Point.new(1, 2), deep = deep(40),
        add = function(n)
            count = count + 1
            return n + up, count
        end,
        counted = function()
            return count
        end,
        standard = string.format, file = io.stdout, module = string,
    }
    for i = 1, 100 do
        t.numbers[i] = i * 1000
        t.floats[i] = i / 3
    end
    t.self = t
    t[shared] = "key"
    return t
end

local function check_everything(t)
    same(1 << 40, t.integer, "integer")
    same(0.5, t.float, "float")
    same(true, t.nan ~= t.nan, "nan")
    same(-math.huge, 1 / t.minus, "minus zero")
    same(("long"):rep(3000), t.long, "long string")
    same("\0\255\n", t.bytes, "bytes")
    same(5, t.list[5], "list")
    same(100000, t.numbers[100], "numbers")
    same(100 / 3, t.floats[100], "floats")
    same(t, t.self, "cycle")
    same(t.shared, t.again, "shared")
    same("key", t[t.shared], "table as a key")
    same(3, t.point:sum(), "method")
    same(40, t.deep.next and t.add(0), "upvalue")
    local sum, n = t.add(2)
    same(42, sum, "function")
    same(2, n, "upvalue of its own")
    same(2, t.counted(), "shared upvalue")
    same(string.format, t.standard, "standard function")
    same(io.stdout, t.file, "standard file")
end

function M.codec(mp)
    local q <close> = mp.Queue()
    must(q:put(everything()))
    check_everything(must(q:get(0)))
    must(q:put(mp.Lock()))
    same(true, must(must(q:get(0)):acquire(0)), "a lock that came along")
    failure("cannot send a coroutine", q.put, q, { job = { co = coroutine.create(print) } })
    local hook = setmetatable({}, {
        __mf_encode = function()
            error("hook fails", 0)
        end,
    })
    failure("hook fails", q.put, q, { hook })
    same(0, q:qsize(), "refused values in the queue")
end

function M.queue(mp)
    local bounded <close> = mp.Queue(2)
    local q <close> = mp.Queue { maxsize = 0 }
    must(bounded:put "one")
    must(bounded:put { 2 })
    local value, message, code = bounded:put(3, 0.001)
    same("timeout", value == nil and code, "full: " .. tostring(message))
    value, message, code = bounded:put_nowait(("3"):rep(5000))
    same("full", value == nil and code, "full: " .. tostring(message))
    same("one", must(bounded:get()), "first")
    same(2, must(bounded:get())[1], "second")
    value, message, code = bounded:get(0.001)
    same("timeout", value == nil and code, "empty: " .. tostring(message))
    for i = 1, 40 do
        must(q:put(i % 4 == 0 and { i } or i % 4 == 1 and ("x"):rep(i * 200) or i))
    end
    local inner = mp.Queue()
    must(q:put(inner))
    must(q:put { inner, mp.Lock(), mp.Queue() })
    inner = nil -- luacheck: ignore
    q:close()
    local n = 0
    for _ in q:iter() do
        n = n + 1
    end
    same(42, n, "messages")
    failure("closed", q.put, q, 1)
    local p <close> = mp.spawn(function(out)
        for i = 1, 5 do
            assert(out:put { i, ("y"):rep(5000) })
        end
    end, bounded)
    for i = 1, 5 do
        local got = from(p, function(t)
            return bounded:get(t)
        end)
        same(i, got[1], "order")
        same(5000, #got[2], "length")
    end
    same(true, p:join(20), "join")
    same(0, p.exitcode, "exit code")
end

function M.pipe(mp)
    local a, b = mp.Pipe()
    local closed <close> = a -- luacheck: ignore
    must(a:send { "there" })
    same(true, must(b:poll(1)), "poll")
    same("there", must(b:recv(1))[1], "message")
    local reader, writer = mp.Pipe(false)
    local shut <close> = reader -- luacheck: ignore
    failure("sending", reader.recv, writer, 0)
    local p <close> = mp.spawn(function(c, w)
        assert(w:send(c:recv(20):upper()))
    end, b, writer)
    b:close()
    writer:close()
    local sent, why = pcall(a.send, a, "ping")
    if not sent and tostring(why):find "other end" then
        ended(p)
    elseif not sent then
        error(why, 0)
    end
    local got = from(p, function(t)
        return reader:recv(t)
    end)
    same("PING", got, "answer")
    same(true, p:join(20), "join")
    local value, _, code = a:recv(20)
    same("closed", value == nil and code, "the other end is gone")
end

function M.lock(mp)
    local lock = mp.Lock()
    same(true, must(lock:acquire()), "acquire")
    local value, _, code = lock:acquire(0.001)
    same("timeout", value == nil and code, "held")
    lock:release()
    do
        local guard <close> = must(lock:guard(1)) -- luacheck: ignore
        local p <close> = mp.spawn(function(l)
            return (l:acquire(0))
        end, lock)
        same(nil, (p:get()), "held by the other")
    end
    local p <close> = mp.spawn(function(l)
        l:acquire()
        os.exit(0)
    end, lock)
    p:join(20)
    same(0, p.exitcode, "exit code")
    local got, how = must(lock:acquire(5))
    same(true, got, "passed on")
    same("abandoned", how, "told")
    lock:release()
    failure("nobody holds", lock.release, lock)
end

local kept = assert(io.open("/dev/null")) -- for no child

function M.process(mp)
    local t = everything()
    local function work(values, n)
        check_everything(values)
        for fd = 3, 8 do
            if io.open("/proc/self/fdinfo/" .. fd) then
                error("WRONG: a descriptor of the parent's is open", 0)
            end
        end
        if io.read(1) then
            error("WRONG: stdin is the parent's", 0)
        end
        return n + 1, { values.point, Point.new(n, n):sum() }, nil
    end
    local p <close> = mp.Process { name = "worker", target = work, args = { t, 20 }, seed = 1 }
    same("worker", p:start().name, "name")
    same("file", io.type(kept), "a file of the parent's")
    local n, list, none = p:get(20)
    same(21, n, "result")
    same(3, list[1]:sum(), "object")
    same(40, list[2], "sum")
    same(nil, none, "nil result")
    same(0, p.exitcode, "exit code")
    same(0, #mp.active_children(), "children")
    local q <close> = mp.Process(function()
        local mine = require "moonfork"
        local inner = mine.spawn(function()
            return "grandchild of " .. math.type(mine.getpid())
        end)
        return inner:get(), mine.current_process().name
    end, nil, { name = "middle", daemon = false })
    local text, name = q:start():get(20)
    same("grandchild of integer", text, "grandchild")
    same("middle", name, "current process")
end

function M.zygote(mp)
    local _ <close> = setmetatable({}, { __close = function()
        mp.set_start_method("fork")
    end })
    mp.set_start_method("zygote", { preload = { "string" } })
    local long = ("0123456789"):rep(5000)
    local p <close> = mp.spawn(function(text)
        return #text, mp.get_start_method()
    end, long)
    local n, method = p:get(20)
    same(50000, n, "result")
    same("fork", method, "start method of a child")
    local pool <close> = mp.Pool(1)
    same(49, pool:apply(function(x)
        return x * x
    end, { 7 }), "square")
end

function M.ending(mp)
    local p <close> = mp.spawn(function()
        local function inner()
            error({ "an object", "boom" })
        end
        inner()
    end)
    local e = failure("table value", p.get, p, 20)
    same("error", e.kind, "kind")
    same("boom", e.value and e.value[2], "value")
    same(1, p.exitcode, "exit code")
    same(true, e.traceback:find "inner" ~= nil, "traceback")
    local q <close> = mp.spawn(os.exit, 7)
    same(7, failure("status 7", q.get, q, 20).exitcode, "exit code")
    local r <close> = mp.spawn(mp.sleep, 30)
    if mp.active_children()[1] ~= r then
        ended(r)
    end
    r:kill()
    same(9, failure("signal 9", r.get, r, 20).signal, "signal")
    local s <close> = mp.spawn(function()
        return coroutine.create(print)
    end)
    same("unsendable", failure("cannot send a coroutine", s.get, s, 20).kind, "kind")
    do
        local u <close> = mp.spawn(mp.sleep, 30)
        if u:join(0.01) then
            ended(u)
        end
        same("timeout", failure("not ended in time", u.get, u, 0).kind, "kind")
        u:terminate()
        u:join(20)
        same(-15, u.exitcode, "exit code")
        u:close()
    end
    failure("cannot send a coroutine", mp.spawn, function() end, coroutine.create(print))
end

local function square(n)
    return n * n
end

function M.pool(mp)
    local pool <close> = mp.Pool(1)
    local got = pool:map(square, { 1, 2, 3, 4, 5 })
    same("1 4 9 16 25", table.concat(got, " "), "map")
    got = pool:starmap(function(a, b)
        return a .. b
    end, { { "a", 1 }, { "b", 2 } })
    same("a1 b2", table.concat(got, " "), "starmap")
    local q, r = pool:apply(function(a, b)
        return a // b, a % b
    end, { 17, 5 })
    same(3, q, "quotient")
    same(2, r, "remainder")
    same(25, pool:submit(square, 5):get(20), "submit")
    got = pool:map(function(n)
        if n == 2 then
            error "two fails"
        end
        return { n, ("z"):rep(2000) }
    end, { 1, 2, 3 }, { on_error = "collect" })
    if mp.is_error(got[1]) or mp.is_error(got[3]) then
        error(mp.is_error(got[1]) and got[1] or got[3], 0)
    end
    same(2000, #got[3][2], "long results")
    if not tostring(got[2]):find "two fails" then
        error(got[2], 0)
    end
    same(2, got[2].input, "input")
    local said = {}
    local result = pool:map_async(square, { 6, 7 }, {
        callback = function(list)
            said[#said + 1] = list[2]
        end,
        error_callback = function(e)
            said[#said + 1] = e
        end,
    })
    same(true, result:wait(20), "wait")
    if mp.is_error(said[1]) then
        error(said[1], 0)
    end
    same(49, said[1], "callback")
    failure("cannot send a coroutine", pool.map, pool, square, { 1, { coroutine.create(print) } })
end

function M.lazy(mp)
    local pool <close> = mp.Pool { processes = 1, initializer = function(n)
        base = n -- luacheck: ignore
    end, initargs = { 100 } }
    local sum = 0
    for i, v in pool:imap(function(n)
        return base + n -- luacheck: ignore
    end, { 1, 2, 3, 4, 5, 6 }) do
        same(100 + i, v, "imap")
        sum = sum + v
    end
    same(621, sum, "sum of imap")
    local seen = 0
    for _, key, value in pool:imap_unordered(function(k, v)
        return k, { v }
    end, mp.iter(pairs { a = 1, b = 2, c = 3 })) do
        same("string", type(key), "key")
        seen = seen + value[1]
    end
    same(6, seen, "imap_unordered")
    for i in pool:imap(square, { 1, 2, 3, 4, 5, 6, 7, 8, 9 }, { buffersize = 2, chunksize = 2 }) do
        if i == 2 then
            break
        end
    end
    local late <close> = pool:imap(square, { 3 })
    local _, nine = late:next(20)
    same(9, nine, "next")
end

function M.workers(mp)
    local pool <close> = mp.Pool { processes = 1, maxtasksperchild = 2 }
    local pids, got = {}, pool:map(function()
        return require("moonfork").getpid()
    end, { 1, 2, 3, 4 }, { chunksize = 1, retries = 5 })
    for _, pid in ipairs(got) do
        pids[pid] = true
    end
    same("number", type(next(pids)), "pids")
    local e = failure("os.exit(3)", pool.apply, pool, function()
        os.exit(3)
    end)
    same("exit", e.kind, "kind")
    same(49, pool:apply(square, { 7 }, { retries = 5 }), "after a death")
    local lock = mp.Lock()
    local back = pool:apply(function(l)
        return { l, l:acquire(0) }
    end, { lock }, { retries = 5 })
    same(lock, back[1], "a lock that came home")
    pool:terminate()
    pool:join()
    failure("terminated", pool.submit, pool, square, 1)
end

-- The pool of mp.map stays from one run to the next.
function M.shared(mp)
    same("1 4 9", table.concat(mp.map(square, { 1, 2, 3 }, { retries = 5 }), " "), "mp.map")
end

-- A pool without processes.
M["local"] = function(mp)
    local pool <close> = mp.Pool(0)
    same("1 4 9", table.concat(pool:map(square, { 1, 2, 3 }), " "), "map")
    failure("two fails", pool.apply, pool, error, { "two fails" })
    local result = pool:submit(square, 3)
    same(true, result:cancel(), "cancel")
    failure("cancelled", result.get, result)
end

return M
