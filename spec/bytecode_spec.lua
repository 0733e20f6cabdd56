-- Which globals a function reads: found in its bytecode, by bindings/codec/bytecode.c alone.

local build = os.getenv("MF_BUILD") or "build"
package.cpath = build .. "/?.so;" .. package.cpath

local probe = require "codec_probe"

-- The names that a text reads from its _ENV, sorted, each once.
local function globals_of(source)
    local seen, names = {}, {}
    for _, name in ipairs(assert(probe.globals(string.dump(assert(load(source)))))) do
        if not seen[name] then
            seen[name] = true
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return table.concat(names, " ")
end

-- A text with a table of n strings, all constants of one function.
local function with_constants(n, rest)
    local parts = {}
    for i = 1, n do
        parts[i] = ("'c%d'"):format(i)
    end
    return "local t = {" .. table.concat(parts, ",") .. "} " .. rest
end

describe("the globals of a function", function()
    it("are those that it reads by name, and that functions in it read", function()
        assert.equal("a b c d", globals_of [[
            local x = a.z
            return function() b(c) return function() return d end end
        ]])
        assert.equal("", globals_of "a, b = 1, nil; local t = {}; return t.c")
    end)

    it("are found behind any number of constants", function()
        for _, n in ipairs { 200, 254, 255, 256, 300, 131070, 131071, 131072, 140000 } do
            assert.equal("late", globals_of(with_constants(n, "return t, late")))
        end
    end)

    it("are not taken for strings and keys that stand behind an upvalue", function()
        assert.equal("print", globals_of(with_constants(300, [[
            local k = 1
            print(_ENV, "an argument")
            local e, s = _ENV, "a string"
            local f, r, v = _ENV, "another", t[k]
            return _ENV[1.5], _ENV[k], _ENV[true], e, s, f, r, v
        ]])))
    end)

    it("are those of the upvalue that was asked for", function()
        local up, env = {}, { x = 1 }
        local function f()
            return up.not_this, env.this, up.nor_this
        end
        local first = debug.getupvalue(f, 1) == "up" and 1 or 2
        assert.same({ "this" }, probe.globals(string.dump(f), 3 - first))
        assert.same({ "not_this", "nor_this" }, probe.globals(string.dump(f), first))
    end)

    local dump = string.dump(assert(load(with_constants(260, [[
        local n, s, yes, no, none = 1.25, ("long"):rep(20) .. "]] .. ("x"):rep(60) .. [[", true
        return function(...) return a, _ENV.b, t, n, ..., s, yes and c, no, none end, 1 << 40
    ]]))))

    it("are not looked for in a dump that was cut off", function()
        for n = 0, #dump - 1 do
            assert.is_nil(probe.globals(dump:sub(1, n)))
        end
        assert.is_nil(probe.globals(dump .. "\0"))
        assert.not_nil(probe.globals(dump))
    end)

    it("are not looked for in the dump of another Lua", function()
        for place = 1, 15 + 16 do -- its header
            local changed = string.char(dump:byte(place) ~ 4)
            assert.is_nil(probe.globals(dump:sub(1, place - 1) .. changed .. dump:sub(place + 1)))
        end
    end)

    it("are found or not, without a crash, in one that was damaged", function()
        for place = 1, #dump do
            for _, byte in ipairs { 0, 1, 0x7f, 0x80, 0xff, dump:byte(place) ~ 2 } do
                probe.globals(dump:sub(1, place - 1) .. string.char(byte) .. dump:sub(place + 1))
            end
        end
    end)
end)
