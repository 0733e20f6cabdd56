-- The start method "zygote": what its children have, and that its death harms nobody. How it works
-- is tested in runtime/process/test/zygote_test.c.

local audit = require "spec.support.audit"
local mp = require "moonfork"
local run = require "spec.support.run"

audit.install(before_each, after_each)

local check = run.prints -- the script, what it must print

describe("a process that a zygote makes", function()
    it("gets its target, upvalues and arguments, and gives results, errors and statuses", function()
        check([[
            local mp = require "moonfork"
            mp.set_start_method("zygote")
            local seven = { 7 }
            local p = mp.spawn(function(a, b)
                return a .. b, seven[1], nil, mp.current_process().name
            end, "x", "y")
            print(p:get())
            p:join()
            print(p.exitcode)
            local bad = mp.Process{ target = function() mp.current_process() os.exit(3) end }
            bad:start()
            bad:join()
            print(bad.exitcode)
            local killed = mp.spawn(function() while true do end end)
            killed:kill()
            killed:join()
            print(killed.exitcode, #mp.active_children())
        ]], "xy\t7\tnil\tProcess-1\n0\n3\n-9\t0\n")
    end)

    it("gets a megabyte, and queues that were made later than the zygote", function()
        check([[
            local mp = require "moonfork"
            mp.set_start_method("zygote")
            local q, long = mp.Queue(), ("0123456789"):rep(100000)
            mp.spawn(function(text) q:put(text:reverse()) end, long)
            print(q:get() == long:reverse())
        ]], "true\n")
    end)

    it("has the working folder, paths and arg of the time of its start", function()
        check([[
            local mp = require "moonfork"
            mp.set_start_method("zygote")
            require "lfs".chdir("/proc")
            package.path = package.path .. ";here"
            arg[1] = "changed"
            print(mp.spawn(function()
                return require "lfs".currentdir(), package.path:match(";here$"), arg[1],
                    io.read("a")
            end):get())
        ]], "/proc\t;here\tchanged\t\n")
    end)

    it("writes to what is open at the time of its start", function()
        local file = os.tmpname()
        finally(function()
            os.remove(file)
        end)
        check(([[
            local mp = require "moonfork"
            mp.set_start_method("zygote")
            io.stdout:setvbuf("no")
            io.write("before ")
            local keep = io.open(%q, "w")
            local fd
            for n in require "lfs".dir("/proc/self/fd") do
                local to = require "lfs".symlinkattributes("/proc/self/fd/" .. n, "target")
                fd = to == %q and tonumber(n) or fd
            end
            local p = mp.Process{ keep_fds = { fd }, target = function()
                io.open("/proc/self/fd/" .. fd, "w"):write("kept")
                print("in the child")
            end }
            p:start()
            p:join()
            print(p.exitcode, io.open(%q):read("a"))
        ]]):format(file, file, file), "before in the child\n0\tkept\n")
    end)

    it("has other random numbers than its siblings", function()
        check([[
            local mp = require "moonfork"
            mp.set_start_method("zygote")
            local seen, n = {}, 0
            for _ = 1, 5 do
                local number = mp.spawn(function() return math.random(0) end):get()
                n, seen[number] = n + (seen[number] and 0 or 1), true
            end
            print(n)
        ]], "5\n")
    end)

    -- The tables in which the kernel has a process's pages: their copy is what makes a fork slow.
    it("does not carry the weight of its creator's memory", function()
        check([[
            local mp = require "moonfork"
            mp.set_start_method("zygote")
            local function weight()
                return tonumber(io.open("/proc/self/status"):read("a"):match("VmPTE:%s+(%d+)"))
            end
            local light = mp.spawn(weight):get()
            local load = {}
            for i = 1, 300000 do load[i] = ("x"):rep(100) .. i end
            local forked = mp.Process{ target = weight, start = "fork" }
            forked:start()
            print(mp.spawn(weight):get() <= light + 8, forked:get() > light + 50)
        ]], "true\ttrue\n")
    end)
end)

describe("a pool whose workers a zygote makes", function()
    it("works, with an initializer, and replaces workers that die", function()
        check([[
            local mp = require "moonfork"
            local pool <close> = mp.Pool{ processes = 2, start = "zygote", maxtasksperchild = 3,
                initializer = function(n) base = n end, initargs = { 100 } }
            print(table.concat(pool:map(function(x) return base + x end, { 1, 2, 3, 4, 5, 6, 7, 8 },
                { chunksize = 1 }), " "))
            local killed = pool:submit(function()
                os.execute("kill -KILL " .. mp.current_process().pid)
                while true do end
            end)
            print(select(2, pcall(killed.get, killed)).kind)
            print(pool:apply(function() return base end))
        ]], "101 102 103 104 105 106 107 108\ndied\n100\n")
    end)
end)

describe("modules for a zygote", function()
    local folder

    before_each(function()
        folder = os.tmpname()
        os.remove(folder)
        require "lfs".mkdir(folder)
        local f <close> = assert(io.open(folder .. "/spec_loaded.lua", "w"))
        f:write([[
            local mp = require "moonfork"
            local pid = io.open("/proc/self/stat"):read("n")
            return { pid = pid, uses = function() local q = mp.Queue() q:put(4) return q:get() end }
        ]])
    end)

    after_each(function()
        os.remove(folder .. "/spec_loaded.lua")
        os.remove(folder)
    end)

    local function script(text)
        return ("package.path = %q .. package.path\n"):format(folder .. "/?.lua;") .. text
    end

    it("are loaded once, before the first child", function()
        check(script [[
            local mp = require "moonfork"
            mp.set_start_method("zygote", { preload = { "spec_loaded" } })
            local function where()
                local m = require "spec_loaded"
                return m.pid, mp.current_process().pid, m.uses()
            end
            local a, own, four = mp.spawn(where):get()
            local b = mp.spawn(where):get()
            print(a == b, a ~= own, four)
        ]], "true\ttrue\t4\n")
    end)

    it("print once what they print", function()
        check(script [[
            local mp = require "moonfork"
            package.preload.talks = function() print("loading") io.write("on, ") end
            mp.set_start_method("zygote", { preload = { "talks" } })
            mp.spawn(function() io.write("a ") end):join()
            mp.spawn(function() io.write("b\n") end):join()
        ]], "loading\non, a b\n")
    end)

    it("are loaded once, however often signals come meanwhile", function()
        check(([[
            package.cpath = %q
            local mp, probe = require "moonfork", require "signals_probe"
            package.preload.slow = function()
                local time = mp.time()
                while mp.time() - time < 0.1 do end
                return { pid = io.open("/proc/self/stat"):read("n") }
            end
            probe.storm(100, true)
            mp.set_start_method("zygote", { preload = { "slow" } })
            print(probe.handled() > 0)
            probe.storm(0)
            local function pid() return require "slow".pid end
            print(mp.spawn(pid):get() == mp.spawn(pid):get())
        ]]):format(package.cpath), "true\ntrue\n")
    end)

    it("do not outlive an error that comes meanwhile", function()
        check(([[
            package.cpath = %q
            local mp, probe = require "moonfork", require "signals_probe"
            package.preload.endless = function() while true do end end
            probe.interrupts(5)
            local good, message = pcall(mp.set_start_method, "zygote", { preload = { "endless" } })
            probe.storm(0)
            print(good, message)
            print(probe.wait(-1, true), mp.get_start_method())
            mp.set_start_method("zygote", { preload = { "string" } })
            print(mp.spawn(function() return "again" end):get())
        ]]):format(package.cpath), "false\tinterrupted!\nnil\tfork\nagain\n")
    end)

    it("are not asked for what was loaded later", function()
        check([[
            local mp = require "moonfork"
            mp.set_start_method("zygote")
            local path = assert(package.searchpath("lfs", package.cpath))
            package.preload.later = assert(package.loadlib(path, "luaopen_lfs"))
            print(mp.spawn(function() return type(require "later".currentdir()) end):get())
        ]], "string\n")
    end)

    it("tell why they cannot be loaded", function()
        check(script [[
            local mp = require "moonfork"
            local _, message = pcall(mp.set_start_method, "zygote", { preload = { "no_such" } })
            print(message:match("^[^\n]*"))
            local function why(name)
                return select(2, pcall(mp.set_start_method, "zygote", { preload = { name } }))
            end
            package.preload.fine = function() return { fine = "fine" } end
            package.preload.uses = function() require "moonfork".Queue() end
            package.preload.opens = function() return io.open("/dev/null") end
            package.preload.raises = function() error {} end
            print(why "uses":match("a module that the zygote loads .* make or use queues"))
            print(why "opens":match("what it has loaded has left a file open"))
            print(why "raises":match("a module has raised an error that is no text"))
            local names = { "fine" }
            for i = 2, 3000 do names[i] = "string" end
            mp.set_start_method("zygote", { preload = names })
            print(mp.spawn(function() return require "fine".fine end):get())
        ]], "cannot make the zygote: module 'no_such' not found:\n" ..
            "a module that the zygote loads beforehand cannot make or use queues\n" ..
            "what it has loaded has left a file open\n" ..
            "a module has raised an error that is no text\nfine\n")
    end)
end)

describe("the start method", function()
    it("is fork, until it is set", function()
        check([[
            local mp = require "moonfork"
            print(mp.get_start_method())
            mp.set_start_method("zygote")
            print(mp.get_start_method())
            print(mp.spawn(function() return mp.get_start_method() end):get()) -- a process's own
            mp.set_start_method("fork")
            print(mp.get_start_method())
        ]], "fork\nzygote\nfork\nfork\n")
    end)

    it("is checked", function()
        local function message(f, ...)
            return select(2, pcall(f, ...))
        end
        assert.matches('bad argument #1 to .*"fork" or "zygote" expected, got "zygot"',
            message(mp.set_start_method, "zygot"))
        assert.matches("bad argument #2 to .*only the method \"zygote\" loads modules beforehand",
            message(mp.set_start_method, "fork", { preload = { "x" } }))
        assert.matches("preload: a list of names of modules expected",
            message(mp.set_start_method, "zygote", { preload = "x" }))
        assert.matches("preload: a list of names of modules expected",
            message(mp.set_start_method, "zygote", { preload = { 1 } }))
        assert.matches("unknown option 'reload', did you mean 'preload'",
            message(mp.set_start_method, "zygote", { reload = {} }))
        assert.matches('start: "fork" or "zygote" expected, got boolean',
            message(mp.Process, { target = print, start = true }))
        assert.matches("option 'start' is 'fork' or 'zygote'",
            message(mp.Pool, { processes = 1, start = "spawn" }))
    end)
end)

describe("a zygote that dies", function()
    it("leaves its children alive, and its creator able to start others", function()
        check([[
            local mp = require "moonfork"
            local go, answer = mp.Queue(), mp.Queue()
            mp.set_start_method("zygote")
            local function children()
                local pid = io.open("/proc/self/stat"):read("n")
                local list = {}
                local text = io.open(("/proc/self/task/%d/children"):format(pid)):read("a")
                for n in text:gmatch("%d+") do list[#list + 1] = tonumber(n) end
                return list
            end
            local zygote = children()[1]
            local early = mp.spawn(function() go:get() answer:put("early") end)
            os.execute("kill -KILL " .. zygote)
            print(mp.spawn(function() return "late" end):get())
            go:put(true)
            print(answer:get())
            early:join()
            print(early.exitcode, #children())
        ]], "late\nearly\n0\t0\n")
    end)

    it("with its creator leaves nobody behind", function()
        local result = run.script [[
            local mp = require "moonfork"
            mp.set_start_method("zygote")
            local q = mp.Queue()
            mp.spawn(function() q:put(mp.current_process().pid) while true do end end)
            io.write(q:get())
            io.flush()
            os.execute("kill -KILL " .. mp.current_process().pid)
        ]]
        local pid = assert(result.out:match("%d+"))
        audit.eventually(function()
            return not io.open("/proc/" .. pid .. "/stat")
        end)
    end)
end)
