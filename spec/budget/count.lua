-- What the programs of the budget share: the instructions that something costs, as callgrind counts
-- them. check.sh runs the programs, and tells in MF_FOLDER where callgrind writes.

local counter = require "counter"
local mp = require "moonfork"

local M = {}

local SEEDS = 8

local function read(name)
    local file <close> = assert(io.open(os.getenv "MF_FOLDER" .. "/" .. name))
    return tonumber(file:read "a":match "\nsummary: (%d+)")
end

-- From here on; a pool's worker can be told to.
M.begin = counter.zero

-- The instructions since then.
function M.finish()
    return read(("%d.%d"):format(mp.getpid(), counter.dump()))
end

-- The instructions of a child that has been joined, from the fork on.
function M.of_child(pid)
    return read(tostring(pid))
end

-- The instructions of work(...). Garbage is collected once, at its end: when the collector comes by
-- itself is chance.
function M.of(work, ...)
    collectgarbage()
    collectgarbage "stop"
    M.begin()
    work(...)
    collectgarbage()
    local count = M.finish()
    collectgarbage "restart"
    return count
end

-- Prints a line for each name: the mean of what measure() gives in its place, in states of
-- different hash seeds. Which keys of a table get in each other's way is luck, 2 % of a put, and
-- any change of the program may draw it anew.
function M.report(names, measure)
    local sums = {}
    for seed = 1, SEEDS do
        counter.seed(seed)
        -- So that the state which children have copies of is made anew.
        arg[1] = tostring(seed) -- luacheck: ignore 122
        local process <close> = mp.spawn(measure)
        for i, figure in ipairs(process:get()) do
            sums[i] = (sums[i] or 0) + figure
        end
    end
    for i, name in ipairs(names) do
        print(("%s\t%.1f"):format(name, sums[i] / SEEDS))
    end
end

return M
