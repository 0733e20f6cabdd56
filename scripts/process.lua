-- Two processes work at the same time: the whole takes as long as the longer one, 3 seconds.
local mp = require "moonfork"

local function worker_function(name, duration)
    local pid = mp.getpid()
    print(("Process %s (PID: %d) has started."):format(name, pid))
    mp.sleep(duration) -- stands for work
    print(("Process %s (PID: %d) has finished after %d seconds."):format(name, pid, duration))
end

print(("Main process (PID: %d) starting."):format(mp.getpid()))

local p1 = mp.Process { target = worker_function, args = { "Worker 1", 2 } }
local p2 = mp.Process { target = worker_function, args = { "Worker 2", 3 } }

print "Starting processes..."
p1:start()
p2:start()

print "Main process waiting for workers to finish..."
p1:join()
p2:join()

print "All processes have finished. Main process exiting."
