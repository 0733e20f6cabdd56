-- The instructions of one put and one get, of an integer and of a record, in one process.

local count = require "spec.budget.count"
local mp = require "moonfork"

local FEW, MANY = 200, 1000

local function put(q, value, n)
    for _ = 1, n do
        q:put(value)
    end
end

local function get(q, n)
    for _ = 1, n do
        q:get()
    end
end

local function traffic(value, n)
    local q <close> = mp.Queue()
    return count.of(put, q, value, n), count.of(get, q, n)
end

local function each(value)
    traffic(value, FEW) -- once to be warm
    local few_put, few_get = traffic(value, FEW)
    local many_put, many_get = traffic(value, MANY)
    return (many_put - few_put) / (MANY - FEW), (many_get - few_get) / (MANY - FEW)
end

count.report({ "put", "get", "encode", "decode" }, function()
    local record = { id = 1234, name = "record", tags = { "red", "green", "blue" }, score = 617.5 }
    local put_one, get_one = each(7)
    return { put_one, get_one, each(record) }
end)
