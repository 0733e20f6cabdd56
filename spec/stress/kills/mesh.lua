-- mesh.lua SEED: a script that uses moonfork from Lua as a job does, while outside.lua kills its
-- processes. It ends by itself, prints "fine" if all came out as promised, and raises otherwise.

local mp = require "moonfork"
package.path = "./?.lua;" .. package.path
local audit = require "spec.support.audit"

local ROUNDS, ITEMS, MESSAGES, RETRIES = 6, 120, 60, 100

math.randomseed(math.tointeger(tonumber(arg[1])))

-- --- tasks ---------------------------------------------------------------------------------------

local lock, inside, notes = mp.Lock(), mp.Queue(), mp.Queue()

-- One process at a time; what a dead one has left is cleared by who is told so.
local function enter_and_leave()
    local _, how = assert(lock:acquire(20))
    while how == "abandoned" and inside:get_nowait() do
    end
    assert(inside:qsize() == 0, "two are inside the lock")
    inside:put(mp.getpid())
    inside:get(20)
    lock:release()
end

local function task(n)
    notes:put { n, ("."):rep(n * 31 % 2000) }
    if n % 3 == 0 then
        enter_and_leave()
    end
    notes:get_nowait()
    return n * n, ("*"):rep(n * 97 % 3000)
end

local function nested(n)
    local pool <close> = mp.Pool(2)
    local sum = 0
    local function twice(k)
        return 2 * k
    end
    for _, v in pool:imap_unordered(twice, { 1, 2, 3, n }, { retries = RETRIES }) do
        sum = sum + v
    end
    return sum
end

local function items()
    local list = {}
    for i = 1, ITEMS do
        list[i] = math.random(1000)
    end
    return list
end

local function check_map(pool)
    local list = items()
    local options = { retries = RETRIES, pack = true, chunksize = math.random(10) }
    local results = pool:map(task, list, options)
    assert(#results == ITEMS, "a map gives " .. #results .. " results")
    for i, n in ipairs(list) do
        assert(results[i][1] == n * n and #results[i][2] == n * 97 % 3000, "another's result")
    end
end

local function check_imap(pool)
    local list, came = items(), 0
    local seen = {}
    for i, square, text in pool:imap_unordered(task, list, { retries = RETRIES }) do
        assert(not seen[i], "a result came twice")
        assert(square == list[i] ^ 2 and #text == list[i] * 97 % 3000, "another's result")
        seen[i], came = true, came + 1
    end
    assert(came == ITEMS, "imap_unordered gave " .. came .. " results")
end

local function check_nested(pool)
    local results = {}
    for n = 1, 4 do
        results[n] = pool:apply_async(nested, { n }, { retries = RETRIES })
    end
    for n = 1, 4 do
        assert(results[n]:get(60) == 2 * (6 + n), "a nested pool's sum is wrong")
    end
end

-- --- messages ------------------------------------------------------------------------------------

local box, told = mp.Queue(8), mp.Queue()

local function produce(id)
    for n = 1, MESSAGES do
        box:put { id = id, n = n, text = ("%d "):format(n):rep(n * 7 % 500) }
    end
end

-- Takes messages away, and tells which.
local function carry()
    for m in box:iter() do
        told:put { id = m.id, n = m.n, whole = m.text == ("%d "):format(m.n):rep(m.n * 7 % 500) }
    end
end

-- Starts them again when they have been killed; counts the deaths.
local crew = { produce = {}, carry = {}, deaths = { produce = 0, carry = 0 }, ids = 0 }

function crew:start(kind, f, n)
    for i = 1, n do
        self.ids = self.ids + 1
        self[kind][i] = self[kind][i] or mp.spawn(f, self.ids)
    end
end

function crew:look(kind, f)
    local alive = 0
    for i, p in pairs(self[kind]) do
        if not p:join(0) then
            alive = alive + 1
        else
            assert(p.exitcode == 0 or p.exitcode == -9, kind .. " ended with " .. p.exitcode)
            self[kind][i] = nil
            self.deaths[kind] = self.deaths[kind] + (p.exitcode == -9 and 1 or 0)
            if p.exitcode == -9 and f then
                self.ids = self.ids + 1
                self[kind][i] = mp.spawn(f, self.ids)
                alive = alive + 1
            end
        end
    end
    return alive
end

local history = { last = {}, count = 0 }

-- Two carriers may tell in another order than they took: only once is what holds of them.
function history:hear(m)
    local key = m.id << 32 | m.n
    assert(m.whole, "a message is torn")
    assert(not self[key], "a message came twice")
    self[key], self.count = true, self.count + 1
end

-- What this process takes itself comes in the order of its producer.
function history:take(m)
    assert(m.n > (self.last[m.id] or 0), "a message came too late")
    self.last[m.id] = m.n
    m.whole = m.text == ("%d "):format(m.n):rep(m.n * 7 % 500)
    self:hear(m)
end

local function check_messages()
    crew:start("produce", produce, 2)
    crew:start("carry", carry, 2)
    local last = mp.time() + 60
    while crew:look "produce" > 0 do
        crew:look("carry", carry)
        for _ = 1, 20 do
            local m = box:get(0.001)
            if m then
                history:take(m)
            end
        end
        assert(mp.time() < last, "the producers do not come to an end")
    end
end

local function finish_messages()
    box:close()
    for m in box:iter() do
        history:take(m)
    end
    while crew:look "carry" > 0 do
        mp.sleep(0.002)
    end
    local m = told:get_nowait()
    while m do
        history:hear(m)
        m = told:get_nowait()
    end
    local stats = box:stats()
    local missing = stats.put - history.count
    assert(stats.queued == 0 and stats.put == stats.got + stats.lost, "the counts do not agree")
    assert(missing >= 0 and missing <= crew.deaths.carry, missing .. " messages are missing, "
        .. crew.deaths.carry .. " carriers died")
    assert(stats.lost <= missing, "more are counted lost than are missing")
    return missing
end

-- --- the whole -----------------------------------------------------------------------------------

local function run()
    local pool <close> = mp.Pool { processes = 3, maxtasksperchild = 20 }
    for _ = 1, ROUNDS do
        check_map(pool)
        check_messages()
        check_imap(pool)
        check_nested(pool)
    end
end

do -- what is made once and stays
    local pool <close> = mp.Pool(1)
    pool:map(nested, { 1 }, { retries = RETRIES })
    mp.spawn(math.random):join()
end
local before = audit.snapshot()
before.late_wakes = math.huge -- who is killed between a commit and its wake makes one
run()
local missing = finish_messages()
crew, box, told = nil, nil, nil
while notes:get_nowait() do
end
local leak
local last = mp.time() + 10
repeat -- the children of a killed child are settled a little later
    leak = audit.compare(before, audit.snapshot())
until not leak or mp.time() > last
assert(not leak, leak)
print(("fine: %d messages, %d lost with who had them"):format(history.count, missing))
