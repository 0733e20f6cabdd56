-- pool:apply_async gives a Result at once for each call; callbacks run as the results come in.
local mp = require "moonfork"

local function calculate_square(n)
    mp.sleep(0.1 * (4 - n)) -- the first ones take longest
    return n * n
end

local pool <close> = mp.Pool(3)
local sum = 0
local results = {}
for n = 1, 3 do
    results[n] = pool:apply_async(calculate_square, { n }, {
        callback = function(square)
            sum = sum + square
        end,
    })
end
print "Three calls are under way."

for n, result in ipairs(results) do
    print(("The square of %d is %d"):format(n, result:get()))
end
print(("Callbacks have added them up to %d"):format(sum))
