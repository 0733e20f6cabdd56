-- pool:map_async does not wait: it gives a Result at once, to be looked at and fetched later.
local mp = require "moonfork"

local function calculate_square(n)
    mp.sleep(0.2) -- stands for work
    return n * n
end

local pool <close> = mp.Pool(4)
local result = pool:map_async(calculate_square, { 1, 2, 3, 4, 5, 6, 7, 8 })

print "The pool works; the main process goes on."
while not result:ready() do
    mp.sleep(0.05) -- stands for other work
end

print(("Successful: %s"):format(result:successful()))
print(("Results: [%s]"):format(table.concat(result:get(), ", ")))
