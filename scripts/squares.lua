-- A pool of 4 processes squares ten numbers, half a second each: 1.5 seconds in all, not 5.
local mp = require "moonfork"

local function calculate_square(n)
    mp.sleep(0.5) -- stands for work
    local result = n * n
    print(("Calculated square of %d = %d"):format(n, result))
    return result
end

local numbers = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }

print "Using a Pool of 4 processes..."
do
    local pool <close> = mp.Pool(4)
    local results = pool:map(calculate_square, numbers)
    print(("\nFinal results from pool:map: [%s]"):format(table.concat(results, ", ")))
end
print "Main process finished."
