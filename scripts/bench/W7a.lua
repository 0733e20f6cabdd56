-- W7a: processes a second that do nothing, started and joined one after the other.
local measure = require "scripts.bench.measure"

measure.report(measure.starts(measure.size(50)))
