-- The arithmetic of the benchmark: medians, ratios, goals, and what has changed since another run.
-- It runs nothing and prints nothing; bench.lua and report.lua use it.
--
-- The `runs` of a workload are lists of figures, one of each a round, under the suffixes of their
-- programs: { lua = { … }, py = { … }, c = { … } }.

local M = {}

function M.median(list)
    local sorted = table.move(list, 1, #list, 1, {})
    table.sort(sorted)
    local middle = #sorted // 2
    if #sorted % 2 == 1 then
        return sorted[middle + 1]
    end
    return (sorted[middle] + sorted[middle + 1]) / 2
end

-- The least and the largest as parts of the median; nil when that tells nothing.
function M.spread(list)
    local median = M.median(list)
    if #list > 1 and median ~= 0 then
        return math.min(table.unpack(list)) / median, math.max(table.unpack(list)) / median
    end
end

-- How many times as good ours is as theirs: the median of the rounds, as two figures of one round
-- were measured side by side. Nil where one of them is 0.
local function ratio(workload, ours, theirs)
    local ratios = {}
    for i = 1, #ours do
        local a, b = ours[i], theirs[i]
        if workload.better == "lower" then
            a, b = b, a
        end
        if b == 0 then
            return nil
        end
        ratios[i] = a / b
    end
    return M.median(ratios)
end

local function against(workload, runs, suffix)
    local theirs = runs[suffix]
    return theirs and {
        suffix = suffix,
        median = M.median(theirs),
        ratio = ratio(workload, runs.lua, theirs),
    }
end

local function is_better(workload, a, b)
    if workload.better == "higher" then
        return a > b
    end
    return a < b
end

-- nil where a part of a limit is asked for that was not measured.
local function meets_goal(workload, median, limit)
    local enough = not is_better(workload, workload.goal, median)
    if enough and workload.goal_of_limit then
        if not (limit and limit.ratio) then
            return nil
        end
        return limit.ratio >= workload.goal_of_limit
    end
    return enough
end

-- What a row of the table tells: moonfork's `median`, `low` and `high` (parts of the median);
-- `peer`, the best of those that ran, and `limit`, each with `median` and `ratio`; and whether the
-- goal is `met`. What was not measured is nil.
function M.summary(workload, runs)
    local row = { median = M.median(runs.lua), limit = against(workload, runs, "c") }
    row.low, row.high = M.spread(runs.lua)
    for _, suffix in ipairs(workload.peers) do
        local peer = against(workload, runs, suffix)
        if peer and not (row.peer and is_better(workload, row.peer.median, peer.median)) then
            row.peer = peer
        end
    end
    row.met = meets_goal(workload, row.median, row.limit)
    return row
end

-- By how much of the old median the new one differs, and whether that is for the worse.
local function change(workload, old, new)
    local before, after = M.median(old), M.median(new)
    if before == after then
        return 0, false
    end
    local part = before == 0 and math.huge or math.abs(after - before) / before
    return part, is_better(workload, before, after)
end

local function width(list)
    local low, high = M.spread(list)
    return low and high - low or 0
end

-- What differs between two results by more than the spread of either: a list of { workload =,
-- part =, worse =, width =, old =, new =, beside = }. `beside` tells what happened to the limit, or
-- to a peer where there is none: { suffix =, part =, worse = }. If that has changed as well, it was
-- the machine.
function M.compare(workloads, old, new)
    local changes = {}
    for _, workload in ipairs(workloads) do
        local before, after = old.workloads[workload.id], new.workloads[workload.id]
        if before and after then
            local part, worse = change(workload, before.lua, after.lua)
            local widest = math.max(width(before.lua), width(after.lua))
            if part > widest then
                local row = { workload = workload, part = part, worse = worse, width = widest }
                row.old, row.new = M.median(before.lua), M.median(after.lua)
                for _, suffix in ipairs { "c", table.unpack(workload.peers) } do
                    if not row.beside and before[suffix] and after[suffix] then
                        row.beside = { suffix = suffix }
                        row.beside.part, row.beside.worse =
                            change(workload, before[suffix], after[suffix])
                    end
                end
                changes[#changes + 1] = row
            end
        end
    end
    return changes
end

return M
