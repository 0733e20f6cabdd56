-- mp.Lock between processes.

local audit = require "spec.support.audit"
local mp = require "moonfork"

describe("a lock", function()
    audit.install(before_each, after_each)

    it("lets one process in at a time", function()
        local lock, box = mp.Lock(), mp.Queue()
        box:put(0)
        local workers = {}
        for i = 1, 4 do
            workers[i] = mp.spawn(function()
                for _ = 1, 500 do
                    local _ <close> = lock:guard()
                    box:put(box:get(0) + 1) -- the only message: nobody else may have it now
                end
            end)
        end
        for _, p in ipairs(workers) do
            p:get()
        end
        assert.equal(2000, box:get())
    end)

    it("does not wait for ever when asked not to", function()
        local lock = mp.Lock()
        assert.is_true(lock:acquire())
        local value, message, code = lock:acquire(0)
        assert.is_nil(value)
        assert.is_string(message)
        assert.equal("timeout", code)
        assert.equal("timeout", select(3, lock:acquire(0.01)))
        assert.equal("timeout", select(3, lock:guard(0)))
        lock:release()
        assert.same({ true, n = 1 }, table.pack(lock:acquire(0)))
        lock:release()
    end)

    it("is released by whoever has it, and only when it is held", function()
        local lock = mp.Lock()
        assert.has_error(function()
            lock:release()
        end, "release of a lock that nobody holds")
        lock:acquire()
        mp.spawn(function()
            lock:release()
        end):join()
        assert.is_true(lock:acquire(0))
        lock:release()
    end)

    it("is released by its guard, also when an error leaves the scope", function()
        local lock = mp.Lock()
        do
            local _ <close> = lock:guard()
            assert.equal("timeout", select(3, lock:acquire(0)))
        end
        assert.is_true(lock:acquire(0))
        lock:release()
        pcall(function()
            local _ <close> = lock:guard()
            error "out"
        end)
        assert.is_true(lock:acquire(0))
        lock:release()
    end)

    it("is released once by a guard that was released early", function()
        local lock = mp.Lock()
        do
            local g <close> = lock:guard()
            g:release()
            assert.is_true(lock:acquire(0))
            lock:release()
            g:release()
        end
        assert.is_true(lock:acquire(0))
        lock:release()
    end)

    it("passes on when its holder is killed, and the next is told (A5)", function()
        local lock, ready = mp.Lock(), mp.Queue()
        local p = mp.spawn(function()
            lock:acquire()
            ready:put(true)
            mp.sleep(1000)
        end)
        ready:get()
        p:kill()
        local ok, how = lock:acquire(10)
        assert.is_true(ok)
        assert.equal("abandoned", how)
        lock:release()
        assert.same({ true, n = 1 }, table.pack(lock:acquire(10)))
        lock:release()
        p:join()
    end)

    it("tells a guard too, and a process that waits already", function()
        local lock, ready, answer = mp.Lock(), mp.Queue(), mp.Queue()
        local holder = mp.spawn(function()
            lock:acquire()
            ready:put(true)
            mp.sleep(1000)
        end)
        ready:get()
        local waiter = mp.spawn(function()
            ready:put(true)
            local _ <close>, how = lock:guard()
            answer:put { how }
        end)
        ready:get()
        audit.eventually(function()
            return audit.state_of(waiter.pid) == "S"
        end)
        holder:kill()
        assert.same({ "abandoned" }, answer:get(10))
        waiter:join()
        holder:join()
    end)

    it("is free after its holder has ended in peace without a release", function()
        local lock = mp.Lock()
        mp.spawn(function()
            lock:acquire()
        end):join()
        assert.is_true(lock:acquire(10))
        lock:release()
    end)

    it("is the same value when it comes back, and shows what it is", function()
        local lock, box = mp.Lock(), mp.Queue()
        box:put(lock)
        assert.equal(lock, box:get())
        assert.matches("^moonfork.Lock: ", tostring(lock))
        assert.not_matches("held", tostring(lock))
        local _ <close> = lock:guard()
        assert.matches("held by this process", tostring(lock))
    end)

    it("names what is wrong with an argument", function()
        local lock = mp.Lock()
        assert.has_error(function()
            lock:acquire(true, 5)
        end)
        assert.matches("acquire%(0%)", select(2, pcall(lock.acquire, lock, false)))
        assert.matches("moonfork.Lock expected", select(2, pcall(lock.acquire, mp.Queue())))
        assert.has_error(function()
            mp.Lock(1)
        end)
    end)

    it("refuses what is no guard in a guard's place", function()
        local lock = mp.Lock()
        local g <close> = lock:guard()
        for _, other in ipairs { io.stdout, lock, {}, "g" } do
            local ok, message = pcall(function()
                g.release(other)
                return nil
            end)
            assert.is_false(ok)
            assert.matches("lock_spec.lua:%d+: .*moonfork.Guard expected", message)
        end
        assert.matches("moonfork.Guard expected, got no value", select(2, pcall(g.release)))
        assert.equal("timeout", select(3, lock:acquire(0)))
    end)

    it("keeps its guard at home", function()
        local lock, q = mp.Lock(), mp.Queue()
        local g <close> = lock:guard()
        assert.matches("guard stays", tostring(select(2, pcall(q.put, q, g))))
    end)
end)
