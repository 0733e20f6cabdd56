---@meta moonfork

-- What `require "moonfork"` gives, for editors (LuaCATS). A spec holds it against the module.
-- The reference with examples is bindings/README.md.
--
-- Timeouts are seconds and may be fractional; none waits for ever, 0 does not wait. What can happen
-- at run time on queues, pipes and locks comes back as nil, a message and a code; wrong arguments
-- and the failures of tasks are raised.

---@class moonfork
---@field version string
---@field Error table the class of error objects: see moonfork.Error
---@field debug moonfork.debug
local moonfork = {}

---@alias moonfork.code
---| "timeout"  # the time was up
---| "empty"    # nothing there, and no time to wait was given
---| "full"     # no room, and no time to wait was given
---| "closed"   # closed, and drained
---| "nomem"    # the family's memory is used up

-- Processes ---------------------------------------------------------------------------------------

---@class moonfork.ProcessOptions
---@field target function what to run in the child
---@field args? table its arguments; .n where there are holes
---@field name? string
---@field daemon? boolean ended, not joined, when this process ends
---@field stdin? boolean the child reads this process's stdin (it is /dev/null otherwise)
---@field keep_fds? integer[] file descriptors that stay open in the child
---@field seed? integer of the child's math.random; from the kernel's entropy otherwise
---@field start? "fork"|"zygote" who makes it; see set_start_method

---@class moonfork.Process
---@field name string can be set before the start
---@field daemon boolean can be set before the start
---@field pid integer? nil before the start
---@field exitcode integer? nil while it runs; the exit status, or minus the signal that killed it
local Process = {}

---Makes a process, which start() starts. Function, upvalues, used globals and arguments are copied
---at the start: globals that the function names, not what it reaches through _G or load; and the
---arguments apart from the function, so that no table is one in both.
---@param target function|moonfork.ProcessOptions all options, or the function
---@param args? table
---@param options? moonfork.ProcessOptions
---@return moonfork.Process
function moonfork.Process(target, args, options) end

---Starts f(...) in a process of its own.
---@param f function
---@param ... any
---@return moonfork.Process
function moonfork.spawn(f, ...) end

---@return moonfork.Process # itself
function Process:start() end

---Waits until the process has ended. Without a timeout it raises, kind "deadlock", when the process
---waits for what only this one could do.
---@param timeout? number
---@return boolean # has it ended?
function Process:join(timeout) end

---Waits for the end, and gives what the target returned. Raises the error that ended it, or of kind
---"timeout", "died", "exit", "unsendable", "deadlock".
---@param timeout? number
---@return any ...
function Process:get(timeout) end

---@return boolean
function Process:is_alive() end

---Sends SIGTERM, and SIGCONT so that a stopped process hears it.
function Process:terminate() end

---Sends SIGKILL.
function Process:kill() end

---Gives up what is kept of a process that has ended.
function Process:close() end

---The process that this runs in.
---@return moonfork.Process
function moonfork.current_process() end

---The children of this process that have not ended.
---@return moonfork.Process[]
function moonfork.active_children() end

-- Queues ------------------------------------------------------------------------------------------

---@class moonfork.Queue
local Queue = {}

---A queue for many producers and consumers, which can itself be sent.
---@param maxsize? integer|{ maxsize: integer } the most messages in it; no bound otherwise
---@return moonfork.Queue
function moonfork.Queue(maxsize) end

---Puts a copy of a value; waits while the queue is full. Raises when the queue is closed, or the
---value cannot be sent.
---@param value any
---@param timeout? number
---@return true? ok
---@return string? message
---@return moonfork.code? code
function Queue:put(value, timeout) end

---@param value any
---@return true? ok
---@return string? message
---@return moonfork.code? code
function Queue:put_nowait(value) end

---Takes the oldest message. The third result is nil exactly when a message was taken.
---@param timeout? number
---@return any value
---@return string? message
---@return moonfork.code? code
function Queue:get(timeout) end

---@return any value
---@return string? message
---@return moonfork.code? code
function Queue:get_nowait() end

---The messages, for a loop; ends when the queue is closed and drained, or at a nil message.
---@return fun(): any
---@return moonfork.Queue
function Queue:iter() end

---@return integer
function Queue:qsize() end

---@return boolean
function Queue:empty() end

---@return boolean
function Queue:full() end

---No more puts, in the whole family; gets go on until it is drained.
function Queue:close() end

---@return boolean
function Queue:is_closed() end

---put = got + queued + lost; lost ones were in the hands of a process that was killed.
---@return { put: integer, got: integer, queued: integer, lost: integer }
function Queue:stats() end

-- Pipes -------------------------------------------------------------------------------------------

---@class moonfork.Connection
local Connection = {}

---Two ends, each of which receives what the other sends.
---@param duplex? boolean|{ duplex: boolean } false: the first end receives, the second sends
---@return moonfork.Connection
---@return moonfork.Connection
function moonfork.Pipe(duplex) end

---Raises when the other end is closed.
---@param value any
---@return true? ok
---@return string? message
---@return moonfork.code? code
function Connection:send(value) end

---"closed" when all is received and nobody has the other end any more.
---@param timeout? number
---@return any value
---@return string? message
---@return moonfork.code? code
function Connection:recv(timeout) end

---Would recv(0) give something: a message, or the end? Does not wait when no timeout is given.
---@param timeout? number
---@return boolean
function Connection:poll(timeout) end

---Gives this process's copy of the end up.
function Connection:close() end

---@return boolean
function Connection:is_closed() end

-- Locks -------------------------------------------------------------------------------------------

---@class moonfork.Lock
local Lock = {}

---A lock for the processes of the family, which can be sent. Not recursive.
---@return moonfork.Lock
function moonfork.Lock() end

---@param timeout? number
---@return true? ok
---@return string? how "abandoned" when the last holder died holding it; or a message
---@return moonfork.code? code
function Lock:acquire(timeout) end

---Releases it, whoever has acquired it. Raises when nobody has.
function Lock:release() end

---Acquires it for a scope: local g <close> = lock:guard()
---@param timeout? number
---@return moonfork.Guard? guard
---@return string? how as acquire
---@return moonfork.code? code
function Lock:guard(timeout) end

---@class moonfork.Guard
local Guard = {}

---Releases the lock before the scope ends.
function Guard:release() end

-- Pools -------------------------------------------------------------------------------------------

---@class moonfork.PoolOptions
---@field processes? integer workers, 2047 at most; mp.cpu_count() otherwise; 0: all in this process
---@field initializer? function runs in each worker first
---@field initargs? table
---@field maxtasksperchild? integer a worker is replaced after so many tasks; a chunk is one task
---@field name? string of the workers
---@field start? "fork"|"zygote" who makes the workers; see set_start_method

---@class moonfork.CallOptions
---@field callback? fun(...) gets the results; with "collect" the error object of a call that failed
---@field error_callback? fun(err: moonfork.Error)
---@field timeout? number seconds that one item may take; it is killed then, and fails alone
---@field retries? integer how often a task is run again whose worker died
---@field on_error? "raise"|"collect" "collect": the error object stands in the result's place

---@class moonfork.MapOptions : moonfork.CallOptions
---@field chunksize? integer items of a task
---@field pack? boolean all results of each call, as a list, instead of the first

---@class moonfork.ImapOptions
---@field chunksize? integer
---@field buffersize? integer items that are read ahead
---@field timeout? number
---@field retries? integer
---@field on_error? "raise"|"collect"

---@alias moonfork.items any[]|fun(): ...

---@class moonfork.Pool
local Pool = {}

---@param processes? integer|moonfork.PoolOptions
---@param initializer? function
---@param initargs? table
---@param maxtasksperchild? integer
---@return moonfork.Pool
function moonfork.Pool(processes, initializer, initargs, maxtasksperchild) end

---The first results of f(item) for all items, in their order.
---@param f function
---@param items moonfork.items
---@param options? moonfork.MapOptions
---@return any[]
function Pool:map(f, items, options) end

---@param f function
---@param items moonfork.items
---@param options? moonfork.MapOptions
---@return moonfork.Result
function Pool:map_async(f, items, options) end

---As map; f gets the items of each list.
---@param f function
---@param lists any[][]
---@param options? moonfork.MapOptions
---@return any[]
function Pool:starmap(f, lists, options) end

---@param f function
---@param lists any[][]
---@param options? moonfork.MapOptions
---@return moonfork.Result
function Pool:starmap_async(f, lists, options) end

---One call; all its results.
---@param f function
---@param args? table .n where it has holes
---@param options? moonfork.CallOptions
---@return any ...
function Pool:apply(f, args, options) end

---@param f function
---@param args? table
---@param options? moonfork.CallOptions
---@return moonfork.Result
function Pool:apply_async(f, args, options) end

---The plain form of apply_async.
---@param f function
---@param ... any
---@return moonfork.Result
function Pool:submit(f, ...) end

---for i, v, ... in pool:imap(f, items) do: index and results, in the order of the items. Lazy.
---@param f function
---@param items moonfork.items
---@param options? moonfork.ImapOptions
---@return moonfork.Imap
function Pool:imap(f, items, options) end

---The same in the order in which they are ready.
---@param f function
---@param items moonfork.items
---@param options? moonfork.ImapOptions
---@return moonfork.Imap
function Pool:imap_unordered(f, items, options) end

---No more calls; what was submitted is done, then the workers end. The loop of an imap that was
---made before goes on to the end of its items. (An iterator that is dropped with items left, and
---not closed, keeps the workers until join() or the end of the pool's scope.)
function Pool:close() end

---Ends the workers at once; what is pending is cancelled.
function Pool:terminate() end

---Waits, after close() or terminate(), until the workers have ended. What iterators have not read
---by now they will not read: they end with an error, kind "cancelled".
---@param timeout? number
---@return boolean
function Pool:join(timeout) end

---The pids of the workers that are alive now.
---@return integer[]
function Pool:pids() end

---@class moonfork.Result
local Result = {}

---The results; raises the error of a task, or of kind "timeout".
---@param timeout? number
---@return any ...
function Result:get(timeout) end

---@param timeout? number
---@return boolean # is it ready?
function Result:wait(timeout) end

---@return boolean
function Result:ready() end

---Raises when it is not ready.
---@return boolean
function Result:successful() end

---Cancels what no worker has begun.
---@return boolean # nothing of it was begun
function Result:cancel() end

---@class moonfork.Imap
local Imap = {}

---@param timeout? number
---@return integer? index
---@return any ...
function Imap:next(timeout) end

---Stops reading the input, and cancels what has not begun.
function Imap:close() end

---pool:map on a pool that all such calls share.
---@param f function
---@param items moonfork.items
---@param options? moonfork.MapOptions
---@return any[]
function moonfork.map(f, items, options) end

---@class moonfork.Iter
local Iter = {}

---The values of a generic for-list as one function: mp.iter(pairs(t)), mp.iter(io.lines(path)).
---@param f function
---@param state? any
---@param control? any
---@param closing? any
---@return moonfork.Iter
function moonfork.iter(f, state, control, closing) end

function Iter:close() end

-- The rest ----------------------------------------------------------------------------------------

---@class moonfork.Error
---@field kind "error"|"died"|"timeout"|"cancelled"|"exit"|"limit"|"unsendable"|"broken"|"deadlock"
---@field message string
---@field traceback? string of the process where it happened
---@field value? any what was thrown
---@field index? integer of the item that failed
---@field input? any that item
---@field pid? integer
---@field signal? integer
---@field exitcode? integer

---@param value any
---@return boolean
function moonfork.is_error(value) end

---Sleeps; a signal lets Lua's hooks run.
---@param seconds number
function moonfork.sleep(seconds) end

---Seconds of a clock that only goes forward.
---@return number
function moonfork.time() end

---@return integer
function moonfork.getpid() end

---How processes and workers are made from now on. "fork": this process is copied, which takes
---longer the more memory it has; a zygote that was there is ended. "zygote": a small process makes
---them, which is forked at the first call, so call it at the beginning of the script, before it
---loads its data. Where the zygote cannot (it was killed; user, session or system call filter have
---changed), this process forks.
---@param method "fork"|"zygote"
---@param options? { preload: string[] } modules that the zygote requires before it makes children
function moonfork.set_start_method(method, options) end

---@return "fork"|"zygote"
function moonfork.get_start_method() end

---The processors that this process may use, by affinity and cgroup.
---@return integer
function moonfork.cpu_count() end

---@class moonfork.debug
local debug = {}

---Writes what each process of the family waits for, who holds which lock, and what is queued. Takes
---no lock, so that it serves when everybody hangs.
---@param file? file*|{ write: fun(self, text: string) } io.stderr otherwise
function debug.dump(file) end

---What the family has in use, for tests.
---@return { blocks: integer, objects: integer, slots: integer, late_wakes: integer }
function debug.counts() end

return moonfork
