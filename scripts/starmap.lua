-- pool:starmap is map for functions of several arguments: each item is a list of them.
local mp = require "moonfork"

local function power(base, exponent)
    local result = 1
    for _ = 1, exponent do
        result = result * base
    end
    return result
end

local pool <close> = mp.Pool(4)
local results = pool:starmap(power, { { 2, 10 }, { 3, 4 }, { 5, 3 }, { 10, 6 } })
print(("Results: [%s]"):format(table.concat(results, ", ")))
