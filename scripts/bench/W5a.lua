-- W5a: GiB a second through a queue, in strings of 1 MiB, of which 16 may be under way.
local measure = require "scripts.bench.measure"

measure.report(measure.stream(measure.size(200), function(q, n)
    local text = ("x"):rep(1 << 20)
    for _ = 1, n do
        q:put(text)
    end
end, 16) / 1024)
