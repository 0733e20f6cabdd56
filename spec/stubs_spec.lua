-- The editor stubs against the module, both ways.

local files = require "spec.support.files"
local mp = require "moonfork"

-- class -> set of names, from the stubs.
local function stubbed()
    local classes = {}
    for line in files.read "bindings/moonfork.meta.lua":gmatch "[^\n]+" do
        local class, name = line:match "^function (%a+)[.:]([%w_]+)%("
        if class then
            classes[class] = classes[class] or {}
            classes[class][name] = true
        end
    end
    return classes
end

-- The names that users call: without metamethods, internals (_x) and values that are no functions.
local function names_in(t)
    local names = {}
    for name, value in pairs(t) do
        if type(value) == "function" and not name:find "^_" then
            names[name] = true
        end
    end
    return names
end

-- The methods of an object, which may hide its metatable, or answer by a function.
local function methods_of(object)
    local index = debug.getmetatable(object).__index
    local i = 1
    while type(index) == "function" do
        local name, value = debug.getupvalue(index, i)
        assert(name, "no table of methods")
        if type(value) == "table" and rawget(value, "join") then
            index = value
        end
        i = i + 1
    end
    return names_in(index)
end

describe("the editor stubs", function()
    local classes = stubbed()

    it("name what the module has", function()
        assert(mp.Pool and mp.map and mp.iter) -- the pool's part comes at its first use
        assert.same(classes.moonfork, names_in(mp))
        assert.same(classes.debug, names_in(mp.debug))
        assert.is_string(mp.version)
        assert.is_table(mp.Error)
    end)

    local pool
    local samples = {
        Queue = mp.Queue,
        Lock = mp.Lock,
        Guard = function()
            return mp.Lock():guard()
        end,
        Connection = function()
            return (mp.Pipe())
        end,
        Process = mp.current_process,
        Pool = function()
            return pool
        end,
        Result = function()
            return pool:submit(function() end)
        end,
        Imap = function()
            return (pool:imap(print, {}))
        end,
        Iter = function()
            return mp.iter(pairs {})
        end,
    }

    for class, sample in pairs(samples) do
        it("name what a " .. class .. " has", function()
            pool = mp.Pool(0)
            assert.same(classes[class], methods_of(sample()))
            pool:terminate()
            classes[class] = nil
        end)
    end

    it("name no other class", function()
        classes.moonfork, classes.debug = nil, nil
        assert.same({}, classes)
    end)
end)
