-- What a pool promises when its workers, its creator or its tasks fail: one kill or misuse each.

local audit = require "spec.support.audit"
local mp = require "moonfork"
local raised = require "spec.support.raised"
local run = require "spec.support.run"

audit.install(before_each, after_each)

local function kill(pid, signal)
    os.execute(("kill -%s %d 2>/dev/null"):format(signal, pid))
end

local function kill_myself(signal)
    kill(mp.getpid(), signal or "KILL")
end

local function square(n)
    return n * n
end

local function range(n)
    local list = {}
    for i = 1, n do
        list[i] = i
    end
    return list
end

-- That a pool works as if nothing had been.
local function works(pool)
    local got = pool:map(square, range(100), { chunksize = 3 })
    for i = 1, 100 do
        assert.equal(i * i, got[i])
    end
end

describe("a worker that is killed in a task", function()
    it("fails that task with signal, pid and index; the others have their results", function()
        local pool <close> = mp.Pool(2)
        local pids = {}
        for _, pid in ipairs(pool:pids()) do
            pids[pid] = true
        end
        local got = pool:map(function(n)
            if n == 7 then
                kill_myself()
            end
            return n * n
        end, range(20), { on_error = "collect" })
        for i = 1, 20 do
            assert.equal(i ~= 7 and i * i or "died", i ~= 7 and got[i] or got[i].kind)
        end
        local err = got[7]
        assert.equal(9, err.signal)
        assert.equal(7, err.index)
        assert.equal(7, err.input)
        assert.is_true(pids[err.pid])
        assert.matches("signal 9", tostring(err))
        assert.matches(tostring(err.pid), tostring(err))
        works(pool)
        assert.equal(2, #pool:pids())
    end)

    it("raises from map, apply and imap, and the pool goes on", function()
        local pool <close> = mp.Pool(2)
        for _, call in ipairs {
            function() pool:map(kill_myself, { "KILL" }) end,
            function() pool:apply(kill_myself) end,
            function() pool:submit(kill_myself):get() end,
            function() for _ in pool:imap(kill_myself, { "KILL" }) do end end, -- luacheck: ignore
        } do
            local err = raised.object(call)
            assert.equal("died", err.kind)
            assert.equal(9, err.signal)
            works(pool)
        end
    end)

    it("is replaced also when it was the only one", function()
        local pool <close> = mp.Pool(1)
        for _ = 1, 10 do
            assert.equal("died", raised.object(pool.apply, pool, kill_myself).kind)
            assert.equal(9, pool:apply(square, { 3 }))
        end
    end)

    it("costs no task with as many retries as deaths", function()
        local pool <close> = mp.Pool(2)
        local deaths = mp.Queue()
        local function dies(n)
            if n == 7 and deaths:get_nowait() then
                kill_myself()
            end
            return n * n
        end
        for retries = 1, 3 do
            for _ = 1, retries do
                deaths:put(true)
            end
            local got = pool:map(dies, range(20), { retries = retries })
            for i = 1, 20 do
                assert.equal(i * i, got[i])
            end
            assert.equal(0, deaths:qsize())
        end
        for _ = 1, 3 do
            deaths:put(true)
        end
        assert.equal(7, raised.object(pool.map, pool, dies, range(20), { retries = 1 }).index)
        assert.equal(1, deaths:qsize())
    end)

    it("has each item of a chunk run once, itself excepted with retries", function()
        local pool <close> = mp.Pool(2)
        local seen = mp.Queue()
        local got = pool:map(function(n)
            seen:put(n)
            if n % 10 == 0 then
                kill_myself()
            end
            return n
        end, range(30), { chunksize = 15, retries = 1, on_error = "collect" })
        local runs = {}
        for _ = 1, seen:qsize() do
            local n = seen:get(1)
            runs[n] = (runs[n] or 0) + 1
        end
        for i = 1, 30 do
            assert.equal(i % 10 == 0 and 2 or 1, runs[i])
            assert.equal(i % 10 == 0, mp.is_error(got[i]))
        end
    end)

    it("costs one of 200,000 items, at any place, and none runs twice", function()
        local count = 200000
        local seed = os.time()
        math.randomseed(seed)
        local victim = math.random(count)
        local pool <close> = mp.Pool(2)
        local seen = mp.Queue()
        local got = pool:map(function(n)
            seen:put(n)
            if n == victim then
                kill_myself()
            end
            return n * n
        end, range(count), { on_error = "collect" })
        local wrong = {}
        for i = 1, count do
            if got[i] ~= i * i then
                wrong[#wrong + 1] = i
            end
        end
        assert.same({ victim }, wrong, "seed " .. seed)
        assert.equal("died", got[victim].kind)
        assert.equal(victim, got[victim].index)
        assert.equal(victim, got[victim].input)
        local runs = {}
        assert.equal(count, seen:qsize())
        for _ = 1, count do
            local n = seen:get(1)
            assert(not runs[n], "an item has run twice")
            runs[n] = true
        end
    end)

    it("may be any of them, again and again", function()
        local pool <close> = mp.Pool(3)
        local sum, n, kills = 0, 0, 0
        for i, v in pool:imap_unordered(square, range(3000), { retries = 1000, chunksize = 5 }) do
            n = n + 1
            assert.equal(i * i, v)
            sum = sum + i
            if n % 100 == 0 then
                local pids = pool:pids()
                kill(pids[math.random(#pids)], "KILL")
                kills = kills + 1
            end
        end
        assert.equal(3000, n)
        assert.equal(3000 * 3001 // 2, sum)
        assert.equal(30, kills)
        works(pool)
    end)

    it("may be idle", function()
        local pool <close> = mp.Pool(2)
        for _ = 1, 5 do
            for _, pid in ipairs(pool:pids()) do
                kill(pid, "KILL")
            end
            works(pool)
        end
    end)
end)

describe("a task", function()
    local function check(f, expected, ...)
        local pool <close> = mp.Pool(2)
        local args = { ... }
        local err = raised.object(pool.apply, pool, f, args)
        assert.is_true(mp.is_error(err))
        for key, value in pairs(expected) do
            if key == "text" then
                assert.matches(value, tostring(err))
            else
                assert.equal(value, err[key])
            end
        end
        assert.equal("number", type(err.pid))
        local got = pool:map(function(n)
            return n == 3 and f(table.unpack(args)) or n
        end, range(6), { on_error = "collect" })
        for i = 1, 6 do
            assert.equal(i == 3, mp.is_error(got[i]))
        end
        works(pool)
    end

    it("that calls os.exit(0) fails, as no result came", function()
        check(os.exit, { kind = "exit", exitcode = 0, text = "os.exit%(0%)" }, 0)
    end)

    it("that calls os.exit(3) fails with that status", function()
        check(os.exit, { kind = "exit", exitcode = 3, text = "os.exit%(3%)" }, 3)
    end)

    it("that calls os.exit(true) fails too", function()
        check(os.exit, { kind = "exit", exitcode = 0 }, true)
    end)

    it("that is killed by a signal fails with its number", function()
        check(kill_myself, { kind = "died", signal = 6, text = "signal 6" }, "ABRT")
        check(kill_myself, { kind = "died", signal = 15, text = "signal 15" }, "TERM")
    end)

    if not run.sanitized then -- which takes this signal for itself
        it("that segfaults fails with signal 11", function()
            check(kill_myself, { kind = "died", signal = 11, text = "signal 11" }, "SEGV")
        end)
    end

    it("that overflows the stack fails with that error", function()
        check(function()
            local function deeper()
                return 1 + deeper()
            end
            return deeper()
        end, { kind = "error", text = "stack overflow" })
    end)

    it("that overflows the C stack fails with that error", function()
        check(function()
            local function deeper(s)
                return s:gsub(".", deeper)
            end
            return deeper "x"
        end, { kind = "error", text = "stack overflow" })
    end)

    if not run.sanitized then -- which needs more memory than the limit
        it("that uses up its memory fails, and the pool goes on", function()
            local result = run.shell [[
                ulimit -v 400000
                exec $LUA -e '
                    local mp = require "moonfork"
                    local pool <close> = mp.Pool(2)
                    local got = pool:map(function(n)
                        local list = {}
                        while n == 3 do
                            list[#list + 1] = ("x"):rep(1 << 20) .. #list
                        end
                        return n
                    end, { 1, 2, 3, 4, 5 }, { on_error = "collect" })
                    print(got[1], got[2], got[3].kind, got[3].message, got[4], got[5])
                    print(pool:apply(math.max, { 1, 2 }))']]
            assert.equal("", result.err)
            assert.equal("1\t2\terror\tnot enough memory\t4\t5\n2\n", result.out)
        end)
    end

    it("that raises what cannot be sent fails with its text", function()
        check(function()
            error(io.stdout:write "" and io.tmpfile())
        end, { kind = "error", text = "file %(0x%x+%)" })
        check(function()
            error(coroutine.create(print))
        end, { kind = "error", text = "thread" })
        check(function()
            error(setmetatable({}, { __tostring = function() error "again" end }))
        end, { kind = "error", text = "table" })
        check(function()
            local text = { __tostring = function() return "mine" end }
            error(setmetatable({ log = io.tmpfile() }, text))
        end, { kind = "error", text = "^mine" })
        check(function()
            error(setmetatable({}, { __tostring = function() return 42 end }))
        end, { kind = "error", text = "^42" })
    end)

    it("whose result cannot be sent fails with the kind that says so", function()
        check(function()
            return { log = coroutine.create(print) }
        end, { kind = "unsendable", text = "result%.log: cannot send a coroutine" })
    end)

    it("that closes the standard files fails alone", function()
        check(function()
            io.stdout:close()
            io.stderr:close()
            error "done"
        end, { kind = "error", text = "done" })
    end)

    it("that starts a process and is killed leaves nobody behind", function()
        local pool <close> = mp.Pool(1)
        local pids = mp.Queue()
        local err = raised.object(pool.apply, pool, function()
            mp.spawn(function()
                pids:put(mp.getpid())
                mp.Queue():get()
            end)
            pids:put(mp.getpid())
            mp.Queue():get(5)
        end, {}, { timeout = 0.2 })
        assert.equal("timeout", err.kind)
        for _ = 1, 2 do
            local pid = pids:get(10)
            audit.eventually(function()
                return not audit.state_of(pid)
            end)
        end
    end)
end)

describe("maxtasksperchild", function()
    it("with one worker, 2 a child and 6 tasks gives 6 results from 3 pids", function()
        local pool <close> = mp.Pool { processes = 1, maxtasksperchild = 2 }
        local pids, n = {}, 0
        for _, pid in ipairs(pool:map(mp.getpid, range(6), { chunksize = 1 })) do
            n = n + (pids[pid] and 0 or 1)
            pids[pid] = true
        end
        assert.equal(3, n)
    end)

    it("with one task a child goes on for any number of tasks", function()
        local pool <close> = mp.Pool { processes = 4, maxtasksperchild = 1 }
        local n = 0
        for i, v in pool:imap_unordered(square, range(3000)) do
            assert.equal(i * i, v)
            n = n + 1
        end
        assert.equal(3000, n)
    end)
end)

describe("an initializer", function()
    local function fails_with(initializer, kind, text)
        local pool <close> = mp.Pool { processes = 2, initializer = initializer }
        for _ = 1, 2 do
            local err = raised.object(pool.map, pool, square, range(5))
            assert.equal(kind, err.kind)
            assert.matches(text, tostring(err))
        end
        assert.equal(kind, raised.object(function()
            for _ in pool:imap(square, { 1 }) do end -- luacheck: ignore
        end).kind)
        audit.eventually(function() -- none is started again and again
            return #pool:pids() == 0 or pool:terminate() or true
        end)
    end

    it("that raises gives that error at once", function()
        fails_with(function()
            error "no database"
        end, "error", "no database")
    end)

    it("that exits gives one error", function()
        fails_with(function()
            os.exit(7)
        end, "broken", "exit status 7")
    end)

    it("that is killed gives one error", function()
        fails_with(kill_myself, "broken", "signal 9")
    end)
end)

describe("terminate", function()
    -- That none of these processes is left.
    local function gone(pids)
        audit.eventually(function()
            for _, pid in ipairs(pids) do
                if audit.state_of(pid) then
                    return false
                end
            end
            return true
        end)
    end

    it("ends workers that never return", function()
        local pool = mp.Pool(2)
        local pids, began = pool:pids(), mp.Queue()
        local result = pool:map_async(function()
            began:put(1)
            while true do end -- luacheck: ignore
        end, { 1, 2 })
        assert.equal(2, began:get(10) + began:get(10))
        pool:terminate()
        assert.equal("cancelled", raised.object(result.get, result).kind)
        gone(pids)
    end)

    it("ends workers that are stopped", function()
        local pool = mp.Pool(2)
        local pids = pool:pids()
        for _, pid in ipairs(pids) do
            kill(pid, "STOP")
        end
        pool:submit(square, 2)
        pool:terminate()
        gone(pids)
    end)

    it("ends workers in the middle of large results", function()
        local pool = mp.Pool(4)
        local pids = pool:pids()
        local result = pool:map_async(function()
            return ("x"):rep(5 << 20)
        end, range(8))
        pool:terminate()
        assert.is_true(result:ready())
        gone(pids)
    end)

    it("takes less than a second with 8 results of 50 MB under way", function()
        local pool = mp.Pool(4)
        local pids, begins = pool:pids(), mp.Queue()
        local result = pool:map_async(function()
            begins:put(true)
            return ("x"):rep(50 << 20)
        end, range(8), { chunksize = 1 })
        for _ = 1, 4 do
            assert.is_true(begins:get(10))
        end
        local start = mp.time()
        pool:terminate()
        assert.is_true(mp.time() - start < (run.sanitized and 5 or 1))
        assert.is_true(result:ready())
        gone(pids)
    end)

    it("is what an error in the block of the pool does", function()
        local pids
        pcall(function()
            local pool <close> = mp.Pool(2)
            pids = pool:pids()
            pool:map_async(function()
                while true do end -- luacheck: ignore
            end, { 1, 2 })
            error "out"
        end)
        gone(pids)
    end)
end)

describe("a producer that is killed", function()
    it("in a put of 30 MB leaves whole messages only, and the way free for others", function()
        local size = 30 << 20
        local before = mp.debug.counts().blocks
        for round = 0, 9 do -- a little later each time: before, in and after the put
            local q, begins = mp.Queue(), mp.Queue()
            local victim = mp.spawn(function()
                local text = ("x"):rep(size)
                begins:put(true)
                q:put(text)
            end)
            local other = mp.spawn(function()
                for i = 1, 1000 do
                    q:put("string " .. i)
                end
            end)
            assert.is_true(begins:get(30))
            mp.sleep(round * 0.002)
            victim:kill()
            assert.is_true(victim:join(10) and other:join(10))
            local n, large = 0, 0
            for _ = 1, q:qsize() do
                local text = q:get(1)
                if #text == size then
                    large = large + 1
                    assert.falsy(text:find "[^x]")
                else
                    n = n + 1
                    assert.equal("string " .. n, text)
                end
            end
            assert.equal(1000, n)
            assert.is_true(large <= 1)
            assert.same({ put = n + large, got = n + large, queued = 0, lost = 0 }, q:stats())
        end
        collectgarbage()
        collectgarbage()
        assert.is_true(mp.debug.counts().blocks <= before)
    end)
end)

describe("a worker", function()
    it("runs no finaliser of its parent, and prints nothing twice", function()
        local result = run.script [[
            io.stdout:setvbuf "full"
            io.write "written before\n"
            local mp = require "moonfork"
            local object = setmetatable({}, { __gc = function() print "collected" end })
            local closing <close> = setmetatable({}, { __close = function() print "closed" end })
            do
                local pool <close> = mp.Pool(3)
                pool:map(math.abs, { 1, 2, 3 })
            end
            print "end"]]
        local once = "written before\nend\nclosed\ncollected\n"
        assert.same({ err = "", status = 0, out = once }, result)
    end)

    it("prints each line whole", function()
        local result = run.script [[
            local mp = require "moonfork"
            local pool <close> = mp.Pool(4)
            pool:map(function(n)
                for i = 1, 200 do
                    print(("line"):rep(20), n, i)
                end
            end, { 1, 2, 3, 4 })]]
        local n = 0
        for line in result.out:gmatch "[^\n]+" do
            n = n + 1
            assert.matches("^" .. ("line"):rep(20) .. "\t%d\t%d+$", line)
        end
        assert.equal(800, n)
    end)
end)
