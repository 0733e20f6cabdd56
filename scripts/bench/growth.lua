-- The arithmetic of bench.sh --scale: how something grows with the size, and whether that is well.
-- It runs nothing and prints nothing. A row is { size =, count =, seconds =, before =, peak =,
-- left =, limit = }: count items took the seconds; memory in bytes; limit, where there is one, is
-- the least seconds of an item.
--
-- The limits are generous: a figure may be twice what it is on an idle machine.

local M = {}

local steepest = 1.4     -- exponent that is still called linear; what is quadratic has 2
local steeper = 0.2      -- than the limit is not the machine's growth any more
local decades = { 2, 1 } -- the upper ones, in which it is fitted
local collapsed = 1 / 3  -- of the best throughput
local kept_part = 0.25   -- of the burst's memory that may stay,
local kept = 64 << 20    -- or as many bytes: allocators keep some, for the next time
local noise = 2 << 20    -- a use of less memory tells no growth

-- The slope of the line through the points { x, y } of the upper decades in log-log, by least
-- squares. Nil with fewer points than min above the floor, of which y is no more than noise.
local function slope(points, upper, min, floor)
    local largest = 0
    for _, p in ipairs(points) do
        largest = math.max(largest, p[1])
    end
    local n, x, y, xx, xy = 0, 0, 0, 0, 0
    for _, p in ipairs(points) do
        if p[1] * 10 ^ upper >= largest * 0.999 and p[2] > floor then
            local a, b = math.log(p[1]), math.log(p[2])
            n, x, y, xx, xy = n + 1, x + a, y + b, xx + a * a, xy + a * b
        end
    end
    if n >= min then
        return (n * xy - x * y) / (n * xx - x * x)
    end
end

-- The exponent of the growth, 1 is linear, 2 is quadratic: in the upper two decades, or in the
-- upper one, where it is less: a step where the caches end is no growth. Nil with too few points.
function M.exponent(points, floor)
    local wide = slope(points, decades[1], 3, floor or 0)
    return wide and math.min(wide, slope(points, decades[2], 2, floor or 0) or wide)
end

-- Seconds that grow with the size: of an item where the size is that of an item, else of all.
function M.seconds(series, row)
    return series.per_item and row.seconds / row.count or row.seconds
end

-- The same of the limit.
function M.limit_seconds(series, row)
    return series.per_item and row.limit or row.limit * row.count
end

-- Items a second; bytes where the size is in bytes.
function M.throughput(series, row)
    return row.count * (series.unit == "B" and row.size or 1) / row.seconds
end

-- Bytes that a burst has used at its peak, and of these what is left after it.
function M.used(row)
    return math.max(0, row.peak - row.before)
end

function M.left(row)
    return math.max(0, row.left - row.before)
end

local function column(rows, f)
    local points = {}
    for i, row in ipairs(rows) do
        points[i] = { row.size, f(row) }
    end
    return points
end

-- Nil without a slope. limit: the exponent of the limit, where there is one.
local function linear(what, exponent, limit)
    return exponent and { claim = "linear or better", what = what, exponent = exponent,
        limit = limit, holds = exponent <= math.max(steepest, (limit or 0) + steeper) }
end

local function comes_back(rows)
    local worst
    for _, row in ipairs(rows) do
        if not worst or M.left(row) > M.left(worst) then
            worst = row
        end
    end
    return M.left(worst) <= math.max(kept, kept_part * M.used(worst)), worst
end

-- What there is to say of a series: a list of { claim =, holds =, exponent = or part = or row = }.
function M.verdicts(series, rows)
    local list = {}
    if series.judged == "growth" then
        local time = M.exponent(column(rows, function(row) return M.seconds(series, row) end))
        local memory = M.exponent(column(rows, M.used), noise)
        local limit = series.limit and M.exponent(column(rows, function(row)
            return M.limit_seconds(series, row)
        end))
        list[1] = linear("time", time, limit)
        list[#list + 1] = linear("memory", memory)
    else
        local best, least = 0, math.huge
        for _, row in ipairs(rows) do
            best = math.max(best, M.throughput(series, row))
            least = math.min(least, M.throughput(series, row))
        end
        list[1] = { claim = "throughput holds", part = least / best,
            holds = least >= collapsed * best }
    end
    local holds, row = comes_back(rows)
    list[#list + 1] = { claim = "memory comes back", row = row, holds = holds }
    return list
end

return M
