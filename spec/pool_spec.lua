-- Pool: what its methods mean. Its iterators are in imap_spec.lua, what happens when workers die in
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

describe("a pool of processes", function()
    it("has as many workers as it is told, by default one a processor", function()
        local three <close> = mp.Pool(3)
        local default <close> = mp.Pool()
        local named <close> = mp.Pool { processes = 2, name = "Named" }
        assert.equal(3, #three:pids())
        assert.equal(mp.cpu_count(), #default:pids())
        assert.matches("^Named", named:apply(function()
            return mp.current_process().name
        end))
        assert.matches("3 processes", tostring(three))
    end)

    it("runs its tasks in its workers", function()
        local pool <close> = mp.Pool(2)
        local pids = {}
        for _, pid in ipairs(pool:pids()) do
            pids[pid] = true
        end
        for _, pid in ipairs(pool:map(mp.getpid, { 1, 2, 3, 4 })) do
            assert.is_true(pids[pid])
        end
    end)

    it("lets short tasks pass a long one", function()
        local gate, passed = mp.Queue(), mp.Queue()
        local pool <close> = mp.Pool(2)
        local result = pool:map_async(function(n)
            if n == 1 then
                return gate:get(10) -- until all others are through
            end
            passed:put(n)
            return n
        end, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 })
        for n = 2, 16 do
            assert.equal(n, passed:get(10))
        end
        gate:put "open"
        assert.equal("open", result:get()[1])
    end)

    it("works while its creator does something else", function()
        local passed = mp.Queue()
        local pool <close> = mp.Pool(2)
        local result = pool:map_async(function(n)
            passed:put(n)
        end, { 1, 2, 3, 4, 5, 6, 7, 8 }, { chunksize = 1 })
        for _ = 1, 8 do
            assert.is_truthy(passed:get(10))
        end
        assert.is_true(result:wait(10))
    end)

    it("waits at most as long as it is told", function()
        local gate = mp.Queue()
        local pool <close> = mp.Pool(1)
        local result = pool:submit(function()
            return gate:get(10)
        end)
        assert.is_false(result:ready())
        assert.is_false(result:wait(0))
        assert.is_false(result:wait(0.01))
        assert.equal("timeout", raised.object(result.get, result, 0.01).kind)
        assert.matches("not ready", raised.message(result.successful, result))
        pool:close()
        assert.is_false(pool:join(0.01))
        gate:put "open"
        assert.equal("open", result:get(10))
        assert.is_true(pool:join(10))
    end)

    it("cancels what has not begun", function()
        local gate, began = mp.Queue(), mp.Queue()
        local pool <close> = mp.Pool(1)
        local running = pool:submit(function()
            began:put(true)
            return gate:get(10)
        end)
        local waiting = pool:submit(function()
            began:put "never"
        end)
        assert.is_true(began:get(10))
        assert.is_false(running:cancel())
        assert.is_true(waiting:cancel())
        assert.is_true(waiting:cancel())
        gate:put "open"
        assert.equal("open", running:get(10))
        assert.equal("cancelled", raised.object(waiting.get, waiting, 10).kind)
        assert.is_true(waiting:cancel())
        assert.same({ nil, "empty" }, { nil, select(3, began:get_nowait()) })
    end)

    it("tells what ran when it was terminated from what did not", function()
        local began, gate = mp.Queue(), mp.Queue()
        local pool = mp.Pool(1)
        local function task()
            began:put(true)
            gate:get()
        end
        local running, waiting = pool:map_async(task, { 1, 2 }), pool:submit(task)
        assert.is_true(began:get(10))
        pool:terminate()
        assert.matches("terminated while the task", raised.message(running.get, running))
        assert.matches("before it was run", raised.message(waiting.get, waiting))
    end)

    it("names the cause when a result, or an error, cannot be read here", function()
        local pool <close> = mp.Pool { processes = 1, initializer = function()
            package.preload.only_there = function() return { __name = "Thing" } end
        end }
        local function thing()
            return setmetatable({}, require "only_there")
        end
        local err = raised.object(pool.apply, pool, thing)
        assert.equal("unsendable", err.kind)
        assert.matches("result cannot be read here: module 'only_there' not found", err.message)
        assert.matches("has failed, but its error cannot be read here: module 'only_there'",
            raised.message(pool.apply, pool, function() error(thing()) end))
    end)

    it("gives a worker a limited number of tasks with maxtasksperchild", function()
        local pool <close> = mp.Pool { processes = 1, maxtasksperchild = 2 }
        local pids, different = {}, 0
        for _, pid in ipairs(pool:map(mp.getpid, { 1, 2, 3, 4, 5, 6 }, { chunksize = 1 })) do
            different = different + (pids[pid] and 0 or 1)
            pids[pid] = (pids[pid] or 0) + 1
            assert.is_true(pids[pid] <= 2)
        end
        assert.equal(3, different)
    end)

    it("takes chunks and buffers of any size", function()
        local pool <close> = mp.Pool(1)
        local huge = { { chunksize = math.maxinteger }, { buffersize = math.maxinteger },
            { chunksize = math.maxinteger, buffersize = 1 }, { chunksize = 2 ^ 62 | 0 } }
        for _, options in ipairs(huge) do
            local got = {}
            for i, v in pool:imap(square, { 1, 2, 3 }, options) do
                got[#got + 1] = i * v
            end
            assert.same({ 1, 8, 27 }, got)
        end
        assert.same({ 1, 4, 9 }, pool:map(square, { 1, 2, 3 }, { chunksize = math.maxinteger }))
    end)

    it("refuses more tasks than it can count", function()
        local pool <close> = mp.Pool(0)
        local pending = pool:submit(square, 2) -- one more than the others
        for _, n in ipairs { 2 ^ 31 - 1, 2 ^ 31, 2 ^ 62 } do
            local err = raised.object(pool.map, pool, square, { n = n | 0 }, { chunksize = 1 })
            assert.equal("limit", err.kind)
        end
        local all = { chunksize = math.maxinteger }
        local err = raised.object(pool.map, pool, square, { n = math.maxinteger }, all)
        assert.equal("limit", err.kind)
        assert.equal(4, pending:get())
    end)

    it("takes any number of tasks and retries", function()
        local pool <close> = mp.Pool { processes = 1, maxtasksperchild = 2 ^ 32 + 1 | 0 }
        local first = pool:pids()[1]
        local deaths = mp.Queue()
        assert.equal(1, #pool:map(square, { 2 }, { retries = 2 ^ 32 | 0 }))
        assert.equal(1, #pool:map(square, { 2 }))
        assert.same({ first }, pool:pids())
        assert.equal("again", pool:apply(function()
            if deaths:qsize() == 0 then
                deaths:put(true)
                os.execute("kill -KILL " .. mp.getpid())
            end
            return "again"
        end, {}, { retries = 2 ^ 32 | 0 }))
    end)

    it("runs nothing of a list with an item that cannot be sent, if nothing was begun", function()
        local gate, ran = mp.Queue(), mp.Queue()
        local pool <close> = mp.Pool(1)
        local busy = pool:submit(function()
            gate:get(10)
        end)
        assert.matches("coroutine", raised.message(pool.map, pool, function(n)
            ran:put(n)
        end, { 1, 2, coroutine.create(print) }))
        gate:put "open"
        busy:wait()
        pool:close()
        pool:join()
        assert.equal(0, ran:qsize())
    end)

    it("kills a task that is over its time, and that alone", function()
        local gate = mp.Queue()
        local pool <close> = mp.Pool(2)
        local got = pool:map(function(n)
            if n == 3 then
                gate:get()
            end
            return n
        end, { 1, 2, 3, 4, 5 }, { timeout = 0.2, on_error = "collect" })
        assert.equal("timeout", got[3].kind)
        assert.equal(3, got[3].index)
        assert.equal(3, got[3].input)
        got[3] = 3
        assert.same({ 1, 2, 3, 4, 5 }, got)
        local err = raised.object(pool.apply, pool, function()
            while true do end -- luacheck: ignore
        end, {}, { timeout = 0.1 })
        assert.equal("timeout", err.kind)
        assert.same({ 4 }, pool:map(square, { 2 }))
    end)

    it("lets a task run for ever when its time is infinite, or longer than clocks count", function()
        local pool <close> = mp.Pool(1)
        local function slow(n)
            mp.sleep(0.2) -- a worker's time is looked at each 50 ms
            return n
        end
        for _, timeout in ipairs { math.huge, 1e300, 1e10, 9.3e9 } do
            assert.equal(7, pool:apply(slow, { 7 }, { timeout = timeout }))
        end
    end)

    it("keeps its results past its end", function()
        local pool = mp.Pool(2)
        local result = pool:map_async(square, { 1, 2, 3 })
        pool:close()
        pool:join()
        pool = nil -- luacheck: ignore
        collectgarbage()
        assert.same({ 1, 4, 9 }, result:get())
    end)

    it("ends when it is collected", function()
        local pids
        do
            local pool = mp.Pool(2)
            pids = pool:pids()
        end
        audit.eventually(function()
            collectgarbage()
            return not audit.state_of(pids[1]) and not audit.state_of(pids[2])
        end)
    end)

    it("knows queues that were made after it", function()
        local pool <close> = mp.Pool(1)
        local queue = mp.Queue()
        pool:apply(function(q)
            q:put "hello"
        end, { queue })
        assert.equal("hello", queue:get(10))
        pool:apply(function()
            queue:put "upvalue"
        end)
        assert.equal("upvalue", queue:get(10))
    end)

    it("brings queues home that a worker has made", function()
        local pool <close> = mp.Pool(1)
        local queue = pool:apply(function()
            local q = mp.Queue()
            q:put "from inside"
            return q
        end)
        assert.equal("from inside", queue:get(10))
    end)

    it("without processes may be made in a worker, and is told from the worker's own", function()
        local pool <close> = mp.Pool(1)
        local function names()
            local inner <close> = mp.Pool(0)
            local got = {}
            for i = 1, 4 do
                got[i] = inner:apply(function() return "inner " .. i end)
            end
            return table.concat(got, ", ")
        end
        for _ = 1, 3 do -- the functions of both are the first, second ... of their process
            assert.equal("outer", pool:apply(function() return "outer" end))
            assert.equal("inner 1, inner 2, inner 3, inner 4", pool:apply(names))
        end
        for _, inside in ipairs { true, false } do
            local err = raised.object(pool.apply, pool, function()
                local inner <close> = mp.Pool(0)
                inner:apply(function()
                    if inside then
                        os.execute "kill -9 $PPID"
                    end
                end)
                os.execute "kill -9 $PPID"
            end)
            assert.equal("died", err.kind)
        end
    end)

    it("may be made in a worker", function()
        local pool <close> = mp.Pool(2)
        assert.same({ 14, 50 }, pool:map(function(list)
            local inner <close> = mp.Pool(2)
            local sum = 0
            for _, n in ipairs(inner:map(square, list)) do
                sum = sum + n
            end
            return sum
        end, { { 1, 2, 3 }, { 3, 4, 5 } }))
    end)

    it("may be made in a child process", function()
        local child = mp.spawn(function()
            local pool <close> = mp.Pool(2)
            return pool:map(square, { 1, 2, 3 })
        end)
        assert.same({ 1, 4, 9 }, child:get(10))
    end)

    it("gives each worker a random stream of its own", function()
        local pool <close> = mp.Pool(2)
        local gate = mp.Queue()
        local first = pool:map_async(function()
            gate:get(10) -- so that each worker has one of the two
            return math.random(0)
        end, { 1, 2 }, { chunksize = 1 })
        gate:put(1)
        gate:put(2)
        local numbers = first:get()
        assert.not_equal(numbers[1], numbers[2])
    end)

    it("returns large results", function()
        local pool <close> = mp.Pool(2)
        local got = pool:map(function(n)
            return ("x"):rep(n)
        end, { 1, 1 << 20, 3, 5 << 20 })
        assert.equal(1 << 20, #got[2])
        assert.equal(5 << 20, #got[4])
    end)

    it("stays in the process that made it", function()
        local pool <close> = mp.Pool(1)
        local text = raised.message(pool.apply, pool, square, { pool })
        assert.matches("Pool stays in the process", text)
        local queue = mp.Queue()
        assert.matches("Pool stays in the process", raised.message(queue.put, queue, pool))
    end)
end)

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
