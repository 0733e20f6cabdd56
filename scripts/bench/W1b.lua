-- W1b: items a second that a warm pool of 2 maps with x*x, each in a message of its own.
local measure = require "scripts.bench.measure"

measure.report(measure.squares(measure.size(200000), 1))
