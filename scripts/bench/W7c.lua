-- W7c: ms from nothing to the first answer of a pool of 8. The pool's end does not count.
local measure = require "scripts.bench.measure"
local mp = require "moonfork"

measure.report(1000 * measure.repeated(function()
    local begin = mp.time()
    local pool <close> = mp.Pool(8)
    pool:apply(math.abs, { 1 })
    return mp.time() - begin
end))
