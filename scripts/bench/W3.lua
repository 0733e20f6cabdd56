-- W3: integers a second through one queue, from two processes to two others.
local measure = require "scripts.bench.measure"
local mp = require "moonfork"

local half = measure.size(50000)
local q, done = mp.Queue(), mp.Queue()

local function produce(go)
    for _ in go:iter() do
        for i = 1, half do
            q:put(i)
        end
    end
end

local function consume(go)
    for _ in go:iter() do
        for _ = 1, half do
            q:get()
        end
        done:put(true)
    end
end

local gos = {}
local function start(f)
    gos[#gos + 1] = mp.Queue()
    return mp.spawn(f, gos[#gos])
end

local processes = { start(produce), start(consume), start(produce), start(consume) }
measure.report(2 * half / measure.repeated(function()
    for _, go in ipairs(gos) do
        go:put(true)
    end
    done:get()
    done:get()
end))
for _, go in ipairs(gos) do
    go:close()
end
for _, process in ipairs(processes) do
    process:join()
end
