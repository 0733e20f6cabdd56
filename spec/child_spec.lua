-- What a child is born with and leaves behind, and what becomes of it at the end of a script. The
-- methods of a process are in process_spec.lua.

local audit = require "spec.support.audit"
local mp = require "moonfork"
local script = require "spec.support.script"

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
