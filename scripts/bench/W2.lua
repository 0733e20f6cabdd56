-- W2: integers a second through a queue, from a process to this one.
local measure = require "scripts.bench.measure"

measure.report(measure.stream(measure.size(100000), function(q, n)
    for i = 1, n do
        q:put(i)
    end
end))
