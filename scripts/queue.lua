-- A producer puts numbers into a queue, a consumer takes them out; the sentinel -1 ends it.
local mp = require "moonfork"

local function producer(queue)
    for _ = 1, 5 do
        local num = math.random(1, 100)
        print(("Producer: putting %d into the queue."):format(num))
        queue:put(num)
        mp.sleep(1) -- stands for work
    end
    print "Producer: finished. Sending sentinel value."
    queue:put(-1)
end

local function consumer(queue)
    while true do
        local num = queue:get() -- waits until there is one
        if num == -1 then
            print "Consumer: received sentinel. Exiting."
            break
        end
        print(("Consumer: got %d. Squaring it to get %d"):format(num, num * num))
        mp.sleep(0.5) -- stands for work
    end
end

local task_queue = mp.Queue()

local p1 = mp.Process { target = producer, args = { task_queue } }
local p2 = mp.Process { target = consumer, args = { task_queue } }
p1:start()
p2:start()

p1:join()
p2:join()
print "Main process finished."
