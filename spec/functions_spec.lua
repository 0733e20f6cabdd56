-- What a task sees of a function, its globals, modules and classes (bindings/codec/codec.h), as far
-- as the codec alone can show it: functions captured here and called in a second Lua state, which
-- stands for a worker.

local build = os.getenv("MF_BUILD") or "build"
package.cpath = build .. "/?.so;" .. package.cpath

local probe = require "codec_probe"
local deep_equal = require "spec.support.deep_equal"

local codec = probe.new(1)

-- A worker: w:call(f, ...) captures f as a pool does, and calls it there; arguments and results go
-- through the codec too.
local Worker = {}
Worker.__index = Worker

local function new_worker()
    local state = probe.state()
    state:run([[
        local here = ...
        package.path, package.cpath = select(2, ...)
        local codec = require("codec_probe").new(here)
        local remember = debug.getregistry()
        function remember.call(serial, bytes, arguments)
            local f = assert(codec:load(1, serial, bytes))
            return codec:encode("value", f(codec:decode(arguments)))
        end
        function remember.codec() return codec end
    ]], 2, package.path, package.cpath)
    return setmetatable({ state = state }, Worker)
end

function Worker:run_capture(serial, bytes, ...)
    return codec:decode(self.state:run("return debug.getregistry().call(...)",
        serial, bytes, codec:encode("args", ...)))
end

function Worker:call(f, ...)
    local serial, bytes = codec:capture(f)
    return self:run_capture(serial, bytes, ...)
end

-- Ends the set-up of the worker: what `initializer` and `code` set wins over what arrives.
function Worker:initialise(initializer, code, everywhere)
    if initializer then
        self:call(initializer)
    end
    self.state:run(code or "")
    self.state:run("debug.getregistry().codec():protect((...))", everywhere or false)
end

local function refusal(f)
    local ok, message = pcall(codec.capture, codec, f)
    assert.is_false(ok)
    return message
end

-- Functions below use globals of this file on purpose.
-- luacheck: globals x counter log helper even odd memo config hidden unused_log strange host_call
-- luacheck: globals Account limit tree print setting probe_global

describe("a captured function", function()
    local worker

    before_each(function()
        worker = new_worker()
    end)

    it("has its upvalues as they were at the call", function()
        local value = 1
        local function f() return value end
        local serial, bytes = codec:capture(f)
        value = 2
        assert.are.equal(1, worker:run_capture(serial, bytes))
        assert.are.equal(2, worker:call(f))
        assert.are.equal(1, worker:run_capture(serial, bytes))
    end)

    it("has its globals as they were at the call", function()
        x = 1
        local function f() return x end
        local serial, bytes = codec:capture(f)
        x = 2
        local serial2, bytes2 = codec:capture(f)
        assert.are.equal(1, worker:run_capture(serial, bytes))
        assert.are.equal(2, worker:run_capture(serial2, bytes2))
        assert.are.equal(1, worker:run_capture(serial, bytes))
        x = nil
    end)

    it("keeps its copy between calls of one capture, in each worker its own", function()
        memo, counter = {}, 0
        local calls = 0
        local function f(n)
            calls, counter = calls + 1, counter + 1
            memo[n] = (memo[n] or 0) + 1
            return calls, counter, memo[n]
        end
        local other = new_worker()
        assert.are.same({ 1, 1, 1 }, { worker:call(f, "a") })
        local serial, bytes = codec:capture(f)
        assert.are.same({ 2, 2, 2 }, { worker:run_capture(serial, bytes, "a") })
        assert.are.same({ 1, 1, 1 }, { other:run_capture(serial, bytes, "a") })
        assert.are.same({ 0, 0, {} }, { calls, counter, memo })
        memo, counter = nil, nil
    end)

    it("shares upvalues with the functions that it travels with", function()
        local n = 0
        local function add() n = n + 1 return n end
        local function get() return n end
        assert.are.same({ 1, 1, 2, 2 }, { worker:call(function()
            return add(), get(), add(), get()
        end) })
        local add2, get2 = codec:decode(codec:encode("args", add, get))
        add2()
        assert.are.same({ 1, 0 }, { get2(), n })
    end)

    it("may call itself, as a local and as a global", function()
        local function fact(n) return n < 2 and 1 or n * fact(n - 1) end
        function even(n) return n == 0 or odd(n - 1) end
        function odd(n) return n ~= 0 and even(n - 1) end
        assert.are.equal(3628800, worker:call(fact, 10))
        assert.is_true(worker:call(even, 10))
        assert.is_true(worker:call(function(n) return odd(n) end, 7))
        even, odd = nil, nil
    end)

    it("may have any number of constants, and long names", function()
        local source = { "local t = {" }
        for i = 1, 400 do
            source[#source + 1] = string.format("%d, 'constant %d',", i * 100000, i)
        end
        local long = string.rep("long_name_", 10)
        source[#source + 1] = "} return x, " .. long .. ", math.max(#t, 1), function() return x end"
        x, _ENV[long] = "found", "found too"
        _G.x, _G[long] = x, _ENV[long]
        local a, b, n, f = worker:call(assert(load(table.concat(source, "\n"))))
        assert.are.same({ "found", "found too", 800, "found" }, { a, b, n, f() })
        x, _G.x, _ENV[long], _G[long] = nil, nil, nil, nil
    end)

    it("may be stripped of debug information", function()
        _G.x = "global"
        local f = load(string.dump(load("return x, math.max(1, 2)"), true))
        assert.are.same({ "global", 2 }, { worker:call(f) })
        _G.x = nil
    end)

    it("comes back as a function", function()
        local f = worker:call(function(a) return function(b) return a + b end end, 2)
        assert.are.equal(5, f(3))
    end)
end)

describe("globals", function()
    local worker

    before_each(function()
        worker = new_worker()
    end)

    it("go along transitively, and only those that are read", function()
        unused_log = io.tmpfile()
        setting = { 10 }
        function helper() return setting[1] end
        local function f() return helper() + 1 end
        assert.are.equal(11, worker:call(f))
        assert.is_true(#select(2, codec:capture(f)) < 1000)
        setting, helper, unused_log = nil, nil, nil
    end)

    it("raise with their path if they are used and cannot be sent", function()
        log = io.tmpfile()
        function helper() return log:read() end
        assert.are.equal("global 'log': cannot send a userdata (FILE*); open it in the task",
            refusal(function() return helper() end))
        local file = log
        assert.are.equal("upvalue 'file': cannot send a userdata (FILE*); open it in the task",
            refusal(function() return file end))
        log, helper = nil, nil
    end)

    it("that are standard and unchanged go by name", function()
        local function f() return print, string.format, math, _G, _VERSION end
        local p, format, m, g = codec:decode(codec:encode("args",
            f()))
        assert.are.same({ print, string.format }, { p, format })
        assert.is_true(rawequal(m, math) and rawequal(g, _G))
        assert.are.equal("5 true", worker:call(function()
            return string.format("%d %s", math.max(5, 1), rawequal(_G, _G._G))
        end))
    end)

    it("that are others under standard names travel", function()
        local version, rep = _G._VERSION, string.rep
        for _, replaced in ipairs { "Lua 9", rep, { 9 }, 9 } do
            _G._VERSION = replaced
            local f = load("return _VERSION")
            local got = new_worker():call(f)
            assert.are.same(type(replaced) == "function" and "function" or replaced,
                type(replaced) == "function" and type(got) or got)
        end
        _G._VERSION = version
        assert.are.equal(version, worker:call(load("return _VERSION")))
    end)

    it("that replace standard ones travel", function()
        local original = print
        _G.print = function(...) return "replaced", type(original), ... end
        local f = load("return print(1)")
        local replaced = { worker:call(f) }
        _G.print = original
        assert.are.same({ "replaced", "function", 1 }, replaced)
        assert.are.equal("function", worker:call(function() return type(print) end))
    end)

    it("that raise when they are looked up are absent", function()
        local f = load("return strange, tree", "f", "t", setmetatable({ tree = 1 }, {
            __index = function(_, name)
                return name == "_G" and _G or error("no global " .. name)
            end
        }))
        assert.are.same({ nil, 1, n = 2 }, table.pack(worker:call(f)))
    end)

    it("are found through the _ENV of a spec, which is not _G", function()
        probe_global = "of the spec"
        assert.is_nil(rawget(_G, "probe_global"))
        assert.are.equal("of the spec", worker:call(function() return probe_global end))
        probe_global = nil
    end)

    it("of an _ENV that is a table of its own travel as that table", function()
        local f = load("y = (y or 0) + 1 return y, z", "f", "t", { z = 5 })
        assert.are.same({ 1, 5 }, { worker:call(f) })
        assert.are.same({ 2, 5 }, { worker:call(f) })
    end)

    it("set in a task are the worker's own", function()
        worker:call(function() hidden = "set by a task" end)
        assert.are.equal("set by a task", worker:call(function() return hidden end))
        assert.are.equal("set by a task", worker:call(function() return _G.hidden end))
        assert.is_nil(hidden)
        assert.is_nil(new_worker():call(function() return hidden end))
    end)

    it("set by the initializer win over shipped ones", function()
        config, x = "shipped", 1
        worker:initialise(function() config = "set by " .. config .. x end)
        assert.are.equal("set by shipped1", worker:call(function() return config end))
        x = 2
        assert.are.equal(2, worker:call(function() return x end)) -- it was only read there
        config, x = nil, nil
    end)

    it("set by the host win over shipped ones", function()
        x = "shipped"
        worker:initialise(nil, "x = 'the host\\'s'")
        assert.are.equal("the host's", worker:call(function() return x end))
        x = nil
    end)

    it("that the host sets everywhere are not sent", function()
        local host = probe.state()
        host:run([[
            local worker_capture = ...
            host_call = coroutine.wrap(function() end)      -- a C function without a name
            local codec = require("codec_probe").new(3)
            codec:protect(true)
            assert(codec:capture(function() return host_call() end))
            host_call = coroutine.wrap(function() end)
            assert(not pcall(codec.capture, codec, function() return host_call() end))
        ]])
    end)
end)

describe("modules", function()
    local worker

    before_each(function()
        worker = new_worker()
    end)

    it("that require can find go by name", function()
        local travels = require "spec.support.deep_equal"
        assert.are.equal("spec.support.deep_equal", worker:call(function()
            assert(travels == package.loaded["spec.support.deep_equal"])
            return travels and "spec.support.deep_equal"
        end))
        assert.is_true(rawequal(deep_equal, (codec:decode(codec:encode("args", deep_equal)))))
    end)

    it("give their C functions and userdata by name", function()
        local ok, cjson = pcall(require, "cjson")
        if not ok then
            return
        end
        local encode, null = cjson.encode, cjson.null
        assert.are.equal('{"a":null}', worker:call(function() return encode { a = null } end))
    end)

    it("that were put into package.loaded by hand travel by value", function()
        package.loaded.by_hand = { value = 5, f = function() return "mine" end }
        local by_hand = require "by_hand"
        assert.are.same({ 5, "mine" },
            { worker:call(function() return by_hand.value, by_hand.f() end) })
        package.loaded.by_hand = nil
    end)

    it("that are loaded under several names travel under all of them", function()
        -- The second module adds to the table of the first: which name comes first is chance.
        package.path = package.path .. ";./spec/support/?.lua"
        for i = 1, 20 do
            package.loaded["alias_" .. i] = require "many_names"
        end
        local M = require "many_names_more"
        assert.are.equal("more", new_worker():call(function() return M.more() end))
        for i = 1, 20 do
            package.loaded["alias_" .. i] = nil
        end
    end)

    it("give their classes by name and their data by value", function()
        local methods = { get = function() return "method" end }
        local M = { data = { 1, 2 }, Class = { __index = methods }, [1] = {}, text = "t" }
        package.preload.spec_data = function() return M end
        require "spec_data"
        local data, object, inner, preload = codec:decode(codec:encode("args", M.data,
            setmetatable({}, M.Class), setmetatable({}, methods), package.preload))
        assert.are.same({ 1, 2 }, data)
        assert.are_not.equal(M.data, data)
        assert.are.equal(M.Class, getmetatable(object))
        assert.are.equal(methods, getmetatable(inner))
        assert.are.equal(package.preload, preload)
        local bytes = codec:encode("args", setmetatable({}, methods))
        M.Class = "no class any more"
        local value = codec:decode(bytes)
        assert.is_nil(value)
        M.Class = nil
        assert.is_nil((codec:decode(bytes)))
        package.loaded.spec_data = "no module any more"
        assert.is_nil((codec:decode(bytes)))
        package.preload.spec_data, package.loaded.spec_data = nil, nil
    end)

    it("are looked for by the searchers that another state has, whatever they answer", function()
        local searchers, path, cpath = package.searchers, package.path, package.cpath
        local function find(name)
            return name == "spec_found" and function() return true end or nil
        end
        package.loaded.spec_found = { f = function() end }
        package.searchers = { -- C functions, as Lua's own
            coroutine.wrap(function() error "this one fails" end),
            string.upper,
            coroutine.wrap(function(name)
                while true do
                    name = coroutine.yield(find(name))
                end
            end),
        }
        assert.are.equal(package.loaded.spec_found,
            (probe.new(3):decode(probe.new(4):encode("args", package.loaded.spec_found))))
        for _, broken in ipairs { {}, false, { find } } do
            package.searchers = broken or nil
            package.path, package.cpath = broken or nil, broken or nil
            assert.are_not.equal(package.loaded.spec_found,
                (probe.new(3):decode(probe.new(4):encode("args", package.loaded.spec_found))))
        end
        package.searchers, package.path, package.cpath = searchers, path, cpath
        package.loaded.spec_found = nil
    end)

    it("may have names of any length, and any number of them", function()
        local long, field = ("long_module_"):rep(30), ("long_field_"):rep(30)
        local M = { [field] = coroutine.wrap(function() end) }
        local names = { long }
        for i = 1, 40 do
            names[#names + 1] = ("another name of this module %d"):format(i)
        end
        for _, name in ipairs(names) do
            package.preload[name] = function() return M end
            assert.are.equal(M, require(name))
        end
        local bytes = codec:encode("args", M, M[field])
        assert.are.same({ M, M[field] }, { codec:decode(bytes) })
        for _, name in ipairs(names) do
            package.preload[name], package.loaded[name] = nil, nil
        end
    end)

    it("give io.stdin, io.stdout and io.stderr by name", function()
        local out = io.stdout
        assert.is_true(worker:call(function(file) return out == io.stdout and file == io.stderr end,
            io.stderr))
    end)

    it("are loaded in time for the first message", function()
        package.preload.spec_late = function() return { late = function() end } end
        local late = require "spec_late"
        local before = { { 1 }, late }
        local after = codec:decode(codec:encode("args", before))
        assert.are.equal(late, after[2])
    end)
end)

describe("classes", function()
    local worker

    before_each(function()
        worker = new_worker()
    end)

    local function new_class()
        local Class = { __name = "Class" }
        Class.__index = Class
        function Class.new(v) return setmetatable({ v = v }, Class) end
        function Class:get() return self.v end
        return Class
    end

    it("arrive with their methods, and come home as themselves", function()
        local Class = new_class()
        local object = Class.new(5)
        local back, value, made = worker:call(function(o)
            return o, o:get(), Class.new(6)
        end, object)
        assert.are.equal(5, value)
        assert.are.equal(6, made:get())
        assert.are.equal(Class, getmetatable(back))
        assert.are.equal(Class, getmetatable(made))
        assert.are_not.equal(object, back)
    end)

    it("are one at the receiver, whichever message they come with", function()
        local Class = new_class()
        worker:call(function(o) _G.kept = o end, Class.new(1))
        assert.is_true(worker:call(function(o)
            return getmetatable(_G.kept) == getmetatable(o)
        end, Class.new(2)))
    end)

    it("keep their identity through a third process", function()
        local Class = new_class()
        local third = new_worker()
        local message = codec:encode("value", Class.new(7))
        local function pass(w)
            return w.state:run([[
                local codec = debug.getregistry().codec()
                return codec:encode("value", codec:decode((...)))
            ]], message)
        end
        local through_worker = pass(worker)
        third.state:run("_G.one = debug.getregistry().codec():decode((...))", message)
        third.state:run("_G.two = debug.getregistry().codec():decode((...))", through_worker)
        assert.is_true(third.state:run("return getmetatable(one) == getmetatable(two)"))
        assert.are.equal(Class, getmetatable(codec:decode(through_worker)))
    end)

    it("that changed arrive changed", function()
        limit = new_class()
        limit.most = 1
        local function f() return limit.most end
        assert.are.equal(1, worker:call(f))
        limit.most = 2
        assert.are.equal(2, worker:call(f))
        limit = nil
    end)

    it("may inherit from and refer to one another", function()
        local Base, Derived = new_class(), { __name = "Derived" }
        Derived.__index, Derived.base, Base.derived = Derived, Base, Derived
        setmetatable(Derived, { __index = Base, __call = function(class, v)
            return setmetatable({ v = v }, class)
        end })
        local function f(a, b)
            return a:get() + b:get(), Derived(3):get(), getmetatable(b) == getmetatable(a).derived
        end
        assert.are.same({ 3, 3, true }, { worker:call(f, Base.new(1), Derived(2)) })
    end)

    it("go by their path in a module", function()
        local Random = require "spec.support.random_values" -- a function is a module too
        assert.is_true(rawequal(Random, (codec:decode(codec:encode("args", Random)))))
        package.preload.spec_class = function()
            local M = { Class = {} }
            M.Class.__index = M.Class
            M.plain = { __index = { get = function() return "got" end } }
            return M
        end
        local M = require "spec_class"
        local bytes = codec:encode("args", setmetatable({}, M.Class), setmetatable({}, M.plain))
        assert.matches("spec_class", bytes, 1, true)
        assert.is_true(#bytes < 80)
        local a, b = codec:decode(bytes)
        assert.are.equal(M.Class, getmetatable(a))
        assert.are.equal("got", b:get())
    end)

    it("have their finalisers", function()
        local Resource = {}
        Resource.__index = Resource
        Resource.__gc = function() _G.closed = (_G.closed or 0) + 1 end
        worker:call(function() local _ = 1 end, setmetatable({}, Resource))
        assert.are.equal(1, worker.state:run("collectgarbage() collectgarbage() return closed"))
    end)
end)

describe("the cache of captures", function()
    it("answers the same serial while nothing changed", function()
        local a, b = 1, { 1 }
        x = 1
        function helper() return x end
        local functions = {
            function() return a end,
            function() return b[1] end,
            function() return helper() end,
        }
        local changes = {
            function() a = a + 1 end,
            function() b[1] = b[1] + 1 end,
            function() x = x + 1 end,
        }
        for i, f in ipairs(functions) do
            local first = codec:capture(f)
            assert.are.equal(first, (codec:capture(f)))
            changes[i]()
            local second = codec:capture(f)
            assert.are_not.equal(first, second)
            assert.are.equal(second, (codec:capture(f)))
        end
        x, helper = nil, nil
    end)

    it("sees a global that appears", function()
        local f = load("return appearing")
        local first = codec:capture(f)
        assert.are.equal(first, (codec:capture(f)))
        _G.appearing = 1
        assert.are_not.equal(first, (codec:capture(f)))
        _G.appearing = nil
    end)

    it("lets go of functions that are gone", function()
        local weak = setmetatable({}, { __mode = "k" })
        do
            local a = 5
            local function f() return a, f end -- luacheck: ignore
            local function g() return a, g end -- luacheck: ignore
            weak[f], weak[g] = true, true
            codec:capture(f)
            codec:capture(g)
        end
        collectgarbage()
        collectgarbage()
        assert.is_nil(next(weak))
    end)

    it("at the receiver is bounded", function()
        local worker = new_worker()
        local calls = 0
        local function f() calls = calls + 1 return calls end
        local first = { codec:capture(f) }
        assert.are.equal(1, worker:run_capture(first[1], first[2]))
        assert.are.equal(2, worker:run_capture(first[1], first[2]))
        for i = 1, 100 do
            worker:call(function() return i end)
        end
        assert.are.equal(1, worker:run_capture(first[1], first[2]))
    end)
end)
