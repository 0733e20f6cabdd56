-- What is told when something hangs: mp.debug.dump, a join that cannot end, MOONFORK_DEBUG, and the
-- signals of the command.

local audit = require "spec.support.audit"
local files = require "spec.support.files"
local mp = require "moonfork"
local run = require "spec.support.run"

-- A script that waits for ever.
local waiting = [[
    io.stdout:setvbuf "line"
    local mp = require "moonfork"
    print(mp.getpid())
    local q = mp.Queue()
    local p = mp.spawn(function() while true do mp.sleep(1000) end end)
    print "ready"
    local function get_in_vain() return (q:get()) end
    get_in_vain()
]]

-- A script that waits for more than 10 seconds runs beside the other tests.
local folder = run.folder()

lazy_setup(function()
    files.write(folder .. "script.lua", waiting)
    os.execute(("{ MOONFORK_DEBUG=1 timeout 15 %s %sscript.lua >%sout 2>%serr; echo $? >%send; } &")
        :format(run.interpreter, folder, folder, folder, folder))
end)

lazy_teardown(function()
    getmetatable(folder).__close()
end)

after_each(run.end_started)
audit.install(before_each, after_each)

-- The dump as a text.
local function dump()
    local text = {}
    mp.debug.dump { write = function(_, s) text[#text + 1] = s end }
    return table.concat(text)
end

-- The line of a dump in which each of the patterns is found, once there is one.
local function line_with(...)
    local patterns = { ... }
    return audit.eventually(function()
        for line in dump():gmatch "[^\n]+" do
            local found = true
            for _, pattern in ipairs(patterns) do
                found = found and line:find(pattern)
            end
            if found then
                return line
            end
        end
    end)
end

local function name_of(object)
    return tostring(object):match "%u%l+#%d+"
end

-- Ends processes, and waits until those that they have started are settled too.
local function end_all(...)
    for _, p in ipairs { ... } do
        p:kill()
        p:join()
    end
    audit.eventually(function()
        return mp.debug.counts().slots == 1
    end)
end

describe("mp.debug.dump", function()
    it("writes to stderr, or to a file, or to what has a method write", function()
        local r = run.script [[
            local mp = require "moonfork"
            mp.debug.dump()
            mp.debug.dump(io.stdout)]]
        assert.equal(0, r.status)
        assert.matches("^moonfork %S+: 1 process, .*MainProcess%): runs %(this process%)\n", r.err)
        assert.matches("^moonfork %S+: 1 process, .*MainProcess%): runs %(this process%)\n", r.out)
        assert.matches("^moonfork ", dump())
    end)

    it("refuses the path of a file", function()
        assert.has_error(function()
            mp.debug.dump "/tmp/dump"
        end, "bad argument #1 to 'dump' (an open file expected, or another object with a method "
            .. "'write')")
    end)

    it("tells of each process what it waits for, since when and for how long", function()
        local full, empty, lock = mp.Queue(2), mp.Queue(), mp.Lock()
        local a, b = mp.Pipe()
        lock:acquire()
        local function start(f)
            local p = mp.spawn(f)
            return p, "^  " .. p.pid .. " %(" .. p.name:gsub("%-", "%%-") .. "%), child of "
                .. mp.getpid() .. ": waits "
        end
        local putter, puts = start(function() while full:put "x" do end end) -- luacheck: ignore
        local getter, gets = start(function() empty:get(1000) end)
        local locker, locks = start(function() lock:acquire() end)
        local receiver, receives = start(function() b:recv() end)
        local sleeper, sleeps = start(function() mp.sleep(1000) end)
        local parent, joins = start(function()
            mp.spawn(function() mp.sleep(1000) end):join()
        end)
        line_with(puts .. "to put into " .. name_of(full) .. " for %d+ ms, without a deadline$")
        line_with(gets .. "to get from " .. name_of(empty) .. " for %d+ ms, for at most 16 min")
        line_with(locks .. "for " .. name_of(lock) .. " for ")
        line_with(receives .. "to get from " .. name_of(a):gsub("%d+", "%%d+") .. " for ")
        line_with(sleeps .. "%(sleep%) for %d+ ms, for at most 16 min more$")
        line_with(joins .. "for the end of %d+ %(Process%-%d+:1%) for ")
        line_with("^  " .. name_of(full) .. ": 2 of 2 messages, 4 bytes, full; there wait "
            .. putter.pid .. "; known to ")
        line_with("^  " .. name_of(empty) .. ": 0 messages; there wait " .. getter.pid .. ";")
        line_with("^  " .. name_of(lock) .. ": held by " .. mp.getpid() .. " %(MainProcess%) for "
            .. "%d+ m?s; there wait " .. locker.pid)
        -- One wait, though it is made of slices of 0.2 s.
        line_with(puts .. "to put into " .. name_of(full) .. " for 1%.[1-9] s")
        line_with(receives .. "to get from %S+ for 1%.[1-9] s, without a deadline")
        end_all(putter, getter, locker, receiver, sleeper, parent)
        a:close()
        b:close()
    end)

    it("tells of a pool what is queued, and of its workers what they run", function()
        local go = mp.Queue()
        local pool <close> = mp.Pool(2)
        local result = pool:map_async(function(n)
            if n % 10 == 3 then
                go:get()
            end
        end, (function()
            local list = {}
            for i = 1, 50 do
                list[i] = i
            end
            return list
        end)(), { chunksize = 10 })
        for _, pid in ipairs(pool:pids()) do
            line_with("^  " .. pid .. " %(PoolWorker%-%d%)", "waits to get from " .. name_of(go),
                "its task: 2 of 10 items done, for ")
        end
        line_with "^  a pool of this process, open: 2 workers %(PoolWorker%), 5 tasks not finished"
        line_with "^  Tasks#%d+: 3 messages"
        for _ = 1, 5 do
            go:put(true)
        end
        result:get()
    end)

    it("tells who is stopped, who died, and who has ended and was not joined", function()
        local stopped, dead, ended = mp.spawn(function() mp.sleep(1000) end),
            mp.spawn(function() mp.sleep(1000) end), mp.spawn(function() end)
        line_with("^  " .. stopped.pid, "waits %(sleep%)")
        line_with("^  " .. dead.pid, "waits %(sleep%)")
        os.execute("kill -STOP " .. stopped.pid)
        os.execute("kill -KILL " .. dead.pid)
        line_with("^  " .. stopped.pid, "is stopped; it waits %(sleep%)")
        assert.matches("died, and", line_with("^  " .. dead.pid, "died, and"))
        line_with("^  " .. ended.pid, "has ended, and is not joined yet")
        end_all(stopped, dead, ended)
        assert.falsy(dump():find(ended.pid, 1, true))
    end)

    it("tells of a process that is not there yet no pid of the one before", function()
        local before = mp.spawn(function() end)
        before:join()
        local p = mp.spawn(function() mp.sleep(1000) end)
        os.execute("kill -STOP " .. p.pid)
        local line = line_with("^  " .. p.pid, "is stopped")
        assert.falsy(dump():find("  " .. before.pid, 1, true), line)
        end_all(p)
    end)

    it("tells since when a poll waits, and a call whose tasks have a time limit", function()
        local a, b = mp.Pipe()
        local p = mp.spawn(function() b:poll(1000) end)
        line_with("^  " .. p.pid, "waits to get from %S+ for 1%.[1-9] s, for at most 16 min more$")
        local caller = mp.spawn(function()
            mp.Pool(1):map(function() mp.sleep(1000) end, { 1 }, { timeout = 1000 })
        end)
        line_with("^  " .. caller.pid, "waits to get from %S+ for 1%.[1-9] s, without a deadline$")
        end_all(p, caller)
        a:close()
        b:close()
    end)

    it("is the same in every process", function()
        local q = mp.Queue(1)
        q:put "x"
        local putter = mp.spawn(function() q:put "y" end)
        line_with("^  " .. putter.pid, "waits to put")
        local text = mp.spawn(function()
            local text
            repeat -- until the parent waits too
                mp.debug.dump { write = function(_, s) text = s end }
            until text:find "for the end of"
            return text
        end):get()
        assert.matches(putter.pid .. " %S+, child of %d+: waits to put into " .. name_of(q), text)
        assert.matches("%(MainProcess%): waits for the end of %d+", text)
        end_all(putter)
    end)
end)

describe("a join of a child that only the joiner could wake", function()
    -- What join raises, when it does within the 20 seconds after which the child is killed.
    local function refused(p)
        local ok, err = pcall(p.join, p)
        assert.is_false(ok)
        assert.equal("deadlock", err.kind)
        assert.equal(p.pid, err.pid)
        assert.is_true(p:is_alive())
        return err.message
    end

    it("which puts into a full queue is refused, with what to do; then it can go on", function()
        local q = mp.Queue(10)
        local p = mp.spawn(function()
            for i = 1, 12 do
                q:put(i)
            end
            return "done"
        end)
        assert.equal(("join: process %d (%s) waits to put into a full queue (%s: 10 of 10 "
            .. "messages, 10 bytes, full), from which only this process could get: get before the "
            .. "join"):format(p.pid, p.name, name_of(q)), refused(p))
        assert.matches("full queue", select(2, pcall(p.get, p)).message)
        for i = 1, 12 do
            assert.equal(i, q:get(10))
        end
        assert.is_true(p:join())
        assert.equal("done", p:get())
    end)

    it("which gets from an empty queue is refused", function()
        local q = mp.Queue()
        local p = mp.spawn(function() return q:get() end)
        assert.matches("waits to get from an empty queue %(Queue#%d+: 0 messages%), into which "
            .. "only this process could put: put, or close it, before the join$", refused(p))
        q:close()
        assert.is_true(p:join())
    end)

    it("which receives from a pipe is refused", function()
        local a, b = mp.Pipe()
        local p = mp.spawn(function(c) return c:recv() end, b)
        b:close()
        assert.matches("waits to receive from a pipe %(Pipe#%d+: 0 messages%), into which only "
            .. "this process could send: send before the join, or close that end in every process "
            .. "that has it, the receiver too$", refused(p))
        a:send "at last"
        assert.equal("at last", p:get())
        a:close()
    end)

    it("which waits for a lock of the joiner is refused", function()
        local lock = mp.Lock()
        lock:acquire()
        local p = mp.spawn(function() return lock:acquire() end)
        assert.matches("waits for a lock %(Lock#%d+: held by " .. mp.getpid() .. " %(MainProcess%) "
            .. "for .-%), which only this process could release: release it before the join$",
            refused(p))
        lock:release()
        assert.is_true(p:get())
    end)

    it("which waits for what it alone has is refused, with other advice", function()
        local p = mp.spawn(function()
            local lock = mp.Lock()
            lock:acquire()
            lock:acquire()
        end)
        assert.matches("waits for a lock %(Lock#%d+: held by " .. p.pid .. " .-%), which it holds "
            .. "itself: a Lock is not recursive$", refused(p))
        end_all(p)
        p = mp.spawn(function() mp.Queue():get() end)
        assert.matches("into which nobody else could put: let somebody else have the queue$",
            refused(p))
        end_all(p)
    end)

    it("is refused also after a sleep that ended late", function()
        local q = mp.Queue()
        local p = mp.spawn(function() return q:get() end)
        local first = mp.time()
        debug.sethook(function() -- runs in the sleep, after its first slice
            if mp.time() > first + 0.1 then
                debug.sethook()
                while mp.time() < first + 0.5 do end -- luacheck: ignore
            end
        end, "", 1)
        mp.sleep(0.3)
        line_with "%(MainProcess%): runs %(this process%)"
        refused(p)
        q:put "go on"
        assert.equal("go on", p:get())
    end)

    it("is refused over several corners: a child of the child, a sibling", function()
        local q, never = mp.Queue(1), mp.Queue()
        local sibling = mp.spawn(function() never:get() return q, never end)
        local p = mp.spawn(function()
            local ok, err = pcall(function()
                return mp.spawn(function() return q:put(1) and q:put(2) end):get()
            end)
            assert(not ok and err.kind == "deadlock", "not refused")
            return err.message
        end)
        local ok, message = pcall(p.get, p)
        if ok then -- the child's own join was the first to be refused
            assert.matches("from which only processes that wait themselves could get", message)
        else
            assert.matches("waits for the end of process %d+ %(Process%-%d+:1%), which waits for "
                .. "ever$", message.message)
        end
        assert.equal(1, q:get(10))
        never:put(1)
        end_all(p, sibling)
    end)

    it("is not refused where it has a deadline, in a worker that replaces another", function()
        local pool <close> = mp.Pool { processes = 1, maxtasksperchild = 1 }
        local function task()
            local q = mp.Queue()
            local p = mp.spawn(function() return q:get() end)
            local ended = p:join(1)
            q:put "go on"
            return ended, p:get()
        end
        for _ = 1, 2 do
            assert.same({ false, "go on" }, { pool:apply(task) })
        end
    end)

    it("is refused at the end of the script, which ends the child", function()
        local r = run.script [[
            local mp = require "moonfork"
            local q = mp.Queue(1)
            mp.spawn(function() for i = 1, 2 do q:put(i) end end)]]
        if run.interpreter:find "/moonfork$" then
            assert.equal(1, r.status)
            assert.matches("^%S+: at the end of the script: process %d+ %(Process%-1%) waits to "
                .. "put into a full queue [^\n]+\n$", r.err)
        else -- where the end of the state is not told of errors
            assert.same({ out = "", err = "", status = 0 }, r)
        end
    end)

    it("is a warning at the end of a script of stock Lua", function()
        local r = run.shell([[cat >]] .. "$0.lua" .. [[ <<'END'
            warn "@on"
            local mp = require "moonfork"
            local q = mp.Queue()
            mp.spawn(function() q:get() end)
END
            exec $LUA $0.lua]])
        assert.matches("at the end of the script: process %d+ %(Process%-1%) waits to get from "
            .. "an empty queue", r.err)
    end)
end)

describe("a join is not refused", function()
    -- The child is seen in its wait for longer than a refusal takes, by a join without a timeout.
    local function joins(p, helper)
        assert.is_true(p:join())
        assert.equal(0, p.exitcode)
        if helper then
            assert.is_true(helper:join(10))
        end
    end

    it("while another process that has the queue is not waiting for ever", function()
        local q = mp.Queue(1)
        local p = mp.spawn(function() q:put(1) q:put(2) end)
        joins(p, mp.spawn(function() mp.sleep(2.5) q:get() end))
        q:get()
        p = mp.spawn(function() q:get() end)
        joins(p, mp.spawn(function() mp.Queue():get(2.5) q:get(0) q:put(1) end))
    end)

    it("while the queue is in a message, whoever may get that", function()
        local q, post = mp.Queue(1), mp.Queue()
        local reader = mp.spawn(function() mp.sleep(2.5) post:get():get() end)
        post:put(q)
        joins(mp.spawn(function() q:put(1) q:put(2) end), reader)
    end)

    it("when it has a timeout, or the child's wait has", function()
        local q = mp.Queue()
        local p = mp.spawn(function() return select(3, q:get(2.5)) end)
        assert.is_false(p:join(2))
        joins(p)
        assert.equal("timeout", p:get())
    end)

    it("while a sibling that could release the lock works", function()
        local lock = mp.Lock()
        lock:acquire()
        local sibling = mp.spawn(function()
            local last = os.time() + 3
            while os.time() < last do end -- luacheck: ignore
            lock:release()
        end)
        joins(mp.spawn(function() lock:acquire() end), sibling)
    end)
end)

describe("MOONFORK_DEBUG=1", function()
    it("reports a wait of 10 seconds, with a traceback and a dump", function()
        audit.eventually(function()
            return io.open(folder .. "end")
        end, 30):close()
        local err = files.read(folder .. "err")
        assert.matches("^moonfork: the script has been waiting for 1%d s\nstack traceback:\n", err)
        assert.matches("in %a+ 'get_in_vain'\n", err)
        assert.matches("\n  %d+ %(MainProcess%): waits to get from Queue#1 for 1%d%.%d s, "
            .. "without a deadline %(this process%)\n", err)
        assert.matches("\n  Queue#1: 0 messages; there wait %d+; known to", err)
        assert.equal(1, select(2, err:gsub("has been waiting", ""))) -- the next comes after 20
    end)

    it("prints nothing where nothing hangs", function()
        local r = run.shell [[
            MOONFORK_DEBUG=1 $LUA - <<'END'
                local mp = require "moonfork"
                local pool <close> = mp.Pool(2)
                print(#pool:map(math.abs, { 1, 2, 3 }))
END
]]
        assert.same({ out = "3\n", err = "", status = 0 }, r)
    end)
end)

if run.interpreter:find "/moonfork$" then
    describe("the command", function()
        local function start()
            local pid, finish, pipe = run.start(waiting)
            assert.equal("ready", pipe:read "l")
            return pid, finish
        end

        it("prints the dump on SIGUSR1, and goes on", function()
            local pid, finish = start()
            for _ = 1, 3 do
                os.execute("kill -USR1 " .. pid)
                mp.sleep(0.05)
            end
            os.execute("kill -TERM " .. pid)
            local r = finish()
            assert.equal(143, r.status)
            assert.matches("^moonfork [^\n]+ 2 processes, [^\n]+\n  " .. pid
                .. " %(MainProcess%): ", r.err)
            assert.matches("terminated\n$", r.err)
        end)

        it("prints the dump on Ctrl-\\ and ends as without it", function()
            local pid, finish = start()
            os.execute("kill -QUIT " .. pid)
            local r = finish()
            assert.equal("signal", r.how)
            assert.equal(3, r.status)
            assert.matches("^moonfork [^\n]+ 2 processes, [^\n]+\n  " .. pid
                .. " %(MainProcess%): ", r.err)
            audit.eventually(function()
                return #run.session(pid) == 0
            end)
        end)

        it("prints it also while the script runs", function()
            local pid, finish = run.start [[
                local mp = require "moonfork"
                io.write(mp.getpid(), "\n")
                io.flush()
                while true do end]]
            os.execute("kill -USR1 " .. pid .. "; sleep 0.1; kill -KILL " .. pid)
            assert.matches("MainProcess%): runs %(this process%)\n", finish().err)
        end)
    end)
end
