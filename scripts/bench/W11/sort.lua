-- Tables: random numbers, sorted with a comparison. The argument is the benchmark's scale.
math.randomseed(1)
local list = {}
for i = 1, math.max(10, 40000 * arg[1]) do
    list[i] = math.random(1000000)
end
table.sort(list, function(a, b)
    return a > b
end)
assert(list[1] >= list[#list])
