-- Pools that are used from inside: by the code that runs while their items are sent, and by tasks
-- that run in the process of the pool's maker.

local audit = require "spec.support.audit"
local mp = require "moonfork"

audit.install(before_each, after_each)

-- A list of n items that are f(i), made when they are read.
local function list_of(n, f)
    return setmetatable({}, {
        __len = function() return n end,
        __index = function(_, i)
            return math.type(i) == "integer" and f(i) or nil
        end,
    })
end

local function size(text)
    return #text
end

describe("while the items of a call are read, the pool", function()
    it("takes other tasks, and keeps the two apart", function()
        local pool <close> = mp.Pool(1)
        local big, inner = ("x"):rep(5000), {}
        local outer = pool:map(size, list_of(40, function(i)
            if i % 7 == 0 then
                inner[#inner + 1] = pool:submit(size, ("y"):rep(200000))
            end
            return big .. i
        end), { chunksize = 40 })
        for i = 1, 40 do
            assert.equal(5000 + #tostring(i), outer[i])
        end
        assert.equal(5, #inner)
        for _, result in ipairs(inner) do
            assert.equal(200000, result:get())
        end
    end)

    it("takes more of them than it has room for at first", function()
        local pool <close> = mp.Pool(1)
        local inner = {}
        local outer = pool:map_async(math.abs, list_of(100, function(i)
            while i == 1 and #inner < 190 do
                inner[#inner + 1] = pool:submit(math.abs, -#inner)
            end
            return -i
        end), { chunksize = 1 })
        for i, result in ipairs(inner) do
            assert.equal(i - 1, result:get())
        end
        assert.equal(100, outer:get()[100])
    end)

    it("runs other tasks, and waits for them", function()
        local pool <close> = mp.Pool(1)
        assert.same({ 2, 3, 4 }, pool:map(math.abs, list_of(3, function(i)
            return pool:apply(math.abs, { -i }) + 1
        end)))
    end)

    it("goes on after an error of the one that reads", function()
        local pool <close> = mp.Pool(1)
        for _ = 1, 3 do
            local ok, err = pcall(pool.map, pool, math.abs, list_of(3, function(i)
                pool:submit(math.abs, i)
                return i < 3 and i or error "no third"
            end))
            assert.is_false(ok)
            assert.matches("no third", err)
        end
        assert.same({ 1, 2 }, pool:map(math.abs, { -1, 2 }))
    end)

    it("may be terminated, which fails the call", function()
        local pool = mp.Pool(1)
        local ok, err = pcall(pool.map, pool, math.abs, list_of(3, function(i)
            pool:terminate()
            return i
        end))
        assert.is_false(ok)
        assert.matches("a task cannot be submitted", tostring(err))
    end)
end)

describe("a pool without processes", function()
    -- The task is sent to itself, and finds these by their names.
    package.preload["spec.reentry_shared"] = function() return {} end

    it("may be terminated by its own task, which harms no memory", function()
        local shared = require "spec.reentry_shared"
        for bytes = 120, 700, 8 do
            local text = ("m"):rep(bytes)
            shared.pool, shared.q, shared.text = mp.Pool(0), mp.Queue(), text
            local result = shared.pool:submit(function()
                local here = require "spec.reentry_shared"
                here.pool:terminate()
                for _ = 1, 20 do
                    here.q:put(here.text)
                end
                return ("r"):rep(5000)
            end)
            local ok, err = pcall(result.get, result)
            assert.is_false(ok)
            assert.equal("cancelled", err.kind)
            for _ = 1, 20 do
                assert.equal(text, shared.q:get(0))
            end
            shared.pool, shared.q = nil, nil
        end
    end)

    it("may be used by its own task", function()
        local shared = require "spec.reentry_shared"
        local pool <close> = mp.Pool(0)
        shared.pool = pool
        assert.same({ 11, 12 }, pool:map(function(n)
            return require "spec.reentry_shared".pool:apply(math.abs, { -n }) + 10
        end, { 1, 2 }))
        shared.pool = nil
    end)
end)
