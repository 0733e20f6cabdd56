-- Calls: Fibonacci numbers by their definition. The argument is the benchmark's scale.
local function fib(n)
    return n < 2 and n or fib(n - 1) + fib(n - 2)
end

for _ = 1, math.max(1, 10 * arg[1]) do
    assert(fib(22) == 17711)
end
