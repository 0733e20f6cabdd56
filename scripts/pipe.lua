-- A pipe joins two processes: what one end sends, the other receives, in both directions.
local mp = require "moonfork"

local function square_server(connection)
    local request = connection:recv()
    while request do -- nil when the other end is closed
        connection:send({ number = request, square = request * request })
        request = connection:recv()
    end
    print "Child: the other end is closed. Exiting."
end

local ours, theirs = mp.Pipe()
local child = mp.Process { target = square_server, args = { theirs } }
child:start()

for n = 1, 3 do
    ours:send(n)
    local answer = ours:recv()
    print(("Parent: the square of %d is %d"):format(answer.number, answer.square))
end
ours:close()
child:join()
print(("Parent: the child's exit code is %d"):format(child.exitcode))
