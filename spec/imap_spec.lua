-- imap and imap_unordered: what the iterators of a pool mean. The rest of it is in pool_spec.lua.

local audit = require "spec.support.audit"
local mp = require "moonfork"
local raised = require "spec.support.raised"

local function square(n)
    return n * n
end

audit.install(before_each, after_each)

-- Tests that hold for a pool of processes and for one that runs everything in this process.
for _, processes in ipairs { 0, 1, 2, 5 } do
    describe("imap on a pool of " .. processes, function()
        local pool

        before_each(function()
            pool = mp.Pool(processes)
        end)

        after_each(function()
            pool:terminate()
            pool = nil
        end)

        it("gives index and results in the order of the items", function()
            local n = 0
            for i, v, w in pool:imap(function(x)
                return nil, x
            end, { 5, 6, 7 }) do
                n = n + 1
                assert.equal(n, i)
                assert.is_nil(v)
                assert.equal(n + 4, w)
            end
            assert.equal(3, n)
        end)

        it("unordered gives each one once", function()
            local seen, n = {}, 0
            local items = {}
            for i = 1, 500 do
                items[i] = i
            end
            for i, v in pool:imap_unordered(square, items, { chunksize = 3 }) do
                assert.is_nil(seen[i])
                assert.equal(i * i, v)
                seen[i], n = true, n + 1
            end
            assert.equal(500, n)
        end)

        it("is lazy: it reads no further ahead than buffersize", function()
            local read, taken = 0, 0
            local function source()
                read = read + 1
                return read <= 100 and read or nil
            end
            for i in pool:imap(square, source, { buffersize = 5 }) do
                taken = taken + 1
                assert.equal(taken, i)
                assert.is_true(read <= taken + 5, read .. " read, taken " .. taken)
            end
            assert.equal(100, taken)
        end)

        it("ends with the loop: a break reads no more and closes the source", function()
            local read, closed = 0, false
            local function next_one()
                read = read + 1
                return read
            end
            local closing = setmetatable({}, {
                __close = function()
                    closed = true
                end,
            })
            for i in pool:imap(square, mp.iter(next_one, nil, nil, closing),
                { buffersize = 3 }) do
                if i == 10 then
                    break
                end
            end
            assert.is_true(closed)
            assert.is_true(read <= 13)
            local before = read
            assert.same({ 9 }, pool:map(square, { 3 }))
            assert.equal(before, read)
        end)

        it("raises at the failed item, and it:next() goes on behind it", function()
            local it = pool:imap(function(n)
                return n == 2 and error "second" or n
            end, { 1, 2, 3 })
            assert.equal(1, (it:next()))
            assert.equal(2, raised.object(it.next, it).index)
            assert.same({ 3, 3 }, { it:next() })
            assert.is_nil(it:next())
            assert.is_nil(it:next())
        end)

        it("collects errors when it is told", function()
            local kinds = {}
            for i, v in pool:imap(function(n)
                return n == 2 and error "second" or n
            end, { 1, 2, 3 }, { on_error = "collect" }) do
                kinds[i] = mp.is_error(v)
            end
            assert.same({ false, true, false }, kinds)
        end)

        it("does not start before its first item is asked for", function()
            local factor = 2
            local it = pool:imap(function(n)
                return n * factor
            end, { 1, 2 })
            factor = 5
            assert.same({ 1, 5 }, { it:next() })
            assert.same({ 2, 10 }, { it:next() })
        end)

        it("gives what comes before an item that cannot be sent, then its error", function()
            local n, seen = 0, {}
            local message = raised.message(function()
                for i, v in pool:imap(square, function()
                    n = n + 1
                    return n == 4 and coroutine.create(print) or n < 9 and n or nil
                end, { buffersize = 10 }) do
                    seen[i] = v
                end
            end)
            assert.matches("^items%[4%]%[1%]: cannot send a coroutine", message)
            assert.same({ 1, 4, 9 }, seen)
        end)

        it("gives what comes before it in its chunk, too", function()
            for at = 1, 7 do
                for _, chunksize in ipairs { 2, 3, 100 } do
                    local items = { 1, 2, 3, 4, 5, 6, 7 }
                    items[at] = coroutine.create(print)
                    local seen, it = {}, pool:imap(square, items, { chunksize = chunksize })
                    local message = raised.message(function()
                        for i, v in it do
                            seen[i] = v
                        end
                    end)
                    assert.matches("^items%[" .. at .. "%]: cannot send a coroutine", message)
                    assert.same({ table.unpack({ 1, 4, 9, 16, 25, 36 }, 1, at - 1) }, seen)
                    assert.is_nil(it:next())
                end
            end
        end)

        -- A source of n items, as a list and as a function.
        local function sources(n)
            local list, given = {}, 0
            for i = 1, n do
                list[i] = i
            end
            return { list, function()
                given = given + 1
                return given <= n and given or nil
            end }
        end

        -- Goes on to the end, of at most 100 calls: what came, and the errors that were raised.
        local function rest_of(it)
            local seen, errors = {}, {}
            for _ = 1, 100 do
                local got = table.pack(pcall(it.next, it))
                if not got[1] then
                    errors[#errors + 1] = got[2]
                elseif got[2] == nil then
                    return seen, errors
                else
                    seen[got[2]] = got[3]
                end
            end
            error "it does not end"
        end

        it("takes sizes of any number", function()
            for _, size in ipairs { 1 << 31, 1 << 32, 1 << 61, math.maxinteger } do
                for _, items in ipairs(sources(3)) do
                    local it = pool:imap(square, items, { chunksize = size })
                    assert.same({ { 1, 4, 9 }, {} }, { rest_of(it) })
                end
                for _, items in ipairs(sources(3)) do
                    local it = pool:imap(square, items, { buffersize = size, chunksize = size })
                    assert.same({ { 1, 4, 9 }, {} }, { rest_of(it) })
                end
                assert.same({ 1, 4 }, pool:map(square, { 1, 2 }, { chunksize = size }))
            end
        end)

        it("goes on after close(), to the end of its items", function()
            for _, items in ipairs(sources(30)) do
                local p <close> = mp.Pool(processes)
                local pids = p:pids()
                local begun = p:imap(square, items, { buffersize = 4 })
                local other = p:imap_unordered(square, { 1, 2, 3 }, { buffersize = 1 })
                assert.same({ 1, 1 }, { begun:next() })
                p:close()
                assert.matches("closed: no more tasks", raised.message(p.submit, p, square, 1))
                assert.matches("closed: no more tasks", raised.message(p.imap, p, square, { 1 }))
                assert.matches("closed", tostring(p))
                local seen, errors = rest_of(begun)
                for i = 2, 30 do
                    assert.equal(i * i, seen[i])
                end
                assert.same({}, errors)
                assert.same({ 1, 4, 9 }, (rest_of(other)))
                audit.eventually(function()
                    return not pids[1] or (audit.state_of(pids[1]) or "Z") == "Z"
                end)
            end
        end)

        it("gives what is under way after join(), then one error, then its end", function()
            for _, items in ipairs(sources(30)) do
                local p <close> = mp.Pool(processes)
                local it = p:imap(square, items, { buffersize = 4 })
                assert.same({ 1, 1 }, { it:next() })
                p:close()
                assert.is_true(p:join())
                local seen, errors = rest_of(it)
                assert.same({ nil, 4, 9, 16 }, seen)
                assert.equal(1, #errors)
                assert.equal("cancelled", errors[1].kind)
                assert.matches("^the pool was closed while imap still had items", errors[1].message)
            end
        end)

        it("gives no error after join() when all items are under way", function()
            local p <close> = mp.Pool(processes)
            local it = p:imap(square, { 1, 2, 3 }, { buffersize = 4 })
            assert.same({ 1, 1 }, { it:next() })
            assert.same({ 2, 4 }, { it:next() })
            p:close()
            assert.is_true(p:join())
            assert.same({ { nil, nil, 9 }, {} }, { rest_of(it) })
        end)

        it("ends after terminate() too", function()
            local it = pool:imap(square, { 1, 2, 3, 4, 5 }, { buffersize = 2 })
            assert.same({ 1, 1 }, { it:next() })
            pool:terminate()
            local _, errors = rest_of(it)
            assert.matches("^the pool was terminated while imap", errors[#errors].message)
            assert.is_nil(it:next())
        end)

        it("that was given up does not hold up the end of a pool", function()
            local it
            do
                local p <close> = mp.Pool(processes)
                it = p:imap(square, function()
                    return 1
                end)
                assert.same({ 1, 1 }, { it:next() })
            end
            assert.equal("cancelled", select(2, rest_of(it))[1].kind)
            local p <close> = mp.Pool(processes)
            for i in p:imap(square, function() return 1 end) do
                p:close()
                if i == 10 then
                    break
                end
            end
        end)

        it("may run several times at once", function()
            local a, b = pool:imap(square, { 1, 2, 3 }), pool:imap_unordered(square, { 4 })
            assert.same({ 1, 1 }, { a:next() })
            assert.same({ 1, 16 }, { b:next() })
            assert.same({ 4 }, pool:map(square, { 2 }))
            assert.same({ 2, 4 }, { a:next() })
            assert.is_nil(b:next())
            assert.same({ 3, 9 }, { a:next() })
        end)
    end)
end

describe("imap on a pool of processes", function()
    it("unordered gives results as they come", function()
        local gate = mp.Queue()
        local pool <close> = mp.Pool(2)
        local order = {}
        for i in pool:imap_unordered(function(n)
            return n == 1 and gate:get(10) or n
        end, { 1, 2, 3 }) do
            order[#order + 1] = i
            if #order == 2 then
                gate:put "open"
            end
        end
        assert.same({ 2, 3, 1 }, order)
    end)

    it("cancels the rest on break", function()
        local ran = mp.Queue()
        local pool <close> = mp.Pool(1)
        local gate = mp.Queue()
        for i in pool:imap(function(n)
            ran:put(n)
            return n == 2 and gate:get(10) or n
        end, { 1, 2, 3, 4, 5, 6 }) do
            assert.equal(i, ran:get(10))
            assert.equal(2, ran:get(10)) -- it is at work: all behind it still wait
            if i == 1 then
                break
            end
        end
        gate:put "open"
        pool:close()
        pool:join()
        assert.equal(0, ran:qsize())
    end)

    it("may be used in a coroutine", function()
        local pool <close> = mp.Pool(2)
        local results = {}
        local co = coroutine.wrap(function()
            for i, v in pool:imap(square, { 1, 2, 3 }) do
                coroutine.yield(i, v)
            end
        end)
        for i, v in co do
            results[i] = v
        end
        assert.same({ 1, 4, 9 }, results)
    end)
end)
