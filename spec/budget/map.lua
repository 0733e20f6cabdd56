-- The instructions of an item of a map, in the process that made the pool and in its worker.

local count = require "spec.budget.count"
local mp = require "moonfork"

local FEW, MANY = 1000, 6000

local function square(x)
    return x * x
end

local function integers(n)
    local list = {}
    for i = 1, n do
        list[i] = i
    end
    return list
end

local function map(pool, items)
    pool:apply(count.begin)
    local here = count.of(function()
        pool:map(square, items)
    end)
    return here, pool:apply(count.finish)
end

count.report({ "map", "map, worker" }, function()
    local pool <close> = mp.Pool(1)
    local few, many = integers(FEW), integers(MANY)
    map(pool, few) -- once to be warm
    local few_here, few_there = map(pool, few)
    local many_here, many_there = map(pool, many)
    return { (many_here - few_here) / (MANY - FEW), (many_there - few_there) / (MANY - FEW) }
end)
