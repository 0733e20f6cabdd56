-- What the programs of bench.sh --scale share. Each is called with its size, does a burst of work
-- of that size, some times over, and prints what that took, as JSON.

local family = require "scripts.bench.scale.family"
local figures = require "scripts.bench.figures"
local mp = require "moonfork"

local M = {}

M.size = math.tointeger(tonumber(arg[1])) or error "the first argument is the size"

local long, most = 0.3, 1000 -- seconds, and bursts, after which the median is good enough
local function ignore() end

local function memory()
    collectgarbage()
    collectgarbage()
    return family.memory(mp.getpid())
end

-- The memory when nothing more is given back. What was used lately stays for a second or two.
local function rest_of(before)
    local least, since = memory(), mp.time()
    while least - before > 8 << 20 and mp.time() - since < 2.5 do
        mp.sleep(0.1)
        local now = memory()
        if now < least then
            least, since = now, mp.time()
        end
    end
    return least
end

-- burst(look) does the work once, of `count` items, and calls look() when it has the most memory.
-- The first burst is for the memory and to be warm, the others for the time. finish(), if there is
-- one, ends what the burst has left for the next.
function M.report(count, burst, finish)
    local before = memory()
    local peak = family.peak(burst)
    local times, begin = {}, mp.time()
    repeat
        local start = mp.time()
        burst(ignore)
        times[#times + 1] = mp.time() - start
    until mp.time() - begin > long and #times >= 3 or mp.time() - begin > 5 or #times == most
    if finish then
        finish()
    end
    local left = rest_of(before)
    print(require "cjson".encode {
        count = count,
        seconds = figures.median(times),
        before = before,
        peak = math.max(peak, left), -- of what was seen
        left = left,
    })
end

-- n messages through a queue and back, in this process, as deep as they are many.
function M.fill_and_drain(q, n, value, look)
    for _ = 1, n do
        assert(q:put(value))
    end
    look()
    for _ = 1, n do
        q:get()
    end
end

return M
