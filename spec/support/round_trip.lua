-- round_trip(codec, count, seed): sends `count` random argument lists through the codec and
-- compares them with deep_equal. nil if all are the same; otherwise what differed. Run as a script,
-- with the folder of codec_probe.so, a count and a seed, it fails with that as its message: so
-- spec/mutants judges faults of the codec.

local deep_equal = require "spec.support.deep_equal"
local random_values = require "spec.support.random_values"

local function round_trip(codec, count, seed)
    local generate = random_values(seed, { functions = true, classes = true })
    for i = 1, count do
        local before = generate()
        local bytes = codec:encode("args", table.unpack(before, 1, before.n))
        local after = table.pack(codec:decode(bytes))
        local same, where = deep_equal(before, after)
        if not same then
            return string.format("list %d of seed %d: %s", i, seed, where)
        end
    end
end

if ... ~= "spec.support.round_trip" then
    local build, count, seed = ...
    package.cpath = build .. "/?.so;" .. package.cpath
    local failure = round_trip(require("codec_probe").new(1), tonumber(count), tonumber(seed))
    if failure then
        io.stderr:write(failure, "\n")
        os.exit(1)
    end
end

return round_trip
