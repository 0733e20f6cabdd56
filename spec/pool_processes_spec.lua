-- Pool: what holds where its workers are processes. What its methods mean is in pool_spec.lua.

local audit = require "spec.support.audit"
local mp = require "moonfork"
local raised = require "spec.support.raised"

local function square(n)
    return n * n
end

audit.install(before_each, after_each)

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
