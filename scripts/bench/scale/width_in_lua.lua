-- The seconds of an entry of width.lua without moonfork: Lua makes the strings of n keys anew, out
-- of one string, and a table of them, in one process.
local figures = require "scripts.bench.figures"

local n = math.tointeger(tonumber(arg[1])) or error "the first argument is the size"
local keys, ends, last = {}, {}, 0
for i = 1, n do
    keys[i] = "key " .. i
    last = last + #keys[i]
    ends[i] = last
end
local text = table.concat(keys)
keys = nil -- luacheck: ignore (the strings shall be gone)
collectgarbage()

local function make()
    local made, first = {}, 1
    for i = 1, n do
        made[text:sub(first, ends[i])] = i
        first = ends[i] + 1
    end
    return made
end

local long = 0.3 -- as in burst.lua
assert(make()["key " .. n] == n)
local times, begin = {}, os.clock()
repeat
    local start = os.clock()
    make()
    times[#times + 1] = os.clock() - start
until os.clock() - begin > long and #times >= 3
print(("%.17g"):format(figures.median(times) / n))
