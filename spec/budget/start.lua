-- The instructions of a process that does nothing: its start, and its own life.

local count = require "spec.budget.count"
local mp = require "moonfork"

local function nothing() end

local function start()
    local process
    local here = count.of(function()
        process = mp.spawn(nothing)
    end)
    process:join()
    return here, count.of_child(process.pid)
end

count.report({ "start", "start, child" }, function()
    start() -- once to be warm
    local here, child = start()
    return { here - count.of(nothing), child }
end)
