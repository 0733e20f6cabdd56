-- A rough host: standard files that are closed, full or broken; forks that are not moonfork's;
-- others that take the statuses of children; pids that are used again. What signals do is in
-- signals_spec.lua.

local audit = require "spec.support.audit"
local files = require "spec.support.files"
local run = require "spec.support.run"

audit.install(before_each, after_each)

local check = run.prints -- the script, what it must print

-- Standard files ----------------------------------------------------------------------------------

describe("standard files that are closed:", function()
    -- Tells in a file what stands at 0, 1 and 2: in the script, in a child, in a child of that and
    -- in a worker; `-` for nothing.
    local text = [[
        local mp = require "moonfork"
        local lfs = require "lfs"
        local function standing()
            local list = {}
            for fd = 0, 2 do
                local at = "/proc/self/fd/" .. fd
                list[fd + 1] = (lfs.symlinkattributes(at, "target") or "-"):match "[^/]+$"
            end
            return table.concat(list, " ")
        end
        local function child()
            local p = mp.spawn(standing) -- takes a descriptor in the child
            local own = standing()
            return own, p:get()
        end
        local pool = mp.Pool(2)
        local q, lock, a, b = mp.Queue(), mp.Lock(), mp.Pipe()
        local p = mp.spawn(function()
            lock:acquire(10)
            print "nobody may hear"
            io.stderr:write "nobody may hear"
            b:send(q:get(10))
            return child()
        end)
        local own = standing()
        q:put "message"
        local lines = { a:recv(10), own, p:get() }
        for _, line in ipairs(pool:map(standing, { 1, 2, 3 })) do
            assert(line == lines[3])
        end
        pool:terminate()
        lines[#lines + 1] = standing()
        local file = io.open(arg[1], "w")
        file:write(table.concat(lines, "\n"), "\n")
        file:close()]]

    for closed = 0, run.under_valgrind and 0 or 7 do -- which puts files of its own there
        local words, redirections, own = {}, {}, {}
        for fd = 0, 2 do
            if closed & 1 << fd ~= 0 then
                words[#words + 1] = ({ [0] = "stdin", "stdout", "stderr" })[fd]
                redirections[#redirections + 1] = fd .. ">&-"
            end
            own[fd + 1] = closed & 1 << fd ~= 0 and "-" or ({ [0] = "null", "out", "err" })[fd]
        end
        it((#words > 0 and table.concat(words, ", ") or "none") .. "; the runtime takes none",
            function()
                local folder <close> = run.folder()
                files.write(folder .. "script.lua", text)
                local result = run.shell(("exec $LUA %sscript.lua %stold %s"):format(folder, folder,
                    table.concat(redirections, " ")))
                assert.equal(0, result.status)
                local mine = table.concat(own, " ")
                local child = mine:gsub("^%S+", "null")
                assert.equal(("message\n%s\n%s\n%s\n%s\n"):format(mine, child, child, mine),
                    files.read(folder .. "told"))
            end)
    end
end)

describe("a standard output that is full", function()
    it("fails the writes that say so, in the script, a child and a worker", function()
        local result = run.shell [[
            exec $LUA -e '
                local mp = require "moonfork"
                local function write()
                    local ok, text = io.stdout:write(("x"):rep(100000))
                    local flushed = io.stdout:flush()
                    return not ok and text or flushed
                end
                local pool = mp.Pool(1)
                local pid = pool:pids()[1]
                local list = { write(), mp.spawn(write):get(), pool:apply(write) }
                pool:apply(print, { "lost" })
                assert(pool:apply(math.abs, { -3 }) == 3 and pool:pids()[1] == pid)
                for i = 1, 3 do io.stderr:write(list[i], "\n") end' >/dev/full]]
        assert.equal(("No space left on device\n"):rep(3), result.err)
        assert.equal(0, result.status)
    end)

    it("gives the status that Lua's own gives", function()
        for _, text in ipairs {
            "print 'x'",
            "assert(io.write(('x'):rep(100000)))",
            "io.write 'x' assert(io.stdout:flush())",
        } do
            local expected = run.shell(("exec lua5.4 -e \"%s\" >/dev/full"):format(text))
            for _, more in ipairs {
                "local mp = require 'moonfork' ",
                "local pool <close> = require 'moonfork'.Pool(1) ",
            } do
                local got = run.shell(("exec $LUA -e \"%s\" >/dev/full"):format(more .. text))
                assert.equal(expected.status, got.status)
                assert.equal(expected.err == "", got.err == "")
            end
        end
    end)
end)

describe("a standard output that nobody reads", function()
    -- The shell's status is that of the script, whose output goes to a pipe that is closed when the
    -- script has said "ready" through it.
    local function into_a_closed_pipe(before, text)
        local folder <close> = run.folder()
        files.write(folder .. "script.lua", [[
            local mp = require "moonfork"
            local function write_until_it_fails()
                io.stdout:setvbuf "no" -- what is buffered may fail later, unseen
                while true do
                    local ok, why = io.stdout:write "x\n"
                    if not ok then
                        return why
                    end
                end
            end
            ]] .. text)
        local result = run.shell(before .. [[
            { $LUA ]] .. folder .. [[script.lua; echo $? >]] .. folder .. [[status; } | head -n 1]])
        return result, tonumber(files.read(folder .. "status"))
    end

    it("ends the script by SIGPIPE, and its workers with it", function()
        local result, status = into_a_closed_pipe("", [[
            local pool = mp.Pool(2)
            pool:map_async(mp.sleep, { 1000, 1000 })
            write_until_it_fails()]])
        assert.same({ "x\n", 128 + 13 }, { result.out, status })
    end)

    it("fails the script's writes where SIGPIPE is ignored", function()
        local result, status = into_a_closed_pipe("trap '' PIPE\n", [[
            io.stderr:write(write_until_it_fails(), "\n")
            io.stderr:write(mp.spawn(write_until_it_fails):get(), "\n")
            local pool = mp.Pool(1)
            io.stderr:write(pool:apply(write_until_it_fails), "\n")
            pool:apply(print, { "lost" })
            assert(pool:apply(math.abs, { -3 }) == 3)]])
        assert.equal(("Broken pipe\n"):rep(3), result.err)
        assert.equal(0, status)
    end)

    it("costs a worker its task, which says so, and the pool a worker", function()
        local result, status = into_a_closed_pipe("", [[
            local pool <close> = mp.Pool(1)
            local ok, err = pcall(pool.apply, pool, write_until_it_fails)
            io.stderr:write(tostring(ok), " ", err.kind, " ", err.signal, "\n")
            local p = mp.spawn(write_until_it_fails)
            p:join()
            io.stderr:write(p.exitcode, " ", pool:apply(math.abs, { -3 }), "\n")]])
        assert.equal("false died 13\n-13 3\n", result.err)
        assert.equal(0, status)
    end)
end)

-- Forks of others ---------------------------------------------------------------------------------

-- One of each, in use; what the parent finds of it afterwards is `after`.
local objects = [[
    io.stdout:setvbuf "line"
    local mp = require "moonfork"
    local probe = require "signals_probe"
    local q, lock, a, b = mp.Queue(3), mp.Lock(), mp.Pipe()
    local go = mp.Queue()
    q:put "first"
    q:put { "second", go }
    a:send "sent"
    lock:acquire()
    local pool = mp.Pool(2)
    local pids = pool:pids()
    local result = pool:submit(function() return go:get() end)
    local p = mp.spawn(function() return go:get() end)
]]

local after = [[
    assert(p:is_alive())
    go:put "gone on"
    go:put "gone on"
    assert(p:get(10) == "gone on" and result:get(10) == "gone on")
    local now = pool:pids()
    assert(#now == 2 and now[1] == pids[1] and now[2] == pids[2])
    assert(q:qsize() == 2 and q:get(1) == "first" and q:get(1)[2] == go and q:get(0) == nil)
    assert(q:stats().put == 2 and q:stats().got == 2 and q:stats().lost == 0)
    assert(b:recv(1) == "sent" and b:poll() == false)
    assert(lock:acquire(0) == nil)
    lock:release()
    assert(pool:map(math.abs, { -1, -2 })[2] == 2)
    pool:close()
    assert(pool:join(10))
    print "as before"
]]

describe("in a process that was forked by others", function()
    local uses = {
        "q:get()", "q:get(1)", "q:put(1)", "q:get_nowait()", "q:put_nowait(1)", "q:qsize()",
        "q:close()", "q:stats()", "for _ in q:iter() do end", "tostring(q)",
        "a:send(1)", "b:recv()", "b:poll(1)", "a:close()",
        "lock:acquire()", "lock:release()", "lock:guard()",
        "p:join()", "p:join(0)", "p:get()", "p:is_alive()", "p:terminate()", "p:kill()",
        "print(p.exitcode)", "do local scope <close> = p end",
        "pool:map(math.abs, { 1 })", "pool:starmap(math.max, { { 1 } })",
        "pool:apply(math.abs, { 1 })", "pool:submit(math.abs, 1)",
        "for _ in pool:imap(math.abs, { 1 }) do end", "pool:close()",
        "pool:terminate()", "pool:join()", "pool:pids()", "do local scope <close> = pool end",
        "result:get()", "result:get(1)", "result:wait()", "result:ready()", "result:cancel()",
        "mp.Queue()", "mp.Pipe()", "mp.Lock()", "mp.Pool(1)", "mp.spawn(print)",
        "mp.map(math.abs, { 1 })", "mp.active_children()",
    }
    local list = {}
    for i, use in ipairs(uses) do
        list[i] = ("{ %q, function() %s end },"):format(use, use)
    end

    it("every use of an object says so, and the original's are as they were", function()
        check(objects .. "local uses = {" .. table.concat(list, "\n") .. [[}
            local pid = probe.fork()
            if pid == 0 then
                for _, use in ipairs(uses) do
                    local ok, err = pcall(use[2])
                    if ok or not tostring(err):find("forked by other means", 1, true) then
                        print(use[1], ok, err)
                    end
                end
                q, lock, a, b, pool, result, p = nil
                collectgarbage()
                collectgarbage()
                probe.exit(7)
            end
            print(select(2, probe.wait(pid)))
        ]] .. after, "exit\t7\nas before\n")
    end)

    for way, leave in pairs {
        ["the end of the script"] = "goto out",
        ["os.exit"] = "os.exit(7)",
        ["os.exit that closes the state"] = "os.exit(7, true)",
        ["a signal"] = "probe.kill(mp.getpid(), 9)",
    } do
        it("its end, by " .. way .. ", ends nothing of the original", function()
            check("do " .. objects .. [[
                local pid = probe.fork()
                if pid == 0 then
                    ]] .. leave .. [[
                end
                probe.wait(pid)
                ]] .. after .. " end ::out::", "as before\n")
        end)
    end

    it("a child's copy ends without the child", function()
        check([[
            local mp = require "moonfork"
            local probe = require "signals_probe"
            local q = mp.Queue()
            local p = mp.spawn(function()
                local own = mp.spawn(mp.sleep, 1000)
                local pid = probe.fork()
                if pid == 0 then
                    return pcall(q.put, q, "copy")
                end
                probe.wait(pid)
                q:put "original"
                local alive = own:is_alive()
                own:terminate()
                return alive
            end)
            print(p:get(20), p.exitcode, q:get(0), q:get(0))]],
            "true\t0\toriginal\tnil\tnothing there now\tempty\n")
    end)

    it("a task's copy reports nothing, and runs nothing more", function()
        for _, n in ipairs { 0, 1, 2 } do
            check([[
                local mp = require "moonfork"
                local probe = require "signals_probe"
                local ran = mp.Queue()
                local pool <close> = mp.Pool(]] .. n .. [[)
                local function task(i)
                    if i == 2 then
                        local pid = probe.fork()
                        if pid == 0 then
                            return "copy"
                        end
                        -- In a pool without processes it comes back into the script.
                        probe.wait(pid)
                    end
                    if i == 3 and probe.fork() == 0 then
                        error "copy"
                    end
                    ran:put(i)
                    return "task " .. i
                end
                local main = mp.getpid()
                local ok, got = pcall(pool.map, pool, task, { 1, 2, 3, 4 }, { chunksize = 4 })
                if mp.getpid() ~= main then
                    probe.exit(not ok and got:find "forked by other means" and 0 or 1)
                end
                print(ok, table.concat(got, ", "), ran:qsize())
                print(pool:apply(math.abs, { -3 }))]],
                "true\ttask 1, task 2, task 3, task 4\t4\n3\n")
        end
    end)
end)

-- Statuses and pids -------------------------------------------------------------------------------

for how, text in pairs {
    ["ignores SIGCHLD"] = "probe.ignore(17)",
    ["reaps every child that ends"] = "probe.reap()",
} do
    describe("a host that " .. how, function()
        local before = [[
            local mp = require "moonfork"
            local probe = require "signals_probe"
            ]] .. text .. "\n"

        it("gets results and statuses that the children have left", function()
            check(before .. [[
                local p = mp.spawn(math.max, 1, 2)
                print(p:get(10), p.exitcode, p:is_alive(), p:join())
                p = mp.spawn(os.exit, 7)
                print(p:join(10), p.exitcode, select(2, pcall(p.get, p)).kind)
                print(#mp.active_children())]], "2\t0\tfalse\ttrue\ntrue\t7\texit\n0\n")
        end)

        it("hears that a child has died, though not of what", function()
            check(before .. [[
                local p = mp.spawn(mp.sleep, 1000)
                print(p:join(0.05), p:is_alive())
                p:kill()
                print(p:join(10), p:is_alive(), p.exitcode)
                local ok, err = pcall(p.get, p)
                print(ok, err.kind, err.signal, err.pid == p.pid)]],
                "false\ttrue\ntrue\tfalse\tnil\nfalse\tdied\tnil\ttrue\n")
        end)

        it("has pools and locks that survive their users", function()
            check(before .. [[
                local pool <close> = mp.Pool(2)
                local got = pool:map(function(n)
                    if n == 5 then
                        probe.kill(mp.getpid(), 9)
                    end
                    return n
                end, { 1, 2, 3, 4, 5, 6, 7, 8 }, { chunksize = 1, on_error = "collect" })
                local err = got[5]
                got[5] = "-"
                print(table.concat(got, " "), err.kind, math.type(err.pid), #pool:pids())
                local lock, told = mp.Lock(), mp.Queue()
                local p = mp.spawn(function()
                    lock:acquire()
                    told:put(true)
                    probe.kill(mp.getpid(), 9)
                end)
                told:get(10)
                print(lock:acquire(10))
                print(p:join(10))]],
                "1 2 3 4 - 6 7 8\tdied\tinteger\t2\ntrue\tabandoned\ntrue\n")
        end)
    end)
end

-- Pids are handed out anew in a namespace of pids, which the kernel must allow.
local namespace = "unshare --pid --fork --mount-proc --kill-child "
if run.shell(namespace .. "true").status ~= 0 then
    namespace = "unshare --map-root-user --pid --fork --mount-proc --kill-child "
end
local refusal = run.shell(namespace .. "sh -c 'echo 100 >/proc/sys/kernel/ns_last_pid'")
local with_pids = refusal.status == 0 and it or function(name)
    pending(name .. ": " .. refusal.err:gsub("\n", " "))
end
if run.under_valgrind then
    with_pids = function() end -- it knows no pidfds, which tell a stranger from a child
end

describe("a pid that a stranger got", function()
    -- Somebody takes the status of a dead child, whose pid a stranger gets that has a child too.
    local before = [[
        io.stdout:setvbuf "line"
        local mp = require "moonfork"
        local probe = require "signals_probe"
        local function replace(pid)
            probe.kill(pid, 9)
            assert(probe.wait(pid) == pid)
            assert(probe.last_pid(pid - 1))
            local ready = arg[0] .. ".fifo"
            probe.fifo(ready)
            local stranger = probe.fork()
            if stranger == 0 then
                local child = probe.fork()
                if child == 0 then
                    local fifo = io.open(ready, "w")
                    fifo:write "up\n"
                    fifo:close()
                    probe.wait(probe.fork() == 0 and os.execute "exec sleep 1000" or -1)
                    probe.exit(8)
                end
                local _, how, number = probe.wait(child)
                probe.exit(how == "exit" and 7 or 100 + number)
            end
            assert(stranger == pid)
            assert(io.open(ready):read "l" == "up")
            return stranger
        end
        -- The stranger, and its child, were left alone: now they are ended.
        local function is_well(stranger)
            local children = io.open(("/proc/%d/task/%d/children"):format(stranger, stranger))
            local child = tonumber(children and children:read "a")
            print(child and probe.kill(child, 9) and "had its child" or "has lost its child")
            print(select(2, probe.wait(stranger)))
        end
    ]]
    local well = "had its child\nexit\t109\n"

    local function check_there(text, expected)
        local folder <close> = run.folder()
        files.write(folder .. "script.lua", before .. text)
        -- The first process of a namespace hears no signal that it does not handle: a shell is it.
        local result = run.shell(("%s sh -c \"'$LUA' %sscript.lua; exit \\$?\""):format(
            namespace, folder))
        assert.equal("", result.err)
        assert.equal(expected, result.out)
        assert.equal(0, result.status)
    end

    with_pids("is not taken for the child: neither signalled nor reaped nor alive", function()
        check_there([[
            local p = mp.spawn(mp.sleep, 1000)
            local stranger = replace(p.pid)
            print(p:is_alive(), p.exitcode)
            p:terminate()
            p:kill()
            print(p:join(5), p.exitcode, #mp.active_children())
            is_well(stranger)]], "false\tnil\ntrue\tnil\t0\n" .. well)
    end)

    with_pids("is not signalled though nobody has asked for the child since", function()
        for _, use in ipairs { "p:terminate()", "p:kill()", "p:join()", "p:get()",
            "do local scope <close> = p error 'out' end" } do
            check_there(([[
                local p = mp.spawn(mp.sleep, 1000)
                local stranger = replace(p.pid)
                pcall(function() %s end)
                is_well(stranger)]]):format(use), well)
        end
    end)

    with_pids("is not taken for a worker when the pool ends", function()
        for _, use in ipairs { "pool:terminate()", "pool:map(math.abs, { 1, 2, 3 })",
            "pool:close() pool:join()" } do
            check_there(([[
                local pool = mp.Pool(2)
                pool:map(math.abs, { 1, 2, 3 })
                local stranger = replace(pool:pids()[1])
                %s
                is_well(stranger)]]):format(use), well)
        end
    end)

    with_pids("is not taken for a daemon at the end of the script", function()
        check_there([[
            local daemon = mp.Process { target = mp.sleep, args = { 1000 }, daemon = true }:start()
            local stranger = replace(daemon.pid)
            setmetatable({}, { __gc = function() is_well(stranger) end })]], well)
    end)

    with_pids("does not hold what the dead one held", function()
        check_there([[
            local lock, told = mp.Lock(), mp.Queue()
            local p = mp.spawn(function()
                lock:acquire()
                told:put(true)
                mp.sleep(1000)
            end)
            told:get()
            local stranger = replace(p.pid)
            print(lock:acquire(10))
            is_well(stranger)]], "true\tabandoned\n" .. well)
    end)
end)
