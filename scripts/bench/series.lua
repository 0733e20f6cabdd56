-- What bench.sh --scale measures: the one place to change. The program of a series is
-- scale/NAME.lua, called with a size.
--
--   name, what     what the tables and plots are called
--   axis           what a size counts, as the label of the plots' axis
--   unit           "B" for sizes in bytes; nil for plain numbers
--   item           what a burst consists of
--   judged         "growth": time and memory of a burst, or of one item where the size is that of
--                  an item, grow with the size or slower; "throughput": it does not collapse
--   per_item       whether the size is that of an item
--   limit          "C" or "Lua": a program in it, scale/NAME.c or scale/NAME_in_lua.lua, does what
--                  there is to do for an item at the least: where that grows faster than the size,
--                  moonfork may as well
--   sizes, quick   those that are measured, and those of --quick
--   arena, heap    bytes that a size needs at the most: in the arena of the family, besides

local function decades(first, last)
    local list, n = {}, first
    while n <= last do
        list[#list + 1] = n
        n = n * 10
    end
    return list
end

local KiB, MiB = 1 << 10, 1 << 20

return {
    {
        name = "messages", what = "strings through a queue, from process to process",
        axis = "bytes of a message", unit = "B", item = "message", per_item = true,
        judged = "growth", limit = "C",
        sizes = { 8, 64, 512, 4 * KiB, 32 * KiB, 256 * KiB, 2 * MiB, 16 * MiB, 128 * MiB,
            512 * MiB },
        quick = { 8, 4 * KiB, MiB },
        arena = function(n) return 64 * MiB + 3 * n end,
        heap = function(n) return 64 * MiB + 3 * n end,
    },
    {
        name = "depth", what = "integers in a queue at a time",
        axis = "messages in the queue", item = "message", judged = "growth",
        sizes = decades(10, 1e7), quick = decades(10, 1000),
        arena = function(n) return 65 * n end,
    },
    {
        name = "records", what = "strings of 200 bytes in a queue at a time",
        axis = "messages in the queue", item = "message", judged = "growth",
        sizes = decades(10, 1e6), quick = decades(10, 1000),
        arena = function(n) return 400 * n end,
    },
    {
        name = "backlog", what = "strings of 60 KiB, put, half of them got, put again, and got",
        axis = "messages in the queue", item = "message", judged = "growth",
        sizes = { 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000 }, quick = decades(10, 100),
        arena = function(n) return 64 * KiB * n end,
    },
    {
        name = "tasks", what = "integers that a pool of 2 squares",
        axis = "tasks", item = "task", judged = "growth",
        sizes = decades(10, 1e7), quick = decades(10, 1000),
        arena = function(n) return 64 * MiB + 100 * n end,
        heap = function(n) return 64 * MiB + 100 * n end,
    },
    {
        name = "workers", what = "200,000 integers that a pool squares",
        axis = "workers", item = "task", judged = "throughput",
        sizes = { 1, 2, 4, 8, 16, 32, 64 }, quick = { 1, 2, 4 },
    },
    {
        name = "processes", what = "processes that are started, alive together, and joined",
        axis = "processes", item = "process", judged = "growth",
        sizes = { 1, 3, 10, 30, 100, 300, 1000 }, quick = { 1, 3, 10 },
        heap = function(n) return 400 * KiB * n end,
    },
    {
        name = "nesting", what = "a table in a table through a queue",
        axis = "depth of the table", item = "level", judged = "growth",
        sizes = decades(1, 1e5), quick = decades(1, 100),
        arena = function(n) return 100 * n end,
        heap = function(n) return 500 * n end,
    },
    {
        name = "width", what = "a table with strings as keys through a queue",
        axis = "entries of the table", item = "entry", judged = "growth", limit = "Lua",
        sizes = decades(1, 1e6), quick = decades(1, 1000),
        arena = function(n) return 100 * n end,
        heap = function(n) return 500 * n end,
    },
}
