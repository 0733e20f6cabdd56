-- mp.Queue and mp.Pipe between processes.

local audit = require "spec.support.audit"
local mp = require "moonfork"

-- Puts n numbers from a process of its own.
local function produce(q, n, from)
    return mp.spawn(function(queue, count, first)
        for i = first, first + count - 1 do
            queue:put(i)
        end
    end, q, n, from or 1)
end

describe("a queue", function()
    audit.install(before_each, after_each)

    it("gives what was put, in order", function()
        local q = mp.Queue()
        local values = { 1, -1, 127, 128, -16, -17, 1 << 15, 1 << 31, math.mininteger, 0.5, -0.0,
            math.huge, "", "text", ("long"):rep(5000), true, false }
        for _, v in ipairs(values) do
            assert.is_true(q:put(v))
        end
        for _, v in ipairs(values) do
            local got, message, code = q:get()
            assert.equal(v, got)
            assert.equal(math.type(v), math.type(got))
            assert.is_nil(message)
            assert.is_nil(code)
        end
    end)

    it("gives tables as copies", function()
        local q = mp.Queue()
        local t = { 1, 2, name = "x", inner = { 3 } }
        t.self = t
        q:put(t)
        local copy = q:get()
        assert.not_equal(t, copy)
        assert.same({ 3 }, copy.inner)
        assert.equal(copy, copy.self)
    end)

    it("tells a nil message from nothing", function()
        local q = mp.Queue()
        q:put(nil)
        assert.same({ n = 1 }, table.pack(q:get()))
        local value, message, code = q:get(0)
        assert.is_nil(value)
        assert.is_string(message)
        assert.equal("empty", code)
    end)

    it("carries a million integers from one process to another", function()
        local q = mp.Queue()
        local n = 1000000
        local p = produce(q, n)
        local sum = 0
        for i = 1, n do
            local v = q:get()
            if v ~= i then
                error(("message %d is %s"):format(i, v))
            end
            sum = sum + v
        end
        p:join()
        assert.equal(n * (n + 1) // 2, sum)
    end)

    it("keeps the order of each producer, and loses and doubles nothing", function()
        local q, sums = mp.Queue(), mp.Queue()
        local n = 20000
        local consumers = {}
        for _ = 1, 2 do
            consumers[#consumers + 1] = mp.spawn(function()
                local last, count, sum = {}, 0, 0
                for m in q:iter() do
                    assert(m[2] > (last[m[1]] or 0), "out of order")
                    last[m[1]] = m[2]
                    count, sum = count + 1, sum + m[2]
                end
                sums:put { count, sum }
            end)
        end
        local producers = {}
        for id = 1, 2 do
            producers[id] = mp.spawn(function()
                for i = 1, n do
                    q:put { id, i }
                end
            end)
        end
        for _, p in ipairs(producers) do
            p:join()
        end
        q:close()
        local a, b = sums:get(), sums:get()
        for _, p in ipairs(consumers) do
            p:join()
            assert.equal(0, p.exitcode)
        end
        assert.equal(2 * n, a[1] + b[1])
        assert.equal(n * (n + 1), a[2] + b[2])
        local stats = q:stats()
        assert.same({ put = 2 * n, got = 2 * n, queued = 0, lost = 0 }, stats)
    end)

    it("carries 64 MB in one message", function()
        local q = mp.Queue()
        local p = mp.spawn(function()
            q:put(("0123456789abcdef"):rep(4 << 20))
        end)
        local text = q:get()
        p:join()
        assert.equal(64 << 20, #text)
        assert.equal("0123456789abcdef", text:sub(-16))
    end)

    it("wakes a sleeping getter with a single put", function()
        local q, answer = mp.Queue(), mp.Queue()
        local p = mp.spawn(function()
            answer:put "ready"
            answer:put(q:get())
        end)
        assert.equal("ready", answer:get())
        q:put "wake up"
        assert.equal("wake up", answer:get(10))
        p:join()
    end)

    it("holds at most maxsize messages", function()
        local q = mp.Queue(2)
        assert.is_true(q:put(1))
        assert.is_true(q:put_nowait(2))
        assert.is_true(q:full())
        assert.equal("full", select(3, q:put_nowait(3)))
        assert.equal("full", select(3, q:put(3, 0)))
        assert.equal("timeout", select(3, q:put(3, 0.01)))
        assert.equal(1, q:get())
        assert.is_false(q:full())
        assert.is_true(q:put(3, 0))
        assert.equal(2, mp.Queue { maxsize = 2 }:put(1) and 2)
        assert.equal(2, q:qsize())
    end)

    it("lets a producer wait for room, whatever the size of the message", function()
        for _, size in ipairs { 1, 30, 3000, 300000 } do
            local q = mp.Queue(1)
            local p = mp.spawn(function(n)
                for i = 1, 50 do
                    q:put { i, ("x"):rep(n) }
                    q:put(("x"):rep(n) .. i)
                end
            end, size)
            for i = 1, 50 do
                local m = q:get()
                assert.equal(i, m[1])
                assert.equal(size, #m[2])
                assert.equal(("x"):rep(size) .. i, q:get())
            end
            p:join()
        end
    end)

    it("has the looks of Python's", function()
        local q = mp.Queue()
        assert.is_true(q:empty())
        assert.is_false(q:full())
        q:put "a"
        assert.equal(1, q:qsize())
        assert.is_false(q:empty())
        assert.matches("^moonfork.Queue: .*1 queued", tostring(q))
        assert.equal("a", q:get_nowait())
        assert.equal("empty", select(3, q:get_nowait()))
        assert.equal("timeout", select(3, q:get(0.01)))
    end)

    it("is drained after it was closed", function()
        local q = mp.Queue()
        q:put(1)
        q:put(2)
        q:close()
        assert.is_true(q:is_closed())
        assert.has_error(function()
            q:put(3)
        end)
        assert.equal(1, q:get())
        assert.equal(2, q:get(0))
        assert.equal("closed", select(3, q:get()))
        assert.equal("closed", select(3, q:get(0)))
    end)

    it("wakes all sleepers when it is closed", function()
        local q, ready = mp.Queue(), mp.Queue()
        local sleepers = {}
        for i = 1, 3 do
            sleepers[i] = mp.spawn(function()
                ready:put(true)
                return select(3, q:get())
            end)
        end
        for _ = 1, 3 do
            ready:get()
        end
        q:close()
        for _, p in ipairs(sleepers) do
            assert.equal("closed", p:get(10))
        end
    end)

    it("closes with its scope", function()
        local outer
        do
            local q <close> = mp.Queue()
            outer = q
        end
        assert.is_true(outer:is_closed())
    end)

    it("is iterated up to its end, or to a nil message", function()
        local q = mp.Queue()
        for i = 1, 3 do
            q:put(i)
        end
        q:put(nil)
        q:put(4)
        q:close()
        local seen = {}
        for v in q:iter() do
            seen[#seen + 1] = v
        end
        assert.same({ 1, 2, 3 }, seen)
        for v in q:iter() do
            seen[#seen + 1] = v
        end
        assert.same({ 1, 2, 3, 4 }, seen)
    end)

    it("travels through a queue, to a process that is older than it", function()
        local orders = mp.Queue()
        local p = mp.spawn(function()
            for q in orders:iter() do
                q:put "found you"
            end
        end)
        local q = mp.Queue()
        orders:put(q)
        assert.equal("found you", q:get(10))
        orders:close()
        p:join()
    end)

    it("is the same value when it comes back", function()
        local q, box = mp.Queue(), mp.Queue()
        box:put { q, q }
        local pair = box:get()
        assert.equal(q, pair[1])
        assert.equal(q, pair[2])
    end)

    it("lives on in a message when nobody holds it", function()
        local box = mp.Queue()
        do
            local q = mp.Queue()
            q:put "inside"
            box:put(q)
        end
        collectgarbage()
        collectgarbage()
        assert.equal("inside", box:get():get(0))
    end)

    it("goes with the message that nobody took", function()
        local before = audit.snapshot()
        do
            local box = mp.Queue()
            for _ = 1, 20 do
                local q = mp.Queue()
                q:put(("x"):rep(100))
                box:put { q, { q } }
                box:put { mp.Lock(), q }
                box:get()
            end
        end
        assert.is_nil(audit.compare(before, audit.snapshot()))
    end)

    it("keeps what a producer put that was killed right after", function()
        local q = mp.Queue()
        local p = mp.spawn(function()
            q:put(("safe"):rep(1000))
            q:put "last"
            os.exit(false) -- no chance for any thread behind the scenes
        end)
        p:join()
        assert.equal(4000, #q:get(0))
        assert.equal("last", q:get(0))
    end)

    it("does not make a join wait for its messages (A7)", function()
        local q = mp.Queue()
        local p = mp.spawn(function()
            for i = 1, 1000 do
                q:put(("x"):rep(1024) .. i)
            end
            q:put(("y"):rep(64 << 20))
        end)
        assert.is_true(p:join(60))
        for i = 1, 1000 do
            assert.equal(("x"):rep(1024) .. i, q:get(0))
        end
        assert.equal(64 << 20, #q:get(0))
    end)

    it("goes on after a sleeping getter was killed (A3)", function()
        local q, ready = mp.Queue(), mp.Queue()
        local p = mp.spawn(function()
            ready:put(true)
            q:get()
        end)
        ready:get()
        audit.eventually(function()
            return audit.state_of(p.pid) == "S"
        end)
        p:kill()
        p:join()
        assert.equal(-9, p.exitcode)
        q:put "alive"
        assert.equal("alive", q:get(1))
    end)

    it("goes on after a producer was killed in the middle of a put (A4)", function()
        local q = mp.Queue()
        local p = mp.spawn(function()
            local text = ("z"):rep(30 << 20)
            while true do
                q:put(text)
                q:get()
            end
        end)
        audit.eventually(function()
            return q:stats().put > 2
        end)
        p:kill()
        p:join()
        for text in function() return (q:get(0)) end do -- what it had put is whole
            assert.is_true(text == ("z"):rep(30 << 20))
        end
        produce(q, 1000):join()
        for i = 1, 1000 do
            assert.equal(i, q:get(1))
        end
    end)

    it("raises what cannot be sent, and nothing is put", function()
        local q = mp.Queue()
        local ok, message = pcall(q.put, q, { log = io.stdout, co = coroutine.create(print) })
        assert.is_false(ok)
        assert.matches("value%.co", tostring(message))
        assert.equal(0, q:qsize())
    end)

    it("names what is wrong with an argument", function()
        local q = mp.Queue()
        local function fails(pattern, f, ...)
            local ok, message = pcall(f, ...)
            assert.is_false(ok)
            assert.matches(pattern, message)
        end
        fails("value expected", q.put, q)
        fails("get_nowait", function()
            q:get(false)
        end)
        fails("got boolean", function()
            q:put(1, true, 5)
        end)
        fails("#1 to 'get'", function()
            q:get(true)
        end)
        fails("NaN", q.get, q, 0 / 0)
        fails("timeout only", q.get, q, 1, 2)
        fails("moonfork.Queue expected", q.get, {})
        fails("moonfork.Queue expected", q.get, io.stdout)
        fails("did you mean 'maxsize'", mp.Queue, { maxsise = 3 })
        fails("number expected", mp.Queue, "many")
        fails("Queue takes", mp.Queue, 1, 2)
    end)

    it("is used inside __mf_encode and __mf_decode of what it carries", function()
        local q, side = mp.Queue(), mp.Queue()
        package.loaded["spec.queue_hook"] = {
            __mf_decode = function(v)
                side:put { "decoded", ("d"):rep(100) }
                return { v = v, note = side:get() }
            end,
        }
        package.preload["spec.queue_hook"] = function() end
        local object = setmetatable({}, {
            __mf_encode = function()
                side:put { "encoded", ("e"):rep(100) }
                side:get()
                return "spec.queue_hook", { 1, 2, 3 }
            end,
        })
        q:put { ("x"):rep(5000), object, "end" }
        local t = q:get()
        package.loaded["spec.queue_hook"] = nil
        package.preload["spec.queue_hook"] = nil
        assert.same({ 1, 2, 3 }, t[2].v)
        assert.equal("decoded", t[2].note[1])
        assert.equal("end", t[3])
    end)
end)

describe("a pipe", function()
    audit.install(before_each, after_each)

    it("joins two ends in both directions", function()
        local a, b = mp.Pipe()
        a:send { 1, 2 }
        b:send "back"
        assert.same({ 1, 2 }, b:recv())
        assert.equal("back", a:recv())
    end)

    it("carries questions and answers between processes", function()
        local a, b = mp.Pipe()
        local p = mp.spawn(function(c)
            for _ = 1, 100 do
                c:send(c:recv() * 2)
            end
        end, b)
        for i = 1, 100 do
            a:send(i)
            assert.equal(2 * i, a:recv())
        end
        p:join()
    end)

    it("has one direction when asked", function()
        local receiver, sender = mp.Pipe(false)
        sender:send(1)
        assert.equal(1, receiver:recv())
        assert.has_error(function()
            receiver:send(1)
        end, "this end of the pipe is for receiving")
        assert.has_error(function()
            sender:recv()
        end, "this end of the pipe is for sending")
        assert.has_error(function()
            mp.Pipe("no")
        end)
        assert.equal(2, select("#", mp.Pipe { duplex = false }))
    end)

    it("polls", function()
        local a, b = mp.Pipe()
        assert.is_false(a:poll())
        assert.is_false(a:poll(0.01))
        b:send(nil)
        assert.is_true(a:poll())
        assert.is_true(a:poll(10))
        assert.equal(1, select("#", a:recv(0)))
        b:close()
        assert.is_true(a:poll(10))
        assert.equal("closed", select(3, a:recv(0)))
    end)

    it("wakes a poll with a message from another process", function()
        local a, b = mp.Pipe()
        local p = mp.spawn(function()
            b:send "now"
        end)
        assert.is_true(a:poll(10))
        assert.equal("now", a:recv(0))
        p:join()
    end)

    it("times out", function()
        local a, b = mp.Pipe()
        assert.equal("empty", select(3, a:recv(0)))
        assert.equal("timeout", select(3, a:recv(0.01)))
        b:close()
    end)

    it("is drained before it says that the other end is closed", function()
        local a, b = mp.Pipe()
        b:send(1)
        b:close()
        assert.is_true(b:is_closed())
        assert.equal(1, a:recv())
        assert.equal("closed", select(3, a:recv()))
        assert.has_error(function()
            a:send(1)
        end, "send: the other end of the pipe is closed")
        assert.has_error(function()
            b:recv()
        end, "recv on a closed end of a pipe")
    end)

    it("goes on while another process has the same end", function()
        local a, b = mp.Pipe()
        local go = mp.Queue()
        local p = mp.spawn(function()
            go:get()
            b:send "still here"
        end)
        b:close()
        go:put(true)
        assert.equal("still here", a:recv(10))
        assert.equal("closed", select(3, a:recv(10)))
        p:join()
    end)

    it("says that the other end is closed when its process was killed", function()
        local a, b = mp.Pipe()
        local p = mp.spawn(function(c)
            c:send "ready"
            c:recv()
        end, b)
        b:close()
        assert.equal("ready", a:recv(10))
        p:kill()
        assert.equal("closed", select(3, a:recv(10)))
        p:join()
    end)

    it("says that the other end is closed when it was collected", function()
        local a = mp.Pipe()
        collectgarbage()
        collectgarbage()
        assert.equal("closed", select(3, a:recv(10)))
    end)

    it("is made of its own parts only", function()
        local function q()
            return mp.Queue()
        end
        for _, parts in ipairs {
            {}, { 1, 2, 3, 4 }, { false, false, false, 0 }, { q(), q(), q(), 0 },
            { mp.Lock(), false, mp.Lock(), 0 }, { io.stdout, io.stdout, io.stdout, 0 },
        } do
            local ok, message = pcall(mp.__mf_decode, parts)
            assert.is_false(ok)
            assert.matches("parts of an end of a pipe expected", message)
        end
        assert.equal("closed", select(3, mp.__mf_decode({ q(), q(), mp.Lock(), -1 }):recv()))
    end)
end)
