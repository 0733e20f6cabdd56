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

describe("what waits for a pool", function()
    -- Leaves a callback behind that runs in the next call which waits: f.
    local function leave_callback(pool, f)
        local function one() return 1 end
        local ok, err = pcall(function()
            pool:apply_async(one, {}, { callback = function()
                pool:apply_async(one, {}, { callback = function() error "first" end }):wait()
                pool:apply_async(one, {}, { callback = f }):wait()
            end }):get()
        end)
        assert.is_false(ok)
        assert.matches("first", err)
    end

    -- A task that goes on until q has something.
    local function submit_long(pool, q)
        return pool:submit(function() return q:get() end)
    end

    it("goes on when a callback has waited for all there was", function()
        local pool = mp.Pool(1)
        local last
        leave_callback(pool, function() last:get() end)
        last = pool:submit(math.abs, -3)
        pool:close()
        assert.is_true(pool:join())
        assert.same({}, pool:pids())
        assert.equal(3, last:get())
    end)

    it("finds what a callback has brought, though other tasks go on", function()
        local pool <close> = mp.Pool(2)
        local q, short = mp.Queue(), nil
        leave_callback(pool, function() short:wait() end)
        local long = submit_long(pool, q)
        short = pool:submit(math.abs, -7)
        assert.equal(7, short:get(100))
        assert.same({ 1, 8 }, { (pool:imap(math.abs, { -8 })):next(100) })
        q:put "over"
        assert.equal("over", long:get())
    end)

    it("finds what came while its items were read, though other tasks go on", function()
        local pool <close> = mp.Pool(2)
        local q, n = mp.Queue(), 0
        local long, it = submit_long(pool, q), nil
        it = pool:imap(math.abs, function()
            n = n + 1
            if n == 1 then
                return -7
            end
            repeat
                pool:apply(math.abs, { 0 })
            until it.out[1]
        end)
        assert.same({ 1, 7 }, { it:next(100) })
        q:put "over"
        assert.equal("over", long:get())
    end)

    it("is not the code that reads a result", function()
        package.preload["spec.reentry_boxes"] = function()
            local Box = { before = function() end }
            Box.__index = Box
            Box.__mf_encode = function(box) return "spec.reentry_boxes", box.value end
            Box.__mf_decode = function(value)
                Box.before()
                return setmetatable({ value = value }, Box)
            end
            return Box
        end
        local pool <close> = mp.Pool(1)
        local refused = 0
        require "spec.reentry_boxes".before = function()
            local ok, err = pcall(pool.apply, pool, math.abs, { -1 })
            assert(not ok and err:find "a result of the pool is being read", err)
            refused = refused + 1
        end
        local boxes = pool:map(function(i)
            return setmetatable({ value = i }, require "spec.reentry_boxes")
        end, { 1, 2, 3, 4 }, { chunksize = 1 })
        for i = 1, 4 do
            assert.equal(i, boxes[i].value)
        end
        assert.equal(4, refused)
        require "spec.reentry_boxes".before = nil -- it holds the pool
    end)

    it("lets go of a call that was refused", function()
        local pool = mp.Pool(1)
        local kept = setmetatable({}, { __mode = "k" })
        do
            local upvalue = {}
            kept[upvalue] = true
            package.preload["spec.reentry_ends"] = function() return {} end
            local ends = setmetatable({}, { __mf_encode = function()
                pool:terminate()
                return "spec.reentry_ends", 1
            end })
            local ok = pcall(pool.apply_async, pool, math.abs, { ends },
                { callback = function() return upvalue end })
            assert.is_false(ok)
        end
        collectgarbage()
        collectgarbage()
        assert.is_nil(next(kept))
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
