-- W7b: as W7a, in a process that has 100 MiB of strings.
local measure = require "scripts.bench.measure"
local mp = require "moonfork"

mp.set_start_method("zygote")
local strings = {}
for i = 1, measure.size(100 * 1024) do
    strings[i] = ("%08d"):format(i):rep(128)
end
measure.report(measure.starts(measure.size(10)))
assert(#strings[#strings] == 1024)
