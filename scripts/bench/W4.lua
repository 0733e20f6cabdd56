-- W4: records a second through a queue. Each is made, sent, and received as a table of its own.
local measure = require "scripts.bench.measure"

measure.report(measure.stream(measure.size(50000), function(q, n)
    for i = 1, n do
        q:put { id = i, name = "record", tags = { "red", "green", "blue" }, score = i / 2 }
    end
end))
