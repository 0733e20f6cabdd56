-- A4: a producer is killed in a put of 30 MB; another puts 1000 strings.
local mp = require "moonfork"

local q, begins = mp.Queue(), mp.Queue()

local function put_large()
    local text = ("x"):rep(30 << 20)
    begins:put(true)
    q:put(text)
end

local function put_strings()
    for i = 1, 1000 do
        q:put("string " .. i)
    end
end

local large = ("x"):rep(30 << 20)
for round = 0, 2 do -- killed a little later each time
    local victim, other = mp.spawn(put_large), mp.spawn(put_strings)
    begins:get()
    mp.sleep(round * 0.008)
    victim:kill()
    victim:join()
    other:join()
    local n = 0
    for _ = 1, q:qsize() do
        local text = q:get()
        if #text > 1000 then -- it was put before the kill: whole
            assert(text == large)
        else
            n = n + 1
            assert(text == "string " .. n)
        end
    end
    assert(n == 1000)
end
print "1000 arrived, nothing torn, 3 times"
