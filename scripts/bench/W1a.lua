-- W1a: items a second that a warm pool of 2 maps with x*x, in chunks of its own choice.
local measure = require "scripts.bench.measure"

measure.report(measure.squares(measure.size(200000)))
