-- Work for the processor takes about half the time with two processes, if there are two processors.
local mp = require "moonfork"

local STEP, STEPS = 5000, 120

local function count_primes(first)
    local count = 0
    for n = math.max(first, 2), first + STEP - 1 do
        local is_prime = true
        for divisor = 2, math.floor(math.sqrt(n)) do
            if n % divisor == 0 then
                is_prime = false
                break
            end
        end
        count = count + (is_prime and 1 or 0)
    end
    return count
end

local function sum_and_time(processes)
    local firsts, sum, begin = {}, 0, mp.time()
    for i = 1, STEPS do
        firsts[i] = (i - 1) * STEP
    end
    local pool <close> = mp.Pool(processes)
    for _, count in ipairs(pool:map(count_primes, firsts)) do
        sum = sum + count
    end
    return sum, mp.time() - begin
end

local sum1, time1 = sum_and_time(1)
local sum2, time2 = sum_and_time(2)
print(("1 process:   %d primes below %d in %.2f s"):format(sum1, STEPS * STEP, time1))
print(("2 processes: %d primes below %d in %.2f s"):format(sum2, STEPS * STEP, time2))
print(("2 processes are %.2f times as fast"):format(time1 / time2))
