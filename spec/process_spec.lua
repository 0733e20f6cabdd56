-- mp.Process and mp.spawn: starting, waiting, ending. What a child has and what it leaves is in
-- child_spec.lua.

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
