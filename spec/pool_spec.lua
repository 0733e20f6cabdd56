-- Pool: what its methods mean. What holds for workers that are processes is in
-- pool_processes_spec.lua, its iterators are in imap_spec.lua, what happens when workers die in
-- guarantees_spec.lua.

local audit = require "spec.support.audit"
local mp = require "moonfork"
local raised = require "spec.support.raised"
local run = require "spec.support.run"

local function square(n)
    return n * n
end

audit.install(before_each, after_each)

-- Tests that hold for a pool of processes and for one that runs everything in this process.
for _, processes in ipairs { 0, 1, 2, 5 } do
    describe("a pool of " .. processes, function()
        local pool

        before_each(function()
            pool = mp.Pool(processes)
        end)

        after_each(function()
            pool:terminate()
            pool = nil
        end)

        describe("map", function()
            it("gives the results in the order of the items", function()
                local items, expected = {}, {}
                for i = 1, 1000 do
                    items[i], expected[i] = i, i * i
                end
                assert.same(expected, pool:map(square, items))
                for _, chunksize in ipairs { 1, 7, 999, 1000, 5000 } do
                    assert.same(expected, pool:map(square, items, { chunksize = chunksize }))
                end
            end)

            it("gives an empty list for an empty list", function()
                assert.same({}, pool:map(square, {}))
            end)

            it("gives the first result only, and n only if one is nil", function()
                local function f(n)
                    if n ~= 2 then
                        return n, "more"
                    end
                end
                assert.same({ 1, nil, 3, n = 3 }, pool:map(f, { 1, 2, 3 }))
                assert.same({ 1, 3 }, pool:map(f, { 1, 3 }))
                assert.same({ n = 2 }, pool:map(f, { 2, 2 }))
            end)

            it("gives all results with pack", function()
                local function f(n)
                    return table.unpack({ n, nil, n }, 1, n)
                end
                assert.same({ { 1, n = 1 }, { 2, nil, n = 2 }, { 3, nil, 3, n = 3 }, { n = 0 } },
                    pool:map(f, { 1, 2, 3, 0 }, { pack = true }))
            end)

            it("takes holes for items where the list has n", function()
                assert.same({ "1", "nil", "nil" }, pool:map(tostring, { 1, n = 3 }))
            end)

            it("takes all values that a function gives as arguments", function()
                local n = 0
                local function source()
                    n = n + 1
                    if n <= 3 then
                        return n, nil, n * 10
                    end
                end
                assert.same({ "1 nil 10", "2 nil 20", "3 nil 30" }, pool:map(function(a, b, c)
                    return ("%s %s %s"):format(a, b, c)
                end, source))
            end)

            it("takes what an object that can be called gives", function()
                local source = setmetatable({ n = 0 }, { __call = function(self)
                    self.n = self.n + 1
                    return self.n <= 3 and self.n or nil
                end })
                assert.same({ 1, 4, 9 }, pool:map(square, source))
                source.n = 1
                for i, v in pool:imap(square, source) do
                    assert.equal((i + 1) ^ 2, v)
                end
                assert.equal(4, source.n)
                assert.same({ 2, 6 }, pool:map(math.max, pool:imap(function(n)
                    return 2 * n
                end, { 1, 3 })))
            end)

            it("goes over a generic for with mp.iter", function()
                local sum = 0
                for _, pair in ipairs(pool:map(function(k, v)
                    return k .. v
                end, mp.iter(pairs { a = 1, b = 2 }))) do
                    sum = sum + #pair
                end
                assert.equal(4, sum)
            end)

            it("sends values of all kinds there and back", function()
                local values = { 1, 1.5, "text\0", true, false, { nested = { list = { 1, 2 } } },
                    math.mininteger, -0.0, ("x"):rep(100000), {} }
                assert.same(values, pool:map(function(v)
                    return v
                end, values))
                assert.equal("float", math.type(pool:map(square, { 2.0 })[1]))
            end)

            it("captures the function when it is called", function()
                local factor = 2
                local function f(n)
                    return n * factor
                end
                local first = pool:map_async(f, { 1, 2 })
                factor = 3
                local second = pool:map_async(f, { 1, 2 })
                assert.same({ 2, 4 }, first:get())
                assert.same({ 3, 6 }, second:get())
            end)

            it("takes objects that can be called", function()
                local double = setmetatable({ factor = 2 }, {
                    __call = function(self, n)
                        return self.factor * n
                    end,
                })
                assert.same({ 2, 4 }, pool:map(double, { 1, 2 }))
            end)
        end)

        describe("starmap", function()
            it("gives the function the items of each list", function()
                assert.same({ 8, 9 }, pool:starmap(function(a, b)
                    return a ^ b // 1 | 0
                end, { { 2, 3 }, { 3, 2 } }))
            end)

            it("takes lists with n, and empty ones", function()
                assert.same({ 3, 0, 2 }, pool:starmap(function(...)
                    return select("#", ...)
                end, { { nil, nil, 1 }, {}, { n = 2 } }))
            end)

            it("fails for an item that is no list", function()
                local err = raised.object(pool.starmap, pool, square, { { 1 }, 2 })
                assert.equal(2, err.index)
                assert.matches("not a list of arguments", err.message)
            end)
        end)

        describe("apply and submit", function()
            it("give all results of the call", function()
                local function f(...)
                    return select("#", ...), ...
                end
                assert.same({ 3, "a", nil, "c", n = 4 },
                    table.pack(pool:apply(f, { "a", nil, "c", n = 3 })))
                assert.same({ 0, n = 1 }, table.pack(pool:apply(f)))
                assert.same({ 3, nil, 1, nil, n = 4 },
                    table.pack(pool:submit(f, nil, 1, nil):get()))
                assert.same({ n = 0 }, table.pack(pool:apply(function() end)))
            end)

            it("capture arguments when they are called", function()
                local list = { 1 }
                local result = pool:submit(function(t)
                    return t[1]
                end, list)
                list[1] = 2
                assert.equal(1, result:get())
            end)
        end)

        describe("a Result", function()
            it("keeps its results until they are asked for, and after", function()
                local results = {}
                for i = 1, 50 do
                    results[i] = pool:submit(square, i)
                end
                for i = 50, 1, -1 do
                    assert.equal(i * i, results[i]:get())
                    assert.equal(i * i, results[i]:get())
                    assert.is_true(results[i]:ready())
                    assert.is_true(results[i]:wait(0))
                    assert.is_true(results[i]:successful())
                end
            end)

            it("says that it failed", function()
                local result = pool:submit(error, "no")
                assert.is_true(result:wait(10))
                assert.is_false(result:successful())
                assert.equal("no", raised.object(result.get, result).value)
                assert.equal("no", raised.object(result.get, result).value)
            end)

            it("calls back when it is ready, in this process", function()
                local got = {}
                local function note(...)
                    got[#got + 1] = table.pack(...)
                end
                pool:apply_async(square, { 3 }, { callback = note }):wait()
                pool:map_async(square, { 1, 2 }, { callback = note }):wait()
                pool:apply_async(error, { "x" }, { callback = note }):wait()
                pool:apply_async(error, { "y" }, { error_callback = note }):wait()
                assert.equal(3, #got)
                assert.same({ 9, n = 1 }, got[1])
                assert.same({ { 1, 4 }, n = 1 }, got[2])
                assert.equal("y", got[3][1].value)
            end)

            it("calls back with the error object that it collects", function()
                local got = {}
                local options = { on_error = "collect", callback = function(...)
                    got[#got + 1] = table.pack(...)
                end }
                assert.equal("x", pool:apply(error, { "x" }, options).value)
                pool:map(error, { "y" }, options)
                assert.equal(1, got[1].n)
                assert.equal("x", got[1][1].value)
                assert.equal("y", got[2][1][1].value)
            end)

            -- What the second of two callbacks gets, which is due when the first one raises; and
            -- their results.
            local function with_callbacks(p)
                local gate, got, other = mp.Queue(), {}, nil
                local first = p:apply_async(square, { 2 }, { callback = function()
                    gate:put(9)
                    other:wait()
                    error("first", 0)
                end })
                other = p:apply_async(function(queue)
                    return queue:get(10)
                end, { gate }, { callback = function(n)
                    got[#got + 1] = n
                end })
                return got, first, other
            end

            it("calls back in the next call when the callback before it raises", function()
                for name, call in pairs {
                    get = function(_, first) assert.equal(4, first:get()) end,
                    wait = function(_, first) assert.is_true(first:wait(0)) end,
                    ready = function(_, _, other) assert.is_true(other:ready()) end,
                    join = function(p) assert.is_true(p:join()) end,
                } do
                    local p <close> = mp.Pool(processes)
                    local got, first, other = with_callbacks(p)
                    assert.equal("first", raised.object(first.get, first))
                    if name == "join" then
                        p:close()
                    end
                    assert.same({}, got)
                    call(p, first, other)
                    assert.same({ 9 }, got)
                end
            end)

            it("calls back at the end of the scope when the callback before it raises", function()
                local got, first, ended
                do
                    local p <close> = mp.Pool(processes)
                    got, first = with_callbacks(p)
                    assert.equal("first", raised.object(first.get, first))
                end
                assert.same({ 9 }, got)
                assert.equal("first", raised.object(function()
                    local p <close> = mp.Pool(processes)
                    ended = p
                    got, first = with_callbacks(p)
                end))
                assert.same({}, got)
                assert.equal(4, first:get())
                assert.same({ 9 }, got)
                ended:terminate()
            end)

            it("may be waited for in a callback, but callbacks do not nest", function()
                local depth, deepest, done = 0, 0, 0
                local function callback(n)
                    depth = depth + 1
                    deepest = math.max(depth, deepest)
                    if n > 1 then
                        pool:apply_async(square, { 1 }, { callback = callback }):wait()
                    end
                    done = done + 1
                    depth = depth - 1
                end
                local result = pool:apply_async(square, { 2 }, { callback = callback })
                result:wait()
                pool:close()
                pool:join()
                assert.equal(2, done)
                assert.equal(1, deepest)
            end)
        end)

        describe("an error", function()
            local function odd(n)
                if n % 2 == 0 then
                    error({ n = n })
                end
                return n
            end

            it("is raised with its value, input, index, pid and traceback", function()
                local function boom(n)
                    if n == 30 then
                        error "boom"
                    end
                end
                local err = raised.object(pool.map, pool, boom, { 10, 20, 30, 40 })
                assert.is_true(mp.is_error(err))
                assert.equal("error", err.kind)
                assert.matches("pool_spec.lua:%d+: boom$", err.message)
                assert.equal(err.message, err.value)
                assert.equal(30, err.input)
                assert.equal(3, err.index)
                assert.equal("number", type(err.pid))
                assert.equal(processes == 0, err.pid == mp.getpid())
                assert.matches("pool_spec.lua:%d+: in", err.traceback)
                if processes > 0 then
                    assert.not_matches("%[C%]: in %?", err.traceback)
                end
                assert.matches("boom", tostring(err))
                assert.matches("^map: .*boom$", "map: " .. err)
            end)

            it("is the first one in the order of the items", function()
                local err = raised.object(pool.map, pool, odd, { 1, 3, 4, 6, 8 }, { chunksize = 1 })
                assert.equal(3, err.index)
                assert.same({ n = 4 }, err.value)
            end)

            it("stands in its item's place with collect", function()
                local got = pool:map(odd, { 1, 2, 3, 4, 5 }, { on_error = "collect" })
                for i = 1, 5 do
                    if i % 2 == 0 then
                        assert.is_true(mp.is_error(got[i]))
                        assert.equal(i, got[i].index)
                        assert.equal(i, got[i].input)
                    else
                        assert.equal(i, got[i])
                    end
                end
            end)

            it("leaves the pool as it was", function()
                for _ = 1, 20 do
                    raised.object(pool.map, pool, odd, { 1, 2, 3, 4 })
                end
                assert.same({ 1, 4 }, pool:map(square, { 1, 2 }))
            end)

            it("may be nil, false, or a number", function()
                for _, value in ipairs { false, 42, "text" } do
                    assert.equal(value, raised.object(pool.apply, pool, error, { value, 0 }).value)
                end
                assert.is_nil(raised.object(pool.apply, pool, error, {}).value)
            end)

            it("keeps its class when a class is thrown", function()
                local err = raised.object(pool.apply, pool, function()
                    local Class = { __name = "Thrown" }
                    Class.__tostring = function()
                        return "thrown"
                    end
                    error(setmetatable({ code = 7 }, Class))
                end)
                assert.equal(7, err.value.code)
                assert.matches("^thrown", tostring(err))
            end)

            it("of what cannot be sent back names the place", function()
                local err = raised.object(pool.apply, pool, function()
                    return { log = io.tmpfile() }
                end)
                assert.matches("result.*log.*FILE%*", tostring(err))
                assert.equal(4, pool:apply(square, { 2 }))
            end)

            it("of what cannot be sent is raised at the call, and nothing is queued", function()
                local thread = coroutine.create(print)
                assert.matches("coroutine", raised.message(pool.map, pool, square, { 1, thread }))
                assert.matches("coroutine", raised.message(pool.submit, pool, function()
                    return thread
                end))
                assert.same({ 4 }, pool:map(square, { 2 }))
            end)
        end)

        describe("its end", function()
            it("with close comes when all is done", function()
                local result = pool:map_async(square, { 1, 2, 3 })
                pool:close()
                pool:close()
                assert.matches("closed", raised.message(pool.submit, pool, square, 1))
                assert.is_true(pool:join())
                assert.is_true(result:ready())
                assert.same({ 1, 4, 9 }, result:get())
                assert.same({}, pool:pids())
            end)

            it("with terminate settles what is pending", function()
                local gate = mp.Queue()
                local results = {}
                for i = 1, processes == 0 and 0 or 20 do
                    results[i] = pool:submit(function()
                        gate:get()
                    end)
                end
                pool:terminate()
                pool:terminate()
                for _, result in ipairs(results) do
                    assert.is_true(result:ready())
                    assert.equal("cancelled", raised.object(result.get, result).kind)
                end
                assert.matches("terminated", raised.message(pool.map, pool, square, { 1 }))
                assert.is_true(pool:join())
            end)

            it("in a <close> variable waits for the work, and on an error does not", function()
                local result
                do
                    local p <close> = mp.Pool(processes)
                    result = p:map_async(square, { 1, 2 })
                end
                assert.same({ 1, 4 }, result:get())
                local gate = mp.Queue()
                local pending
                assert.equal("out", raised.object(function()
                    local p <close> = mp.Pool(processes)
                    pending = p:submit(function()
                        gate:get()
                    end)
                    error("out", 0)
                end))
                assert.equal("cancelled", raised.object(pending.get, pending).kind)
            end)

            it("does not come with join while it is open", function()
                assert.matches("close%(%) or terminate%(%)", raised.message(pool.join, pool))
            end)
        end)

        it("runs an initializer in each worker, whose globals tasks see", function()
            local p <close> = mp.Pool { processes = processes, initializer = function(a, b)
                _G.base = a + b
            end, initargs = { 40, 2 } }
            assert.same({ 43, 44 }, p:map(function(n)
                return n + _G.base
            end, { 1, 2 }))
            _G.base = nil
        end)

        it("gives the tasks of a capture one copy of their upvalues in a worker", function()
            local calls = 0
            local p <close> = mp.Pool(processes == 0 and 0 or 1)
            local function count()
                calls = calls + 1
                return calls
            end
            assert.same({ 1, 2, 3 }, p:map(count, { 1, 1, 1 }))
            assert.equal(0, calls)
        end)
    end)
end

describe("mp.map", function()
    -- In a script of its own, as the pool lives to the end of the process.
    it("is map on a pool that all calls share", function()
        local result = run.script [[
            local mp = require "moonfork"
            local function square(n) return n * n end
            print(table.concat(mp.map(square, { 1, 2, 3 }), " "))
            print(mp.map(mp.getpid, { 1 })[1] ~= mp.getpid())
            print(select(2, pcall(mp.map, error, { "bad" })).value)
            print(mp.map(square, { 2 }, { chunksize = 1 })[1])]]
        assert.same({ out = "1 4 9\ntrue\nbad\n4\n", err = "", status = 0 }, result)
    end)
end)

describe("a bad argument", function()
    local pool

    before_each(function()
        pool = mp.Pool(1)
    end)

    after_each(function()
        pool:terminate()
        pool = nil
    end)

    -- The error is one of the caller: it names this file.
    local function refused(pattern, f, ...)
        local arguments = table.pack(...)
        local ok, err = pcall(function()
            f(table.unpack(arguments, 1, arguments.n))
            return nil
        end)
        assert.is_false(ok)
        assert.equal("string", type(err))
        assert.matches("pool_spec.lua:%d+: .*" .. pattern, err)
    end

    it("of Pool is refused", function()
        refused("processes", mp.Pool, -1)
        refused("processes", mp.Pool, 1.5)
        refused("processes", mp.Pool, "2")
        for _, n in ipairs { 2048, 2 ^ 32 - 1, 2 ^ 32, 2 ^ 32 + 1, 2 ^ 62 } do
            refused("processes.*from 0 to 2047, got " .. ("%.0f"):format(n), mp.Pool,
                math.tointeger(n))
        end
        refused("initializer", mp.Pool, 1, 2)
        refused("initargs", mp.Pool, { processes = 1, initargs = {} })
        refused("maxtasksperchild", mp.Pool, { maxtasksperchild = 0 })
        refused("proceses.*did you mean 'processes'", mp.Pool, { proceses = 2 })
    end)

    it("of map is refused", function()
        refused("argument #1 to 'map'.*function expected, got nil", pool.map, pool)
        refused("argument #1 to 'map'.*got number", pool.map, pool, 3, {})
        refused("argument #2 to 'map'.*got number", pool.map, pool, square, 3)
        refused("argument #2 to 'map'.*mp.iter", pool.map, pool, square, { a = 1 })
        refused("argument #3 to 'map'.*chunksize = 10", pool.map, pool, square, { 1 }, 10)
        refused("chunksize", pool.map, pool, square, { 1 }, { chunksize = 0 })
        refused("did you mean 'chunksize'", pool.map, pool, square, { 1 }, { chunk_size = 2 })
        refused("on_error", pool.map, pool, square, { 1 }, { on_error = "ignore" })
        refused("timeout", pool.map, pool, square, { 1 }, { timeout = -1 })
        refused("retries", pool.map, pool, square, { 1 }, { retries = "x" })
        refused("callback", pool.map, pool, square, { 1 }, { callback = 1 })
    end)

    it("of map, imap that is the whole list of a generic for is refused, with a hint", function()
        local queue = mp.Queue()
        for _, name in ipairs { "map", "map_async", "starmap", "imap", "imap_unordered" } do
            local method = pool[name]
            refused("got userdata; .* mp.iter%(q:iter%(%)%)", method, pool, square, queue:iter())
            refused("mp.iter%(pairs%(t%)%)", method, pool, square, pairs { a = 1 })
            refused("mp.iter%(pairs%(t%)%)", method, pool, square, pairs {})
            refused("mp.iter%(pairs%(t%)%)", method, pool, square, ipairs { 1 })
        end
        refused("chunksize = 10 }, got number", pool.map, pool, square, function() end, 10)
    end)

    it("of apply, imap and the rest is refused", function()
        refused("argument #2 to 'apply'.*pool:apply%(f, { 3 }%)", pool.apply, pool, square, 3)
        refused("argument #1 to 'submit'", pool.submit, pool)
        refused("argument #1 to 'imap'", pool.imap, pool)
        refused("argument #2 to 'imap_unordered'", pool.imap_unordered, pool, square)
        refused("unknown option", pool.apply_async, pool, square, {}, { chunksize = 1 })
        refused("iterator function expected", mp.iter, { 1 })
        local result = pool:submit(square, 2)
        refused("timeout in seconds", result.get, result, false)
        refused("timeout in seconds", pool.imap(pool, square, { 1 }).next,
            pool:imap(square, { 1 }), "x")
        result:get()
    end)

    it("of the wrong self is refused, with a hint", function()
        refused("pool:map", pool.map, square, { 1 })
        refused("pool:close", pool.close)
        local result = pool:submit(square, 2)
        refused("result:get", result.get)
        result:get()
    end)
end)
