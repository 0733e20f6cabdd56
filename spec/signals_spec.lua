-- Signals, at any time and in any call: Ctrl-C, the ends that others decide on, timers that
-- interrupt a thousand times a second, processes that are stopped. What the command alone does with
-- signals is in host_spec.lua; what else may surround a family in surroundings_spec.lua.

local files = require "spec.support.files"
local lfs = require "lfs"
local audit = require "spec.support.audit"
local calls = require "spec.support.blocking"
local mp = require "moonfork"
local probe = require "signals_probe"
local run = require "spec.support.run"

local HUP, INT, QUIT, KILL, TERM, CONT, STOP = 1, 2, 3, 9, 15, 18, 19

local is_moonfork = run.is_moonfork

probe.default(QUIT) -- a shell that starts this in the background has it ignored

after_each(run.end_started)
audit.install(before_each, after_each)

local function in_state(pid, state)
    audit.eventually(function()
        return audit.state_of(pid) == state
    end)
end

local function nobody_left(pid)
    audit.eventually(function()
        return #run.session(pid) == 0
    end, run.second)
end

-- Starts a script that prints "ready", then perhaps the pid of the process that matters, instead of
-- the script's own, and perhaps more on that line.
local function start(text)
    local pid, finish, pipe = run.start([[
        io.stdout:setvbuf "line"
        local mp = require "moonfork"
        print(mp.getpid())
        ]] .. text)
    local line = pipe:read "l"
    if not line or not line:find "^ready" then
        run.end_started()
        error((line or "nothing printed") .. "\n" .. finish().err, 2)
    end
    return pid, finish, tonumber(line:match "%d+" or pid)
end

-- What Ctrl-C leaves of a script that nothing protects.
local function is_interrupted(result)
    assert.equal("", result.out)
    if is_moonfork then
        assert.equal(run.interpreter .. ": interrupted\n", result.err)
        assert.same({ "exit", 130 }, { result.how, result.status })
    else
        assert.matches("interrupted!", result.err)
        assert.same({ "exit", 1 }, { result.how, result.status })
    end
end

local function ctrl_c(call, text)
    local pid, finish, waiting = start(text)
    if not call.busy then
        in_state(waiting, "S")
    end
    probe.kill(-pid, INT)
    nobody_left(pid)
    is_interrupted(finish())
end

describe("Ctrl-C ends the family " .. (is_moonfork and "with one line" or "with Lua's own error"),
    function()
        for _, call in ipairs(calls) do
            it("in " .. call[1], function()
                ctrl_c(call, call.before .. " print 'ready' " .. call.call .. " print 'never'")
            end)

            it("in a child's " .. call[1], function()
                ctrl_c(call, [[
                    local told = mp.Queue()
                    local child = mp.spawn(function()
                        ]] .. call.before .. [[
                        told:put(mp.getpid())
                        ]] .. call.call .. [[
                    end)
                    print("ready " .. told:get(20))
                    child:join()
                    mp.sleep(1000) -- the child's end may be seen before the signal
                    print 'never']])
            end)
        end
    end)

if not is_moonfork then
    describe("Ctrl-C raises 'interrupted!', and what was waited for is as before,", function()
        for _, call in ipairs(calls) do
            it("in " .. call[1], function()
                local pid, finish = start(call.before .. [[
                    print(pcall(function()
                        print 'ready'
                        ]] .. call.call .. [[
                    end))
                    ]] .. call.after .. [[
                    print "done"]])
                if not call.busy then
                    in_state(pid, "S")
                end
                probe.kill(pid, INT)
                local result = finish()
                assert.equal("", result.err)
                assert.matches("^false\t[^\n]*interrupted!\ndone\n$", result.out)
                assert.equal(0, result.status)
            end)
        end
    end)
end

-- In clock ticks.
local function cpu_time(pid)
    local stat = files.read("/proc/" .. pid .. "/stat")
    local user = stat:match("%) %a" .. (" %-?%d+"):rep(10) .. " (%d+)")
    return tonumber(user)
end

-- A text at a terminal of its own, that prints "ready": it is interrupted as often as asked for.
local function at_a_terminal(text, times, computes)
    local folder <close> = run.folder()
    files.write(folder .. "script.lua", text)
    local pid, terminal = probe.terminal(run.interpreter, folder .. "script.lua")
    local shown = ""
    local function read()
        local more = probe.read(terminal, 30)
        shown = shown .. (more or "")
        return more
    end
    while not shown:find "ready" and read() do end -- luacheck: ignore
    -- Where the script computes, it does so in what comes after "ready".
    local function busy()
        local began = cpu_time(pid)
        return not computes or audit.eventually(function()
            return cpu_time(pid) > began + 1
        end)
    end
    for _ = 1, times do
        -- A signal that was handled changes what the next one does; two at once would be one.
        local before = files.read("/proc/" .. pid .. "/status"):match "SigCgt:%s*(%x+)"
        busy()
        probe.write(terminal, "\3")
        audit.eventually(function()
            local status = audit.state_of(pid) ~= "Z"
                and files.read("/proc/" .. pid .. "/status"):match "SigCgt:%s*(%x+)"
            return status ~= before
        end)
    end
    while read() do end -- luacheck: ignore
    probe.close(terminal)
    local _, how, status = probe.wait(pid)
    nobody_left(pid)
    return shown:gsub("\r", ""), how, status
end

-- Valgrind handles all signals for its program, so that nobody sees which it handles itself.
local at_terminals = run.under_valgrind and function() end or describe

at_terminals("Ctrl-C at a terminal", function()
    it("ends a map and its workers", function()
        local shown, how, status = at_a_terminal([[
            local mp = require "moonfork"
            local began = mp.Queue()
            local pool <close> = mp.Pool(2)
            local result = pool:map_async(function(n)
                began:put(n)
                if n == 1 then mp.sleep(1000) end
                while true do end
            end, { 1, 2 })
            assert(began:get() + began:get() == 3)
            print "ready"
            result:get()]], 1)
        assert.equal("exit", how)
        if is_moonfork then
            assert.equal("ready\n^C" .. run.interpreter .. ": interrupted\n", shown)
            assert.equal(130, status)
        else
            assert.matches("interrupted!", shown)
            assert.equal(1, status)
        end
    end)

    it("kills the second time what does not listen, and its workers", function()
        local shown, how, status = at_a_terminal([[
            local mp = require "moonfork"
            local pool <close> = mp.Pool(2)
            pool:map_async(mp.sleep, { 1000, 1000 })
            print "ready"
            string.find(("a"):rep(1000000), ".-.-.-b")]], 2, true)
        if is_moonfork then
            assert.equal("ready\n^C^C" .. run.interpreter .. ": interrupted\n", shown)
            assert.same({ "exit", 130 }, { how, status })
        else
            assert.same({ "ready\n^C^C", "signal", INT }, { shown, how, status })
        end
    end)
end)

-- Families that somebody ends ---------------------------------------------------------------------

-- A pool of 4, idle or busy, and a child with a child and a pool of its own.
local family = [[
    local busy, told = BUSY, mp.Queue()
    local function work(n)
        told:put(mp.getpid())
        while busy and n % 2 == 0 do end
        mp.sleep(busy and 1000 or 0)
    end
    local pool = mp.Pool(4)
    local result = pool:map_async(work, { 1, 2, 3, 4 }, { chunksize = 1 })
    local middle = mp.spawn(function()
        local own = mp.Pool(1)
        mp.spawn(function()
            told:put(mp.getpid())
            mp.Queue():get()
        end)
        own:map(work, { 1 })
        told:put(mp.getpid())
        mp.Queue():get()
    end)
    for _ = 1, busy and 6 or 7 do
        told:get()
    end
    if not busy then
        result:get()
    end
]]

local function start_family(busy, rest)
    local text = family:gsub("BUSY", tostring(busy))
    return start(text .. "print('ready ' .. middle.pid)\n" .. (rest or "mp.Queue():get()"))
end

-- Files of the family that have a name, but for those that the specs themselves gave it.
local function names_of_files(pid)
    local here = lfs.currentdir() .. "/"
    local names = {}
    for _, member in ipairs(run.session(pid)) do
        local text = run.shell(("grep ' ...s ' /proc/%d/maps; ls -l /proc/%d/fd"):format(
            member, member)).out
        for name in text:gmatch " (/[^\n ]*)[^\n]*" do
            local ours = name:sub(1, #here) == here -- where the tree itself lies below /tmp
            if (name:find "^/dev/shm" or name:find "^/tmp") and not name:find "/err$"
                and not ours then
                names[#names + 1] = name
            end
        end
    end
    return names
end

-- How a script ends that a signal has met: by it, or as the command says.
local spoken = { [TERM] = { "terminated", 143 }, [HUP] = { "hung up", 129 } }

local function ended_by(signal, result)
    local line = is_moonfork and spoken[signal]
    assert.equal("", result.out)
    if line then
        assert.equal(run.interpreter .. ": " .. line[1] .. "\n", result.err)
        assert.same({ "exit", line[2] }, { result.how, result.status })
    else
        -- To SIGQUIT the command says who waits on what, and ends by it all the same.
        local is_question = is_moonfork and signal == QUIT
        assert.equal(is_question, result.err ~= "")
        assert.same({ "signal", signal }, { result.how, result.status })
    end
end

local names = { [HUP] = "SIGHUP", [QUIT] = "SIGQUIT", [KILL] = "SIGKILL", [TERM] = "SIGTERM" }

for _, busy in ipairs { false, true } do
    describe("a family that is " .. (busy and "busy" or "idle"), function()
        for _, signal in ipairs { TERM, HUP, QUIT, KILL } do
            it("ends with its first process: " .. names[signal], function()
                local pid, finish = start_family(busy)
                probe.kill(pid, signal)
                nobody_left(pid)
                ended_by(signal, finish())
            end)
        end

        it("leaves no file when all of it is killed: nothing of it has a name", function()
            local pid, finish = start_family(busy)
            if not run.under_valgrind then -- which has files of its own
                assert.same({}, names_of_files(pid))
            end
            probe.kill(-pid, KILL)
            nobody_left(pid)
            ended_by(KILL, finish())
        end)

        it("loses with a middle process all below it, and nothing else", function()
            local pid, finish, middle = start_family(busy, [[
                local zombies = require "spec.support.audit"
                local q, lock = mp.Queue(), mp.Lock()
                q:put "kept"
                local ok, err = pcall(middle.get, middle)
                print(ok, err.kind, err.signal, err.pid == middle.pid, err.pid)
                mp.active_children()
                for _, child in ipairs(zombies.children()) do
                    assert(zombies.state_of(child) ~= "Z")
                end
                assert(lock:acquire(5) and q:get(5) == "kept")
                assert(#pool:pids() == 4)
                pool:terminate()
                assert(#zombies.children() == 0)
                print(mp.Pool(2):apply(math.max, { 1, 2 }))]])
            local before = #run.session(pid)
            probe.kill(middle, KILL)
            local result = finish()
            assert.equal(8, before)
            assert.equal("", result.err)
            assert.equal(("false\tdied\t9\ttrue\t%d\n2\n"):format(middle), result.out)
            nobody_left(pid)
        end)

        -- What is printed when the script itself ends.
        for how, rest in pairs {
            ["at the end of the script"] = { "", 0, "" },
            ["after an error of the script"] = { "error('out of luck', 0)", 1, "out of luck" },
            ["after os.exit"] = { "os.exit(5)", 5, "" },
            ["after os.exit that closes the state"] = { "os.exit(6, true)", 6, "" },
        } do
            it("ends " .. how, function()
                local pid, finish = start_family(busy, "middle:terminate() " .. rest[1])
                local result = finish()
                nobody_left(pid)
                assert.equal(rest[2], result.status)
                assert.matches(rest[3], result.err, 1, true)
            end)
        end
    end)
end

-- Programs that tasks have started ----------------------------------------------------------------

-- The programs of this spec are a shell, and what that starts.
local function runs_a_program(session)
    for _, pid in ipairs(run.session(session)) do
        local name = files.read("/proc/" .. pid .. "/comm")
        if name == "sh\n" or name == "sleep\n" then
            return true
        end
    end
    return false
end

describe("a program that a task has started ends", function()
    -- A worker or a child is in the program, which tells that it runs.
    local programs = {
        { "with os.execute", [[
            os.execute("echo $$ >" .. fifo .. "; sleep 1000; true")]] },
        { "with io.popen", [[
            io.popen("echo $$ >" .. fifo .. "; sleep 1000; true"):read "a"]] },
        { "that starts others all the time", [[
            os.execute("echo $$ >" .. fifo .. [=[;
                for i in $(seq 60); do sleep 1000 & sleep 0.005; done; wait]=])]] },
    }
    local by_worker = [[
        local pool = mp.Pool(2)
        local result = pool:map_async(task, { 1, 2 }, { timeout = TIMEOUT })]]
    local by_child = "local p = mp.spawn(task, 1)"
    -- The child is forked first: AddressSanitizer's malloc does not expect forks beside threads.
    local beside_a_thread = by_child .. [=[
        require("signals_probe").beside([[
            q = q or require "moonfork".Queue()
            q:put { print, string.format }
            q:get()
        ]], package.cpath)]=]
    local endings = {
        { "with the script", by_worker, "" },
        { "with a script that fails", by_worker, "error 'out'" },
        { "with os.exit", by_worker, "os.exit(0)" },
        { "with os.exit that closes the state", by_worker, "os.exit(0, true)" },
        { "with os.exit beside a thread that runs Lua", beside_a_thread, "os.exit(0)" },
        { "with pool:terminate()", by_worker, "pool:terminate() stay()" },
        { "with a pool whose scope an error leaves", by_worker, [[
            pcall(function() local scope <close> = pool error "out" end) stay()]] },
        { "with p:terminate()", by_child, "p:terminate() p:join() stay()" },
        { "with p:kill()", by_child, "p:kill() p:join() stay()" },
        { "with a process whose scope an error leaves", by_child, [[
            pcall(function() local scope <close> = p error "out" end) stay()]] },
        { "with a task that takes too long", by_worker, [[
            assert(not pcall(result.get, result)) stay()]], timeout = 0.3 * run.slack },
        { "with the daemon that runs it", [[
            mp.Process { target = task, args = { 1 }, daemon = true }:start()]], "" },
    }
    if not run.under_valgrind then -- the half second that the command gives itself is too short
        endings[#endings + 1] = { "with the script, by Ctrl-C", by_worker, "mp.Queue():get()",
            signal = INT }
    end
    if is_moonfork and not run.under_valgrind then
        endings[#endings + 1] = { "with the script, by SIGTERM", by_worker, "mp.Queue():get()",
            signal = TERM }
    end
    for _, program in ipairs(programs) do
        for _, ending in ipairs(endings) do
            it(program[1] .. " " .. ending[1], function()
                local text = [[
                    local fifo = arg[0] .. ".fifo"
                    require("signals_probe").fifo(fifo)
                    local function task(n)
                        while n == 2 do mp.sleep(1000) end
                        ]] .. program[2] .. [[
                    end
                    local function stay()
                        print "ended"
                        io.stdout:close()
                        mp.Queue():get()
                    end
                    ]] .. ending[2]:gsub("TIMEOUT", tostring(ending.timeout)) .. [[
                    io.open(fifo):read "l"
                    print "ready"
                    ]] .. ending[3]
                local pid, finish = start(text)
                if ending.signal then
                    in_state(pid, "S")
                    probe.kill(pid, ending.signal)
                end
                audit.eventually(function()
                    return not runs_a_program(pid)
                end, 2 * run.second + 1)
                audit.eventually(function() -- one may be about to start another
                    local members = run.session(pid)
                    for _, member in ipairs(members) do
                        probe.kill(member, KILL)
                    end
                    return #members == 0
                end, run.second + 1)
                finish()
            end)
        end
    end
end)

-- Interrupted a thousand times a second -----------------------------------------------------------

-- Each process is shaken by a timer of its own, whose handler does nothing.
local shaken = [[
    local mp = require "moonfork"
    local probe = require "signals_probe"
    local restart = RESTART
    local function shake()
        probe.storm(1000, restart)
    end
    local function process(f)
        return mp.spawn(function(...)
            shake()
            return f(...)
        end)
    end
    shake()
    -- Waits as long as `f` does, and gives what it gives; true at the end when it was interrupted.
    local function shaken(f, ...)
        local before, result = probe.handled(), table.pack(f(...))
        result[result.n + 1] = probe.handled() > before
        return table.unpack(result, 1, result.n + 1)
    end
]]

for _, restart in ipairs { false, true } do
    describe("signals at 1 kHz, " .. (restart and "with" or "without") .. " SA_RESTART,", function()
        local function check(text, expected)
            local known = { RESTART = tostring(restart), SECONDS = 2 * run.second }
            local text_of_all = (shaken .. text):gsub("%u%u%u%u+", known) .. [[
                probe.storm(0)
                assert(probe.handled() > 0)
                assert(mp.debug.counts().late_wakes == 0)]]
            local result = run.script(text_of_all)
            assert.equal("", result.err)
            assert.equal(expected, result.out)
            assert.equal(0, result.status)
        end

        it("end no wait before its time, and none late", function()
            check([[
                local q, full, lock, a, b = mp.Queue(), mp.Queue(1), mp.Lock(), mp.Pipe()
                local pool = mp.Pool(1)
                local result = pool:submit(function() q:get() end)
                full:put(1)
                lock:acquire()
                local p = mp.spawn(function() q:get() end)
                for name, wait in pairs {
                    get = function(t) return select(3, q:get(t)) end,
                    put = function(t) return select(3, full:put(2, t)) end,
                    acquire = function(t) return select(3, lock:acquire(t)) end,
                    recv = function(t) return select(3, a:recv(t)) end,
                    poll = function(t) return not a:poll(t) and "timeout" end,
                    join = function(t) return not p:join(t) and "timeout" end,
                    wait = function(t) return not result:wait(t) and "timeout" end,
                    p_get = function(t) return select(2, pcall(p.get, p, t)).kind end,
                    r_get = function(t) return select(2, pcall(result.get, result, t)).kind end,
                    sleep = function(t) mp.sleep(t) return "timeout" end,
                } do
                    local began = mp.time()
                    local code, often = shaken(wait, 0.1)
                    local took = mp.time() - began
                    if code ~= "timeout" or took < 0.1 or took > 3 or not often then
                        print(name, code, took, often)
                    end
                end
                q:put(1)
                q:put(1)
                result:get()
                p:join()
                b:close()
                print "done"]], "done\n")
        end)

        it("lose, double and mix up no message", function()
            check([[
                local q, results = mp.Queue(8), mp.Queue()
                local each, producers, consumers = 3000, {}, {}
                for who = 1, 2 do
                    producers[who] = process(function()
                        for i = 1, each do
                            q:put { who, i, i % 100 == 0 and ("x"):rep(10000) or nil }
                        end
                    end)
                    consumers[who] = process(function()
                        local last, n = { 0, 0 }, 0
                        for message in q:iter() do
                            assert(message[2] > last[message[1] ])
                            last[message[1] ] = message[2]
                            n = n + 1
                        end
                        results:put { n, probe.handled() > 0 }
                    end)
                end
                for _, p in ipairs(producers) do p:get() end
                q:close()
                for _, p in ipairs(consumers) do p:get() end
                local first, second, stats = results:get(5), results:get(5), q:stats()
                print(first[1] + second[1], first[2], second[2])
                print(stats.put, stats.got, stats.queued, stats.lost)]],
                "6000\ttrue\ttrue\n6000\t6000\t0\t0\n")
        end)

        it("let one process at a time into a lock", function()
            check([[
                local lock, counter, holders = mp.Lock(), mp.Queue(1), {}
                counter:put(0)
                for i = 1, 3 do
                    holders[i] = process(function()
                        for _ = 1, 300 do
                            local guard <close> = lock:guard()
                            counter:put(counter:get_nowait() + 1)
                        end
                    end)
                end
                for _, p in ipairs(holders) do p:get() end
                print(counter:get(5))]], "900\n")
        end)

        it("cost a pool no task and no worker", function()
            check([[
                local pool <close> = mp.Pool { processes = 2, initializer = shake }
                local pids = table.concat(pool:pids(), " ")
                local sum = 0
                for _, n in ipairs(pool:map(function(n) return n * n end, mp.iter(function(_, i)
                    i = i + 1
                    return i <= 2000 and i or nil
                end, nil, 0))) do
                    sum = sum + n
                end
                for i, n in pool:imap(function(n) mp.sleep(0.001) return n + 1 end,
                    { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }) do
                    assert(n == i + 1)
                end
                print(sum, pids == table.concat(pool:pids(), " "))]], "2668667000\ttrue\n")
        end)

        it("keep nobody from hearing of a death", function()
            check([[
                local pool <close> = mp.Pool { processes = 1, initializer = shake }
                local function die(pid)
                    mp.sleep(0.05)
                    probe.kill(pid or mp.getpid(), 9)
                end
                -- A wait whose time is up looks too: so its time is long, and it must not be used.
                local function soon(f, ...)
                    local began, result = mp.time(), table.pack(f(...))
                    assert(mp.time() - began < SECONDS, "heard of too late")
                    return table.unpack(result, 1, result.n)
                end
                local ok, err = soon(pcall, pool.apply, pool, die)
                print(ok, err.kind, err.signal)
                local lock, told = mp.Lock(), mp.Queue()
                local p = process(function()
                    lock:acquire()
                    told:put(true)
                    die()
                end)
                told:get()
                print(soon(lock.acquire, lock, 30))
                print(soon(p.join, p, 30), p.exitcode)
                local a, b = mp.Pipe()
                process(die):join()
                local q = process(function() assert(b) die() end)
                b:close()
                print(soon(a.recv, a, 30))
                q:join()]],
                "false\tdied\t9\ntrue\tabandoned\ntrue\t-9\nnil\tclosed\tclosed\n")
        end)
    end)
end

-- Stopped processes -------------------------------------------------------------------------------

describe("a stopped process", function()
    local function stop(pid)
        probe.kill(pid, STOP)
        in_state(pid, "T")
    end

    local function gone(pid)
        audit.eventually(function()
            return not audit.state_of(pid)
        end, run.second)
    end

    -- A process that runs f until the queue that it is given says when.
    local function asleep_in(f, ...)
        local p = mp.spawn(f, ...)
        in_state(p.pid, "S")
        return p
    end

    it("ends when it is told to, and when it is killed", function()
        for method, status in pairs { terminate = -TERM, kill = -KILL } do
            for _, f in ipairs { mp.sleep, function() while true do end end } do -- luacheck: ignore
                local p = mp.spawn(f, 1000)
                stop(p.pid)
                p[method](p)
                assert.is_true(p:join(10))
                assert.equal(status, p.exitcode)
            end
        end
    end)

    it("is alive, and is joined when it has gone on", function()
        local q = mp.Queue()
        local p = asleep_in(function() return q:get() end)
        stop(p.pid)
        q:put "message"
        assert.is_false(p:join(0.05))
        assert.is_true(p:is_alive())
        assert.is_nil(p.exitcode)
        probe.kill(p.pid, CONT)
        assert.equal("message", p:get(10))
    end)

    it("keeps no message from others, and gets its own when it goes on", function()
        -- A wake that went to the stopped one is noticed at the others' next look: that counts as
        -- late, so this is not for the audit.
        local result = run.script [[
            local mp = require "moonfork"
            local probe = require "signals_probe"
            local audit = require "spec.support.audit"
            local q, got = mp.Queue(), mp.Queue()
            local consumers = {}
            for i = 1, 2 do
                consumers[i] = mp.spawn(function()
                    for message in q:iter() do
                        got:put { i, message }
                    end
                end)
                audit.eventually(function()
                    return audit.state_of(consumers[i].pid) == "S"
                end)
            end
            probe.kill(consumers[1].pid, 19)
            for n = 1, 50 do
                q:put(n)
                local message = got:get(10)
                assert(message[1] == 2 and message[2] == n)
            end
            probe.kill(consumers[2].pid, 19)
            audit.eventually(function()
                return audit.state_of(consumers[2].pid) == "T"
            end)
            q:put(51)
            probe.kill(consumers[1].pid, 18)
            local message = got:get(10)
            print(message[1], message[2])
            probe.kill(consumers[2].pid, 18)
            q:close()
            for _, p in ipairs(consumers) do p:get(10) end
            print(q:stats().got, q:stats().lost)]]
        assert.same({ out = "1\t51\n51\t0\n", err = "", status = 0 }, result)
    end)

    it("may be a producer, stopped at any moment: its messages come in order", function()
        local result = run.script [[
            local mp = require "moonfork"
            local probe = require "signals_probe"
            local q = mp.Queue()
            local p = mp.spawn(function()
                for n = 1, 20000 do
                    q:put { n, ("x"):rep(n % 300) }
                end
                q:close()
            end)
            local n = 0
            for message in q:iter() do
                n = n + 1
                assert(message[1] == n and #message[2] == n % 300)
                if n % 1000 == 500 then
                    probe.kill(p.pid, 19)
                    mp.sleep(0.001)
                    probe.kill(p.pid, 18)
                end
            end
            p:join()
            print(n, q:stats().lost)]]
        assert.same({ out = "20000\t0\n", err = "", status = 0 }, result)
    end)

    it("does not hold up its pool, which finishes when it goes on", function()
        local began, go = mp.Queue(), mp.Queue()
        local pool <close> = mp.Pool(2)
        local stuck = pool:submit(function()
            began:put(mp.getpid())
            return go:get()
        end)
        local pid = began:get(10)
        stop(pid)
        for i, v in pool:imap(math.abs, { -1, -2, -3 }, { chunksize = 1 }) do
            assert.equal(i, v)
        end
        go:put "went on"
        assert.is_false(stuck:wait(0.05))
        probe.kill(pid, CONT)
        assert.equal("went on", stuck:get(10))
    end)

    it("overruns its time limit like any other worker", function()
        local pool <close> = mp.Pool(1)
        local began = mp.Queue()
        local result = pool:apply_async(function()
            began:put(mp.getpid())
            mp.sleep(1000)
        end, {}, { timeout = 0.2 })
        local pid = began:get(10)
        probe.kill(pid, STOP)
        local _, err = pcall(result.get, result, 20)
        assert.same({ "timeout", pid }, { err.kind, err.pid })
        gone(pid)
        assert.equal(3, pool:apply(math.abs, { -3 }))
    end)

    it("does not hold up the end of its pool", function()
        for _, busy in ipairs { false, true } do
            local pool, began = mp.Pool(3), mp.Queue()
            local result = busy and pool:map_async(function()
                began:put(true)
                while true do end -- luacheck: ignore
            end, { 1, 2, 3 }, { chunksize = 1 })
            for _ = 1, busy and 3 or 0 do
                began:get(10)
            end
            local pids = pool:pids()
            for _, pid in ipairs(pids) do
                stop(pid)
            end
            local began_to_end = mp.time()
            pool:terminate()
            assert.is_true(mp.time() - began_to_end < 0.2 + run.second)
            assert.equal(0, #pool:pids())
            for _, pid in ipairs(pids) do
                gone(pid)
            end
            assert.is_true(not result or select(2, pcall(result.get, result)).kind == "cancelled")
        end
    end)

    it("does not hold up the end of a scope that an error leaves", function()
        local pid
        local ok, err = pcall(function()
            local p <close> = mp.spawn(mp.sleep, 1000)
            pid = p.pid
            stop(pid)
            error("out", 0)
        end)
        assert.same({ false, "out" }, { ok, err })
        gone(pid)
    end)

    -- The family stops, worker by worker, before its first process leaves.
    local stopped = [[
        local probe = require "signals_probe"
        local pool = mp.Pool(2)
        local result = pool:map_async(mp.sleep, { 1000, 1000 }, { chunksize = 1 })
        local began = mp.Queue()
        local daemon = mp.Process { daemon = true, target = function()
            began:put(true)
            mp.sleep(1000)
        end }:start()
        began:get()
        for _, pid in ipairs { daemon.pid, table.unpack(pool:pids()) } do
            probe.kill(pid, 19)
        end
        print "ready"
    ]]
    for _, ending in ipairs {
        { "the script's end", "" },
        { "an error of the script", "error 'out'" },
        { "os.exit", "os.exit(0)" },
        { "Ctrl-C", "result:get()", INT },
        { "SIGTERM", "result:get()", TERM },
        { "SIGKILL", "result:get()", KILL },
    } do
        it("does not outlive " .. ending[1], function()
            local pid, finish = start(stopped .. ending[2])
            if ending[3] then
                in_state(pid, "S")
                probe.kill(ending[3] == INT and -pid or pid, ending[3])
            end
            audit.eventually(function()
                return #run.session(pid) == 0
            end, 1 + run.second)
            finish()
        end)
    end
end)
