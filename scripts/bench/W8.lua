-- W8: how many times as fast 2 workers count the solutions of the N queens as this process alone.
local measure = require "scripts.bench.measure"
local mp = require "moonfork"

local board = measure.scale < 1 and 8 or 14
local all = (1 << board) - 1

-- Ways to fill the rows that are left. The arguments are what the queens placed so far attack in
-- the next row: columns, and diagonals to the left and to the right.
local function count(columns, left, right)
    if columns == all then
        return 1
    end
    local n, free = 0, all & ~(columns | left | right)
    while free ~= 0 do
        local queen = free & -free
        free = free ~ queen
        n = n + count(columns | queen, (left | queen) << 1, (right | queen) >> 1)
    end
    return n
end

-- A task for each way to place the first two queens.
local tasks = {}
for i = 0, board - 1 do
    for j = 0, board - 1 do
        local a, b = 1 << i, 1 << j
        if math.abs(i - j) > 1 then
            tasks[#tasks + 1] = { a | b, (a << 1 | b) << 1, (a >> 1 | b) >> 1 }
        end
    end
end

local function total(counts)
    local n = 0
    for i = 1, #counts do
        n = n + counts[i]
    end
    return n
end

local pool <close> = measure.warm_pool(2)

measure.report(measure.repeated(function()
    local begin, counts = mp.time(), {}
    for i, task in ipairs(tasks) do
        counts[i] = count(table.unpack(task))
    end
    local middle = mp.time()
    local same = pool:starmap(count, tasks, { chunksize = 1 })
    local last = mp.time()
    assert(total(counts) == total(same) and total(same) == (board == 8 and 92 or 365596))
    return (middle - begin) / (last - middle)
end))
