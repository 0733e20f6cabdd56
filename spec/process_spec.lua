-- mp.Process and mp.spawn: starting, waiting, ending, what a child has and what it leaves.

local audit = require "spec.support.audit"
local mp = require "moonfork"
local script = require "spec.support.script"

local function fails(pattern, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok)
    assert.matches(pattern, tostring(message))
    return message
end

describe("a process", function()
    audit.install(before_each, after_each)

    it("runs a function with arguments, in parallel, and gives its results", function()
        local base = 10
        local p = mp.Process {
            target = function(a, b, c)
                return base + a, b, c, mp.getpid()
            end,
            args = { 1, nil, "c", n = 3 },
        }
        assert.is_nil(p.pid)
        assert.is_nil(p.exitcode)
        assert.is_false(p:is_alive())
        assert.equal(p, p:start())
        assert.equal("integer", math.type(p.pid))
        assert.is_true(p:join())
        assert.same({ 11, nil, "c", p.pid, n = 4 }, table.pack(p:get()))
        assert.same({ 11, nil, "c", p.pid, n = 4 }, table.pack(p:get()))
        assert.equal(0, p.exitcode)
        assert.is_false(p:is_alive())
        assert.is_true(p:join(0))
    end)

    it("takes Python's positional form too", function()
        local p = mp.Process(function(a, b)
            return a .. b
        end, { "x", "y" }, { name = "joiner", daemon = true })
        assert.equal("joiner", p.name)
        assert.is_true(p.daemon)
        assert.equal("xy", p:start():get())
    end)

    it("is spawned in one go", function()
        assert.same({ nil, 2, nil, n = 3 }, table.pack(mp.spawn(function(...)
            return ...
        end, nil, 2, nil):get()))
    end)

    it("has a name, which it knows", function()
        local p = mp.Process { target = function()
            local me = mp.current_process()
            return me.name, me.pid == mp.getpid(), me.daemon, me:is_alive(), me.exitcode
        end }
        assert.matches("^Process%-%d+$", p.name)
        local name = p.name
        p:start()
        assert.same({ name, true, false, true, nil, n = 5 }, table.pack(p:get()))
        p = mp.Process { target = function()
            return mp.current_process().name, mp.current_process().daemon
        end, name = "one" }
        p.name = "two"
        p.daemon = true
        p:start()
        assert.same({ "two", true }, { p:get() })
        fails("before the start", function()
            p.name = "three"
        end)
        fails("no field 'nome'", function()
            p.nome = "three"
        end)
        assert.equal("MainProcess", mp.current_process().name)
        assert.equal(mp.getpid(), mp.current_process().pid)
    end)

    it("names the children of a child after it", function()
        local p = mp.Process { name = "top", target = function()
            return mp.spawn(function()
                return mp.current_process().name
            end):get()
        end }
        assert.equal("top:1", p:start():get())
    end)

    it("waits with a limit", function()
        local q = mp.Queue()
        local p = mp.spawn(function()
            return q:get()
        end)
        assert.is_false(p:join(0))
        assert.is_false(p:join(0.01))
        assert.is_true(p:is_alive())
        local e = fails("has not ended in time", p.get, p, 0.01)
        assert.is_true(mp.is_error(e))
        assert.equal("timeout", e.kind)
        assert.equal(p.pid, e.pid)
        q:put "go"
        assert.equal("go", p:get(10))
    end)

    it("is among the active children while it runs", function()
        local q = mp.Queue()
        assert.same({}, mp.active_children())
        local p = mp.spawn(function()
            q:get()
        end)
        assert.same({ p }, mp.active_children())
        q:put(1)
        p:join()
        assert.same({}, mp.active_children())
    end)

    it("is reaped and runs on though nobody keeps it", function()
        local q = mp.Queue()
        for i = 1, 10 do
            mp.spawn(function()
                q:put(i)
            end)
        end
        collectgarbage()
        local sum = 0
        for _ = 1, 10 do
            sum = sum + q:get(10)
        end
        assert.equal(55, sum)
        audit.eventually(function()
            return #mp.active_children() == 0
        end)
        assert.same({}, audit.children())
    end)

    it("is joined at the end of its scope, and ended when an error leaves that", function()
        local outer
        do
            local p <close> = mp.spawn(mp.sleep, 0.01)
            outer = p
        end
        assert.equal(0, outer.exitcode)
        pcall(function()
            local p <close> = mp.spawn(mp.sleep, 1000)
            outer = p
            error "out"
        end)
        assert.equal(-15, outer.exitcode)
    end)

    it("starts inside a coroutine, a pcall and a sort, and never comes back there", function()
        local q = mp.Queue()
        local co = coroutine.wrap(function()
            pcall(function()
                table.sort({ 2, 1 }, function(a, b)
                    mp.spawn(function()
                        q:put "child"
                    end):join()
                    return a < b
                end)
            end)
            coroutine.yield "parent"
        end)
        assert.equal("parent", co())
        assert.is_true(q:qsize() >= 1)
        for value in function() return (q:get(0)) end do
            assert.equal("child", value)
        end
    end)

    it("is started by a child as well", function()
        local p = mp.spawn(function(n)
            local function fib(k)
                if k < 2 then
                    return k
                end
                local left = mp.spawn(fib, k - 1)
                return fib(k - 2) + left:get()
            end
            return fib(n)
        end, 5)
        assert.equal(5, p:get(60))
    end)

    it("can be many at once", function()
        local q, many = mp.Queue(), {}
        for i = 1, 50 do
            many[i] = mp.spawn(function()
                q:get()
                return i
            end)
        end
        for _ = 1, 50 do
            q:put(true)
        end
        local sum = 0
        for i = 1, 50 do
            sum = sum + many[i]:get(30)
        end
        assert.equal(1275, sum)
    end)
end)

describe("the exit code of a process", function()
    audit.install(before_each, after_each)

    local function code_of(f)
        local p = mp.spawn(f)
        p:join()
        return p.exitcode, p
    end

    it("is 0 when the target returns", function()
        assert.equal(0, (code_of(function() end)))
    end)

    it("is 1 for an uncaught error, which get raises", function()
        local code, p = code_of(function()
            local deeper = { reason = 42 }
            error(deeper)
        end)
        assert.equal(1, code)
        local e = fails("table value", p.get, p)
        assert.equal("error", e.kind)
        assert.same({ reason = 42 }, e.value)
        assert.equal(p.pid, e.pid)
        assert.equal(1, e.exitcode)
        assert.matches("stack traceback", e.traceback)
        code, p = code_of(function()
            error "plain text"
        end)
        assert.equal(1, code)
        e = fails("process_spec.lua:%d+: plain text", p.get, p)
        assert.matches("process_spec.lua:%d+: plain text$", e.message)
        assert.equal(e.message, e.value)
        assert.matches("^no: .*plain text$", "no: " .. e)
        assert.matches("plain text\nstack traceback", tostring(e))
    end)

    it("is what os.exit says, whatever way it is called (A15)", function()
        for given, expected in pairs { [0] = 0, [3] = 3, [255] = 255, [true] = 0, [false] = 1 } do
            local p = mp.spawn(function()
                local exit <const> = os.exit
                pcall(function()
                    coroutine.wrap(function()
                        exit(given)
                    end)()
                end)
            end)
            p:join()
            assert.equal(expected, p.exitcode)
            local e = fails("ended with status " .. expected, p.get, p)
            assert.equal("exit", e.kind)
            assert.equal(expected, e.exitcode)
        end
    end)

    it("is minus the signal that killed it (A15)", function()
        local p = mp.spawn(function()
            os.execute("kill -SEGV " .. mp.getpid())
            mp.sleep(100)
        end)
        p:join()
        assert.equal(-11, p.exitcode)
        local e = fails("killed by signal 11", p.get, p)
        assert.equal("died", e.kind)
        assert.equal(11, e.signal)
        assert.equal(p.pid, e.pid)
        p = mp.spawn(mp.sleep, 1000)
        p:terminate()
        p:join()
        assert.equal(-15, p.exitcode)
        p:terminate()
        p:kill()
        p = mp.spawn(function()
            while true do end
        end)
        p:kill()
        p:join()
        assert.equal(-9, p.exitcode)
    end)

    it("is 1 when the stack overflows (A15)", function()
        local code, p = code_of(function()
            local function f()
                return 1 + f()
            end
            return f()
        end)
        assert.equal(1, code)
        fails("stack overflow", p.get, p)
    end)

    it("is 1 when memory runs out (A15)", function()
        if os.getenv "LD_PRELOAD" or (os.getenv "MF_BUILD" or ""):find "asan" then
            return -- sanitizers need more address space than they use
        end
        local r = script.run([[
            local mp = require "moonfork"
            local p = mp.spawn(function()
                local s = ("x"):rep(1 << 20)
                while true do s = s .. s end
            end)
            local ok, e = pcall(p.get, p)
            print(p.exitcode, ok, e.kind, e.message)
        ]], "ulimit -v 1000000; SCRIPT")
        assert.equal("1\tfalse\terror\tnot enough memory\n", r.out)
    end)

    it("is 1 for an error that cannot be sent or shown (A6)", function()
        local code, p = code_of(function()
            error(coroutine.create(print))
        end)
        assert.equal(1, code)
        local e = fails("thread value", p.get, p)
        assert.is_nil(e.value)
        p = select(2, code_of(function()
            error(setmetatable({}, { __tostring = function()
                error "no"
            end }))
        end))
        fails("table value", p.get, p)
    end)

    it("is 0 when only the result cannot be sent, which get tells", function()
        local code, p = code_of(function()
            return 1, { co = coroutine.create(print) }
        end)
        assert.equal(0, code)
        local e = fails("result%[2%]%.co", p.get, p)
        assert.equal("unsendable", e.kind)
    end)

    it("is 0 when only the result cannot be read here, which get tells each time", function()
        local code, p = code_of(function()
            package.preload.only_there = function() return { __name = "Thing" } end
            return setmetatable({}, require "only_there")
        end)
        assert.equal(0, code)
        for _ = 1, 2 do
            local e = fails("cannot be read here: module 'only_there' not found", p.get, p)
            assert.equal("unsendable", e.kind)
            assert.equal(p.pid, e.pid)
        end
    end)
end)

describe("a process that a hook closes", function()
    audit.install(before_each, after_each)

    -- Calls f(p) with a process that runs until a hook, inside f's wait, ends and closes it.
    local function closed_in(f)
        local p = mp.spawn(mp.sleep, 1000)
        local start = mp.time()
        debug.sethook(function()
            if mp.time() - start > 0.1 then
                debug.sethook()
                p:kill()
                p:join()
                p:close()
            end
        end, "", 1)
        local outcome = table.pack(pcall(f, p))
        debug.sethook()
        assert.matches("closed", tostring(p))
        return table.unpack(outcome, 1, outcome.n)
    end

    it("has ended for who joins it", function()
        assert.same({ true, true }, { closed_in(function(p)
            return p:join()
        end) })
        assert.same({ true, true }, { closed_in(function(p)
            return p:join(100)
        end) })
        assert.is_true(closed_in(function(p)
            local _ <close> = p
        end))
    end)

    it("has no outcome any more", function()
        local ok, message = closed_in(function(p)
            return p:get()
        end)
        assert.is_false(ok)
        assert.matches("get: process 'Process%-%d+' is closed", message)
    end)

    it("may be closed while its error is read", function()
        local p = mp.spawn(function()
            error(setmetatable({}, {
                __mf_encode = function()
                    return "closes_in_decode", 7
                end,
            }))
        end)
        local pid = p.pid
        package.preload.closes_in_decode = function()
            return {
                __mf_decode = function(value)
                    p:close()
                    return value
                end,
            }
        end
        local ok, err = pcall(p.get, p)
        package.preload.closes_in_decode, package.loaded.closes_in_decode = nil, nil
        assert.same({ false, 7, pid }, { ok, err.value, err.pid })
        assert.matches("closed", tostring(p))
    end)
end)

describe("misuse of a process", function()
    audit.install(before_each, after_each)

    it("is told at the caller", function()
        local function f() end
        fails("function expected, got number", mp.spawn, 1)
        fails("function expected, got nil", mp.Process, {})
        fails("unknown option 'tarqet', did you mean 'target'", mp.Process, { tarqet = f })
        fails("args: table of arguments expected, got string", mp.Process,
            { target = f, args = "x" })
        fails("args: table of arguments expected, got number", mp.Process, f, 3)
        fails("name: string expected", mp.Process, { target = f, name = 1 })
        fails("daemon: boolean expected", mp.Process, { target = f, daemon = 1 })
        fails("seed: a whole number", mp.Process, { target = f, seed = 1.5 })
        local p = mp.Process { target = f }
        fails("is not started", p.join, p)
        fails("is not started", p.get, p)
        fails("is not started", p.kill, p)
        p:start()
        fails("twice", p.start, p)
        fails("got boolean", p.join, p, true)
        p:join()
        fails("twice", p.start, p)
        p:close()
        p:close()
        fails("closed", p.join, p)
        fails("closed", p.is_alive, p)
        fails("closed", p.start, p)
        assert.matches("closed", tostring(p))
        local me = mp.current_process()
        fails("cannot join itself", me.join, me)
        fails("cannot kill itself", me.kill, me)
        fails("moonfork.Process expected", p.join, mp.Queue())
        fails("moonfork.Process expected", p.join, {})
    end)

    it("is told when what is to be left open is not a list of descriptors", function()
        local function start(fds)
            mp.Process({ target = print, keep_fds = fds }):start()
        end
        fails("keep_fds: table expected, got number", start, 3)
        fails("whole numbers", start, { "3" })
        fails("keep_fds: 4294967299 is no descriptor", start, { 2 ^ 32 + 3 | 0 })
        fails("keep_fds: %-1 is no descriptor", start, { -1 })
        for _, n in ipairs { 1000001, 2 ^ 61 | 0, 2 ^ 62 | 0 } do
            local list = setmetatable({}, {
                __len = function()
                    return n
                end,
                __index = function()
                    return 1
                end,
            })
            fails(("at most 1000000 descriptors expected, got %.0f$"):format(n), start, list)
        end
        assert.same({}, audit.children())
    end)

    it("is told when a running process is closed", function()
        local p = mp.spawn(mp.sleep, 1000)
        fails("still running", p.close, p)
        p:kill()
        p:join()
        p:close()
    end)

    it("is told when it is started or closed by what its start calls", function()
        for _, method in ipairs { "start", "close" } do
            local p, called
            p = mp.Process { target = function() end, args = setmetatable({}, {
                __len = function()
                    if not called then
                        called = true
                        p[method](p)
                    end
                    return 0
                end,
            }) }
            fails("was started or closed while it was started", p.start, p)
            assert.equal(method == "start" and 1 or 0, #audit.children())
            assert.is_true(method == "close" or p:join(10))
        end
    end)

    it("starts nothing when an argument cannot be sent", function()
        local co = coroutine.create(print)
        fails("args%[2%]%.log", mp.spawn, print, 1, { log = co })
        fails("upvalue 'co'", mp.spawn, function()
            return co
        end)
        assert.same({}, audit.children())
    end)

    it("is told when a process is sent", function()
        local p = mp.spawn(function() end)
        fails("stays in the process that made it", mp.spawn, print, p)
        p:join()
    end)
end)

describe("a child", function()
    audit.install(before_each, after_each)

    it("has a random stream of its own, or the one that it is given", function()
        local function draw()
            return math.random(math.mininteger, math.maxinteger)
        end
        local seen = { [draw()] = true }
        for _ = 1, 5 do
            local n = mp.spawn(draw):get()
            assert.is_nil(seen[n])
            seen[n] = true
        end
        local function seeded(seed)
            return mp.Process { target = draw, seed = seed }:start():get()
        end
        assert.equal(seeded(42), seeded(42))
        assert.not_equal(seeded(42), seeded(43))
    end)

    it("finds the modules that its parent finds, and has its arguments", function()
        local path, cpath = package.path, package.cpath
        local p = mp.spawn(function()
            return package.path, package.cpath, arg and arg[0], package.loaded.moonfork ~= nil
        end)
        local got = table.pack(p:get())
        assert.same({ path, cpath, arg[0], false }, got[1] and { got[1], got[2], got[3], got[4] })
    end)

    it("has the C functions of its parent's package.preload", function()
        package.preload["spec.preloaded"] = string.upper
        package.preload["spec.not"] = coroutine.wrap(function() end)
        local p = mp.spawn(function()
            return require "spec.preloaded", package.preload["spec.not"]
        end)
        assert.same({ "SPEC.PRELOADED", nil }, { p:get() })
        package.preload["spec.preloaded"], package.preload["spec.not"] = nil, nil
    end)

    it("has a name without zero bytes", function()
        assert.has_error(function()
            mp.Process { target = print, name = "a\0b" }
        end, "bad argument #1 to 'Process' (name: a string without a zero byte expected)")
        assert.has_error(function()
            mp.Pool { processes = 1, name = "a\0b" }
        end)
    end)

    it("requires what its parent has in package.preload as a Lua function", function()
        local factor, q = 3, mp.Queue()
        package.preload["spec.bundled"] = function(name)
            return { name = name, times = function(n) return n * factor end }
        end
        package.preload["spec.odd"] = function() return q, coroutine.running() end
        local bundled = require "spec.bundled"
        local function task(n)
            return bundled.times(n), bundled.name, package.preload["spec.odd"]
        end
        assert.same({ 21, "spec.bundled" }, { mp.spawn(task, 7):get() })
        assert.equal(6, mp.spawn(function() return (mp.spawn(task, 2):get()) end):get())
        assert.equal(9, mp.Pool(1):apply(task, { 3 }))
        package.preload["spec.bundled"], package.preload["spec.odd"] = nil, nil
        package.loaded["spec.bundled"] = nil
        collectgarbage()
        collectgarbage()
    end)

    it("gets by value what only a searcher of the script finds", function()
        local function searcher(name)
            return name == "spec.searched" and function()
                return { twice = function(n) return 2 * n end }
            end or nil
        end
        table.insert(package.searchers, 2, searcher)
        local searched = require "spec.searched"
        assert.equal(8, mp.spawn(function() return searched.twice(4) end):get())
        table.remove(package.searchers, 2)
        package.loaded["spec.searched"] = nil
    end)

    it("runs no finaliser of its parent, and all of its own", function()
        local q = mp.Queue()
        local mine <close> = setmetatable({}, {
            __gc = function()
                q:put "wrong"
            end,
            __close = function() end,
        })
        local p = mp.spawn(function()
            setmetatable({}, { __gc = function()
                q:put "collected"
            end })
            local _ <close> = setmetatable({}, { __close = function()
                q:put "closed"
            end })
            os.exit(0)
        end)
        p:join()
        assert.equal("closed", q:get(0))
        assert.equal("collected", q:get(0))
        assert.equal("empty", select(3, q:get(0)))
        assert.is_table(mine)
        getmetatable(mine).__gc = nil
    end)

    it("sends what its finalisers put while its state closes", function()
        local q = mp.Queue()
        local p = mp.spawn(function()
            _G.last = setmetatable({}, { __gc = function()
                q:put { 1, { 2, { q } } }
            end })
            q:put { "first" }
        end)
        p:join()
        assert.equal(0, p.exitcode)
        assert.same({ "first" }, q:get(0))
        assert.equal(2, q:get(0)[2][1])
    end)

    it("does not have its parent's open files, unless asked", function()
        local file = assert(io.open "/dev/null")
        local function files()
            local n = 0
            for fd = 3, 50 do
                local f = io.open("/proc/self/fd/" .. fd)
                if f then
                    n = n + 1
                    f:close()
                end
            end
            return n
        end
        assert.equal(0, mp.spawn(files):get())
        file:close()
    end)

    it("reads nothing from stdin, unless asked", function()
        assert.is_nil(mp.spawn(function()
            return io.read()
        end):get())
        local r = script.run([[
            local mp = require "moonfork"
            local function read() return io.read() end
            print(mp.Process{ target = read, stdin = true }:start():get())
        ]], "echo hello | SCRIPT")
        assert.equal("hello\n", r.out)
    end)

    it("has memory for blocks of all sizes, growing and shrinking", function()
        local p = mp.spawn(function()
            local kept, sum = {}, 0
            for round = 1, 3 do
                for size = 1, 70000, 7 * round do
                    kept[size % 1000 + 1] = { ("x"):rep(size), size }
                end
                for _, pair in pairs(kept) do
                    assert(#pair[1] == pair[2] and pair[1]:find "^x+$")
                    sum = sum + 1
                end
                local list = {}
                for i = 1, 20000 do
                    list[i] = i
                end
                for i = 1, 20000 do
                    assert(list[i] == i)
                    list[i] = nil
                end
                collectgarbage()
            end
            return sum
        end)
        assert.is_true(p:get() > 1000)
    end)

    it("prints whole lines, long ones too", function()
        local r = script.run [[
            local mp = require "moonfork"
            io.write "begun "
            local all = {}
            for i = 1, 4 do
                all[i] = mp.spawn(function(c)
                    for _ = 1, 200 do
                        print(c:rep(1500), c:rep(1500))
                        io.write(c:rep(100), c:rep(100), "\n")
                    end
                end, string.char(64 + i))
            end
            for _, p in ipairs(all) do p:join() end
            print "done"
        ]]
        assert.equal("", r.err)
        local lines = 0
        for line in r.out:gsub("^begun ", ""):gmatch "[^\n]+" do
            local c = line:sub(1, 1)
            local long, short = c:rep(1500) .. "\t" .. c:rep(1500), c:rep(200)
            if line ~= long and line ~= short and line ~= "done" then
                error("a mixed line of " .. #line)
            end
            lines = lines + 1
        end
        assert.equal(1601, lines)
        assert.matches("^begun ", r.out)
        assert.equal(1, select(2, r.out:gsub("begun", "")))
    end)

    it("prints an uncaught error with its traceback, once", function()
        local r = script.run [[
            local mp = require "moonfork"
            local p = mp.Process{ name = "faulty", target = function() error "oh dear" end }
            p:start()
            p:join()
            print(p.exitcode)
        ]]
        assert.equal("1\n", r.out)
        assert.matches("^moonfork: process faulty %(pid %d+%): [^\n]*oh dear\nstack trace", r.err)
        assert.equal(1, select(2, r.err:gsub("oh dear", "")))
    end)
end)

describe("at the end of a script", function()
    audit.install(before_each, after_each)

    it("children are joined and daemons ended", function()
        local r = script.run [[
            local mp = require "moonfork"
            local ready = mp.Queue()
            mp.Process{ daemon = true, target = function()
                ready:put(true)
                mp.sleep(1000)
                print "never"
            end }:start()
            mp.spawn(function()
                mp.sleep(0.05)
                print "child"
            end)
            ready:get()
            print "main"
        ]]
        assert.equal("main\nchild\n", r.out)
        assert.equal(0, r.status)
    end)

    it("a finaliser may still start a child, which is joined or refused", function()
        local r = script.run [[
            local mp = require "moonfork"
            setmetatable({}, { __gc = function() pcall(mp.spawn, mp.sleep, 0.01) end })
        ]]
        assert.same({ "", "", 0 }, { r.out, r.err, r.status })
    end)

    it("a finaliser may still use a pool, or is told that it ended", function()
        local r = script.run [[
            local mp = require "moonfork"
            local pool = mp.Pool(1)
            local result = pool:submit(math.abs, -1)
            pool:submit(mp.sleep, 0.1)
            local uses = {
                function() return pool:apply(math.abs, { -1 }) end,
                function() return result:get() end,
                function() return mp.map(math.abs, { -1 })[1] end,
                function() for _, v in pool:imap(math.abs, { -1 }) do return v end end,
            }
            KEPT = setmetatable({}, { __gc = function()
                for _, use in ipairs(uses) do
                    local ok, answer = pcall(use)
                    answer = tostring(answer)
                    print(ok and answer == "1" or answer:find "terminated"
                        or answer:find "cancelled" or answer:find "has ended") -- not "false"
                end
            end })
        ]]
        assert.same({ "", 0 }, { r.err, r.status })
        assert.equal(4, select(2, r.out:gsub("\n", "")))
        assert.is_nil(r.out:find "nil")
    end)

    it("os.exit ends the family", function()
        local r = script.run [[
            local mp = require "moonfork"
            local q = mp.Queue()
            mp.spawn(function() q:put(true) mp.sleep(1000) print "never" end)
            q:get()
            os.exit(3)
        ]]
        assert.equal(3, r.status)
        assert.equal("", r.out)
    end)
end)
