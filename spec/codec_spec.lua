-- Values to bytes and back, without processes: the codec through codec_probe.so.

local build = os.getenv("MF_BUILD") or "build"
package.cpath = build .. "/?.so;" .. package.cpath

local probe = require "codec_probe"
local deep_equal = require "spec.support.deep_equal"
local codec_with_fault = require "spec.support.codec_with_fault"
local mutants = require "spec.mutants.list"
local random_values = require "spec.support.random_values"
local round_trip = require "spec.support.round_trip"

local codec = probe.new(1)

local function through(...)
    return codec:decode(codec:encode("args", ...))
end

local function assert_same(...)
    local before, after = table.pack(...), table.pack(through(...))
    assert.is_true(deep_equal(before, after))
end

-- The error of sending the arguments.
local function refusal(...)
    local ok, message = pcall(codec.encode, codec, "args", ...)
    assert.is_false(ok)
    return message
end

describe("a value that went through the codec", function()
    it("is the same number to the bit", function()
        local nan = string.unpack("d", string.pack("I8", 0x7ff8000000abcdef))
        assert_same(0, -0.0, 0.0, 1, 1.0, nan, -nan, math.huge, -math.huge, 2 ^ 53, 5e-324)
        for shift = 0, 63 do
            local n = 1 << shift
            assert_same(n - 1, n, n + 1, -n - 1, -n, -n + 1)
        end
    end)

    it("is the same string, whatever bytes and length", function()
        for _, n in ipairs { 0, 1, 31, 32, 40, 41, 127, 128, 255, 256, 70000 } do
            assert_same(string.rep("\0\xff", n):sub(1, n))
        end
    end)

    it("keeps nils among the arguments, and their number", function()
        assert.are.equal(0, select("#", through()))
        assert.are.equal(3, select("#", through(nil, nil, nil)))
        assert_same(nil, 1, nil, {}, nil)
    end)

    it("is the same table, with any keys", function()
        assert_same({ 1, 2, nil, 4, nil, nil, nil, nil, nil, 10, [0] = "z", [-1] = true,
            [2 ^ 53] = 1, [1.5] = 2, [true] = 3, [false] = 4, [""] = 5, [{}] = {},
            n = {}, [print] = 6, [function() end] = 7 })
        assert_same({ [1] = "a", [2] = "b", [3] = "c", x = 1 }) -- a list in the hash part
        assert_same({ nil, nil, 3 }, { [100] = 1 }, table.pack(nil, 2, nil))
    end)

    it("keeps runs of numbers with strangers and holes in them", function()
        for _, stranger in ipairs { 0.5, 1 << 40, "s", false, {} } do
            for _, place in ipairs { 1, 2, 255, 256, 257, 600 } do
                local integers, floats = {}, {}
                for i = 1, 600 do
                    integers[i], floats[i] = i * 300, i / 2
                end
                integers[place], floats[place] = stranger, stranger
                assert_same(integers, floats)
                integers[place], floats[place] = nil, nil
                assert_same(integers, floats)
            end
        end
    end)

    it("has its cycles and shared parts", function()
        local part, text = { "part" }, string.rep("long text", 100)
        local whole = { part, part, x = { part }, text, text }
        whole.self, whole[whole] = whole, part
        assert_same(whole, part, { whole })
        assert.is_true(#codec:encode("args", text, text, text) < 2 * #text)
    end)

    it("may be nested 100,000 deep", function()
        local list, pairs_ = {}, {}
        for i = 1, 100000 do
            list, pairs_ = { list }, { next = pairs_, value = i }
        end
        list, pairs_ = through(list, pairs_)
        local depth, sum = 0, 0
        while list[1] do
            list, depth = list[1], depth + 1
        end
        while pairs_.next do
            sum, pairs_ = sum + pairs_.value, pairs_.next
        end
        assert.are.equal(100000, depth)
        assert.are.equal(100000 * 100001 // 2, sum)
    end)

    it("keeps its place around a function with deep upvalues", function()
        for depth = 0, 15 do
            local upvalue = {}
            for _ = 1, 40 do
                upvalue = { upvalue }
            end
            local value = { 1, function() return upvalue end, "after", x = 2 }
            for i = 1, depth do
                value = { i, value, "after" }
            end
            assert_same(value)
        end
    end)

    it("is refused, not a crash, when it is nested deeper than a Lua stack holds", function()
        local list = {}
        for _ = 1, 1000000 do
            list = { list }
        end
        assert.matches("nested too deeply", refusal(list))
        local f = function() end
        for _ = 1, 1000 do
            local g = f
            f = function() return g end
        end
        assert.matches("upvalue 'g', .*: nested too deeply", refusal(f))
    end)

    it("is the same for 100,000 random values and closures", function()
        assert.is_nil(round_trip(codec, 100000, tonumber(os.getenv("MOONFORK_SEED")) or 1))
    end)

    it("is the same after a visit in another process", function()
        local there = probe.state()
        there:run [[codec = require("codec_probe").new(2)]]
        local generate = random_values(2, { functions = true, classes = true })
        for _ = 1, 3000 do
            local before = generate()
            local bytes = there:run([[return codec:encode("args", codec:decode((...)))]],
                codec:encode("args", table.unpack(before, 1, before.n)))
            local same, where = deep_equal(before, table.pack(codec:decode(bytes)))
            assert(same, where)
        end
    end)

    it("shows a fault in the codec", function()
        local caught = 0
        for _, mutant in ipairs(mutants) do
            if mutant.values then
                assert.are_not.equal("", codec_with_fault(mutant), mutant.what)
                caught = caught + 1
            end
        end
        assert.is_true(caught >= 3)
        assert.are.equal("", codec_with_fault(nil))
    end)
end)

describe("what cannot be sent", function()
    it("is named by its path, with advice", function()
        local file = assert(io.tmpfile())
        assert.are.equal(
            "args[2].log: cannot send a userdata (FILE*); open it in the task",
            refusal(1, { log = file }))
        assert.matches("^args%[1%]%[3%]%[\"a b\"%]%[true%]: cannot send a coroutine",
            refusal { 1, 2, { ["a b"] = { [true] = coroutine.create(print) } } })
        assert.matches("^args%[1%]%[userdata%], key: cannot send", refusal { [file] = 1 })
        assert.matches("^args%[1%], upvalue 'file': cannot send a userdata",
            refusal(function() return file end))
        assert.matches("^args%[1%]: cannot send a C function",
            refusal(coroutine.wrap(function() end)))
        file:close()
    end)

    it("is named whatever the key", function()
        local bad = coroutine.create(print)
        for key, text in pairs { [""] = '[""]', ["1st"] = '["1st"]', ["_a9Z"] = "._a9Z",
            ["a-b"] = '["a-b"]', ["a["] = '["a["]', ["z{"] = '["z{"]', ["@"] = '["@"]',
            ["9"] = '["9"]', ["a:"] = '["a:"]', ["a/"] = '["a/"]', ["é"] = '["é"]',
            ["\0\1"] = [==[["\000\001"]]==], ["ab\0002"] = [==[["ab\0002"]]==],
            ["\n\127\t"] = [==[["\010\127\009"]]==], ['"\\'] = [==[["\"\\"]]==],
            [("-"):rep(60)] = '["' .. ("-"):rep(40) .. '"]',
            [1.5] = "[1.5]", [-3] = "[-3]", [true] = "[true]", [false] = "[false]",
            [("k"):rep(60)] = "." .. ("k"):rep(60) } do
            assert.equal("args[1]" .. text .. ": cannot send a coroutine; send the function and "
                .. "start it there", refusal { [key] = bad })
        end
        assert.matches("^class%.__index%[thread%], key: cannot send a coroutine",
            refusal(setmetatable({}, { __index = { [bad] = 1 } })))
    end)

    it("is named by its type where it has no name, and by what its class calls it", function()
        local unnamed = io.tmpfile()
        local class = debug.getmetatable(unnamed)
        for _, name in ipairs { "Point", false } do
            local named = assert(io.tmpfile())
            debug.setmetatable(named, { __name = name or nil })
            local message = refusal(named)
            debug.setmetatable(named, class)
            assert.matches(name and "a userdata %(Point%)" or "cannot send a userdata;", message)
            named:close()
        end
        debug.setmetatable(unnamed, nil)
        assert.matches("cannot send a userdata;", refusal(unnamed))
        debug.setmetatable(unnamed, class)
        unnamed:close()
    end)

    it("leaves nothing behind in the codec", function()
        local bad = { { {} }, string.rep("x", 50) }
        bad[3] = { bad, coroutine.create(print) }
        for _ = 1, 100 do
            refusal(bad, bad)
            assert_same({ 1, { 2 } })
        end
    end)

    it("says of a long path both ends", function()
        local deep = { log = coroutine.create(print) }
        for _ = 1, 5000 do
            deep = { next = deep }
        end
        assert.matches("^args%[1%]%.next%.next.* %.%.%. %.next.*%.next%.log: cannot", refusal(deep))
    end)
end)

describe("objects of the runtime", function()
    it("travel as handles, the same object once", function()
        local queue = codec:handle(77)
        local a, b, c = through(queue, { queue }, codec:handle(math.mininteger))
        assert.are.equal(77, probe.handle_value(a))
        assert.is_true(rawequal(a, b[1]))
        assert.are.equal(math.mininteger, probe.handle_value(c))
    end)

    it("are listed without decoding the message", function()
        local q = codec:handle(5)
        assert.are.same({}, probe.handles(codec:encode("args", 1, { 2 }, "three")))
        assert.are.same({ 5, 6 }, probe.handles(codec:encode("args", 1, { q, q }, codec:handle(6))))
        local class = setmetatable({}, { __index = { queue = q } })
        assert.are.same({ 5 }, probe.handles(codec:encode("args", class)))
    end)

    it("are listed for all items of a stream", function()
        local items = { { n = 1, 1 }, { n = 1, { codec:handle(8) } }, { n = 1, "x" },
            { n = 2, codec:handle(9), codec:handle(10) } }
        local windows = codec:stream(40, items)
        assert.are.same({ 8, 9, 10 }, probe.stream_handles(windows, 4))
        assert.are.same({ 8 }, probe.stream_handles(windows, 3))
    end)
end)

describe("the metatable hooks", function()
    local Shape = { __mf_encode = function(shape) return "spec_shape", { shape.name } end }
    package.preload.spec_shape = function()
        return { __mf_decode = function(value)
            if value[1] == "bad" then
                error("no such shape")
            end
            return setmetatable({ name = value[1] .. "!" }, Shape)
        end }
    end

    it("send an object as its class says, once per message", function()
        local shape = setmetatable({ name = "disc" }, Shape)
        local a, b = through(shape, { shape })
        assert.are.equal("disc!", a.name)
        assert.are.equal(a, b[1])
    end)

    it("say why an object cannot be sent", function()
        local fixed = setmetatable({}, { __mf_encode = "a Pool stays in its process" })
        assert.are.equal("args[1].x: cannot send this: a Pool stays in its process",
            refusal { x = fixed })
        local failing = setmetatable({}, { __mf_encode = function() error("oh", 0) end })
        assert.are.equal("args[1]: cannot send this: oh", refusal(failing))
        local nameless = setmetatable({}, { __mf_encode = function() return 42, {} end })
        assert.matches("__mf_encode must give the name of a module", refusal(nameless))
        local cyclic = setmetatable({}, {
            __mf_encode = function(v) return "spec_shape", { v } end
        })
        assert.matches("refers to itself", refusal(cyclic))
    end)

    it("fail at the receiver with the error of its code", function()
        local bytes = codec:encode("args", setmetatable({ name = "bad" }, Shape))
        local value, code = codec:decode(bytes)
        assert.is_nil(value)
        assert.matches("no such shape", select(2, pcall(codec.raise, codec, code)))
        bytes = codec:encode("args", setmetatable({ name = "disc" }, Shape))
        package.loaded.spec_shape = "no table"
        value, code = codec:decode(bytes)
        package.loaded.spec_shape = nil
        assert.is_nil(value)
        assert.matches("whose module is no table", select(2, pcall(codec.raise, codec, code)))
    end)

    it("may use the codec themselves", function()
        local nested = setmetatable({}, { __mf_encode = function()
            return "spec_shape", { codec:encode("args", { { 1 }, { 2 } }) }
        end })
        local before = { {}, nested, {} }
        before[4] = before[1]
        local after = through(before)
        assert.are.equal(after[1], after[4])
        assert.are.same({ { 1 }, { 2 } }, codec:decode((after[2].name:gsub("!$", ""))))
    end)
end)

describe("a message that was damaged", function()
    local function damage(bytes)
        local place = math.random(#bytes)
        local dice = math.random(3)
        if dice == 1 then
            return bytes:sub(1, place - 1)
        elseif dice == 2 then
            local flipped = bytes:byte(place) ~ (1 << math.random(0, 7))
            return bytes:sub(1, place - 1) .. string.char(flipped) .. bytes:sub(place + 1)
        end
        return bytes:sub(1, place - 1) .. string.char(math.random(0, 255)) .. bytes:sub(place + 1)
    end

    it("is an error or another value, never a crash, and takes little memory", function()
        local generate = random_values(3, { classes = true })
        for _ = 1, 4000 do
            local list = generate()
            local bytes = codec:encode("args", { codec:handle(1) }, table.unpack(list, 1, list.n))
            for _ = 1, 10 do
                local damaged = damage(bytes)
                collectgarbage("stop")
                local before = collectgarbage("count")
                codec:decode_plain(damaged)
                local taken = (collectgarbage("count") - before) * 1024
                collectgarbage("restart")
                assert(taken <= 128 * #damaged + 65536, "took too much memory")
            end
        end
    end)

    it("is an error when it is random bytes", function()
        math.randomseed(4)
        for _ = 1, 20000 do
            local bytes = {}
            for i = 1, math.random(0, 60) do
                bytes[i] = string.char(math.random(0, 1) == 0 and math.random(0xB0, 0xFF)
                    or math.random(0, 255))
            end
            codec:decode_plain(table.concat(bytes))
        end
    end)

    it("cannot make the receiver believe in more than its bytes", function()
        local huge = "\xff\xff\xff\xff\xff\xff\xff\x7f"
        for tag = 0xB0, 0xFF do
            local before = collectgarbage("count")
            codec:decode_plain(string.char(tag) .. huge)
            codec:decode_plain(string.char(tag) .. huge .. "\32" .. huge)
            assert.is_true(collectgarbage("count") - before < 64)
        end
        local deep = string.rep("\xC2\1\0", 1000000)
        local value, code = codec:decode_plain(deep)
        assert.is_nil(value)
        assert.is_true(code < 0)
    end)

    it("is refused where functions are not allowed", function()
        assert.are.same({ nil, -5 }, { codec:decode_plain(codec:encode("args", function() end)) })
    end)
end)

describe("an item stream", function()
    local function items_of(list)
        local items = {}
        for i, v in ipairs(list) do
            items[i] = { n = 1, error = false, v }
        end
        return items
    end

    local mixed = items_of { 1, 2, 3, 70000, 4, 1 << 40, 5, 1.5, 2.5, true, false, true, "a", "b",
        string.rep("c", 300), { 1 }, { x = 2 }, 6, 7 }
    table.insert(mixed, 3, { n = 0, error = false })
    table.insert(mixed, 4, { n = 1, error = false, nil })
    table.insert(mixed, 5, { n = 1, error = false, nil })
    table.insert(mixed, 9, { n = 3, error = false, 1, nil, "x" })
    table.insert(mixed, 12, { n = 1, error = true, "failed" })

    it("gives back what was put, whatever the windows", function()
        for _, window in ipairs { 1, 9, 10, 13, 20, 50, 1000 } do
            local windows = codec:stream(window, mixed)
            assert.is_true(deep_equal(mixed, codec:unstream(windows, #mixed)))
        end
    end)

    it("gives the committed items of a writer that was killed at any of them", function()
        for window = 9, 400, 17 do
            for committed = 0, #mixed do
                local written = table.move(mixed, 1, math.min(committed + 1, #mixed), 1, {})
                local windows = codec:stream(window, written, true)
                windows[#windows] = windows[#windows] and windows[#windows] .. "\7garbage"
                assert.is_true(deep_equal(table.move(mixed, 1, committed, 1, {}),
                    codec:unstream(windows, committed)))
            end
        end
    end)

    it("skips items without decoding them", function()
        for _, window in ipairs { 9, 50, 1000 } do
            local windows = codec:stream(window, mixed)
            for skip = 0, #mixed do
                assert.is_true(deep_equal(table.move(mixed, skip + 1, #mixed, 1, {}),
                    codec:unstream(windows, #mixed, skip)))
            end
        end
    end)

    it("is an error, never a crash, when it was damaged", function()
        local bytes = codec:stream(10000, mixed)[1]
        for i = 1, #bytes do
            for _, byte in ipairs { 0, 1, 0x7f, 0xff, bytes:byte(i) ~ 1 } do
                codec:unstream({ bytes:sub(1, i - 1) .. string.char(byte) .. bytes:sub(i + 1) },
                    #mixed)
            end
            codec:unstream({ bytes:sub(1, i) }, #mixed)
        end
    end)

    it("says that there is no room, and keeps what was put before", function()
        for _, items in ipairs { mixed, items_of { 1, 70000, 1 << 40 }, items_of { 1, 2, "a" },
            items_of { 1.5, 2.5, 3.5 }, items_of { { 1 }, { 2 } }, items_of { "a", "b", "c" } } do
            for window = 5, 40, 7 do
                for most = 0, 12 do
                    items.most = most
                    local windows, code, kept, put = codec:stream(window, items)
                    items.most = nil
                    if code then
                        assert.equal(-32, code)
                        assert.is_true(put < #items)
                        assert.is_true(deep_equal(table.move(items, 1, put, 1, {}),
                            codec:unstream(kept, put)))
                    else
                        assert.is_true(deep_equal(items, codec:unstream(windows, #items)))
                    end
                end
            end
        end
    end)

    it("is an error when more is read or skipped than was put", function()
        local windows = codec:stream(50, mixed)
        assert.same({ nil, -1 }, { codec:unstream(windows, #mixed + 1) })
        assert.same({ nil, -1 }, { codec:unstream(windows, 3, 4) })
        assert.same({ nil, -1 }, { codec:unstream(windows, #mixed + 1, #mixed + 1) })
        assert.same({ nil, -1 }, { codec:unstream({}, 1) })
    end)

    it("is an error, never a crash, when it is skipped and was damaged", function()
        local bytes = codec:stream(10000, mixed)[1]
        for i = 1, #bytes do
            for _, byte in ipairs { 0, 1, 0x7f, 0xff, bytes:byte(i) ~ 1 } do
                local damaged = bytes:sub(1, i - 1) .. string.char(byte) .. bytes:sub(i + 1)
                codec:unstream({ damaged }, #mixed, #mixed)
                probe.stream_handles({ damaged }, #mixed)
            end
            codec:unstream({ bytes:sub(1, i) }, #mixed, #mixed)
        end
    end)

    it("names the item that cannot be sent", function()
        local ok, message = pcall(codec.stream, codec, 100,
            { { n = 1, 1 }, { n = 1, { f = coroutine.create(print) } } })
        assert.is_false(ok)
        assert.matches("^item%.f: cannot send a coroutine", message)
    end)

    it("packs numbers", function()
        assert.are.equal(200000 * 200001 // 2, codec:numbers(200000))
    end)
end)

describe("a message that is one string", function()
    it("can be written in two parts", function()
        for _, n in ipairs { 0, 31, 32, 300, 1 << 20 } do
            local head, text = probe.text(string.rep("x", n))
            assert.are.equal(string.rep("x", n), codec:decode(head .. text))
        end
    end)
end)
