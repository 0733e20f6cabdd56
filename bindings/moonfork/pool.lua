-- pool.lua: Pool, as Lua sees it: argument forms, submitting, turning. The work is done in C
-- (pool_core.c). Called once with the module's table and the table of internals.
local mp, internal = ...

local Pool = {}
Pool.__index = Pool
Pool.__name = "moonfork.Pool"

local ALL, SPREAD = 2, 4 -- flags of a task: see task.h

local MOST_ITEMS = (1 << 31) - 1 -- of a chunk: what C takes
local MOST_ARGUMENTS = 200000 -- what Lua's stack holds with room to spare

local MAP_OPTIONS = {
   chunksize = "a positive integer",
   callback = "a function",
   error_callback = "a function",
   timeout = "a positive number of seconds",
   retries = "an integer from 0 on",
   on_error = "'raise' or 'collect'",
   pack = "a boolean",
}
local IMAP_OPTIONS = {
   chunksize = "a positive integer",
   buffersize = "a positive integer",
   timeout = "a positive number of seconds",
   retries = "an integer from 0 on",
   on_error = "'raise' or 'collect'",
}

local CHECKS = {
   ["a positive integer"] = function(v)
      return math.type(v) == "integer" and v > 0
   end,
   ["an integer from 0 on"] = function(v)
      return math.type(v) == "integer" and v >= 0
   end,
   ["a positive number of seconds"] = function(v)
      return type(v) == "number" and v > 0
   end,
   ["a function"] = internal.is_callable,
   ["a boolean"] = function(v)
      return type(v) == "boolean"
   end,
   ["'raise' or 'collect'"] = function(v)
      return v == "raise" or v == "collect"
   end,
   ["'fork' or 'zygote'"] = function(v)
      return v == "fork" or v == "zygote"
   end,
   ["a list"] = function(v)
      return type(v) == "table"
   end,
   ["a string without a zero byte"] = function(v)
      return type(v) == "string" and not v:find("\0", 1, true)
   end,
}

local NO_OPTIONS = {}

--- Checks an options table (argument n of name) against what is known. An error may end in a hint.
local function check_options(options, known, level, n, name, hint)
   if options == nil then
      return NO_OPTIONS
   end
   if type(options) ~= "table" then
      internal.bad_argument(level + 1, n, name,
         "options are a table, as in { chunksize = 10 }, got %s%s", internal.type_of(options),
         hint or "")
   end
   for key, value in pairs(options) do
      if not known[key] then
         internal.unknown_option(level + 1, n, name, key, known)
      end
      if not CHECKS[known[key]](value) then
         internal.bad_argument(level + 1, n, name, "option '%s' is %s, got %s", key, known[key],
            internal.shown(value))
      end
   end
   return options
end

local next_of_list = ipairs({})

--- Checks what follows the function in a call with items. In pool:map(f, pairs(t)) that is a whole
--- list of a generic `for`, whose second value would be taken for the options.
local function check_map_options(items, options, known, level, name)
   if items == next or items == next_of_list then
      internal.bad_argument(level + 1, 2, name,
         "what a generic for goes over is wrapped, as in mp.iter(pairs(t))")
   end
   local hint = internal.is_callable(items)
      and "; what a generic for goes over is wrapped, as in mp.iter(q:iter())"
   options = check_options(options, known, level + 1, 3, name, hint)
   return options
end

local function check_function(f, level, name)
   if not internal.is_callable(f) then
      internal.bad_argument(level + 1, 1, name, "a function expected, got " .. internal.type_of(f))
   end
end

-- Making one -------------------------------------------------------------------------------------

local COUNT = "an integer from 0 to " .. internal.core.most_processes

CHECKS[COUNT] = function(v)
   return math.type(v) == "integer" and v >= 0 and v <= internal.core.most_processes
end

local CONSTRUCTOR = {
   processes = COUNT,
   initializer = "a function",
   initargs = "a list",
   maxtasksperchild = "a positive integer",
   name = "a string without a zero byte",
   start = "'fork' or 'zygote'",
}

--- mp.Pool(processes, initializer, initargs, maxtasksperchild), or the same by name in one table.
function mp.Pool(processes, initializer, initargs, maxtasksperchild)
   local o = processes
   if type(processes) ~= "table" then
      o = { processes = processes, initializer = initializer, initargs = initargs,
         maxtasksperchild = maxtasksperchild }
   end
   check_options(o, CONSTRUCTOR, 2, 1, "Pool")
   local init
   if o.initializer then
      init = { o.initializer, table.unpack(o.initargs or {}, 1, (o.initargs or {}).n) }
   elseif o.initargs then
      internal.bad_argument(2, 1, "Pool", "initargs without an initializer")
   end
   if init and o.processes == 0 then
      init[1](table.unpack(o.initargs or {}, 1, (o.initargs or {}).n))
   end
   local core, message, code = internal.core.new({
      processes = o.processes or mp.cpu_count(),
      max_tasks = o.maxtasksperchild or 0,
      initializer = init,
      name = o.name or "PoolWorker",
      start = o.start,
   })
   if not core then
      error(internal.error(code, "the pool's workers cannot be started: " .. message), 0)
   end
   return setmetatable({
      core = core,
      workers = o.processes or mp.cpu_count(),
      callbacks = {},
      calling = false,
      closed = false,
      reading = setmetatable({}, { __mode = "k" }), -- iterators that have input left
   }, Pool)
end

-- Submitting -------------------------------------------------------------------------------------

local function check_self(self, level, name)
   if getmetatable(self) ~= Pool then
      internal.bad_argument(level + 1, 0, name, "a Pool expected, got " .. internal.type_of(self)
         .. "; call it as pool:" .. name .. "(...)")
   end
end

--- The core's state and pending jobs; but closed from close() on, though iterators go on.
local function state_of(self)
   local state, pending, why = self.core:state()
   return state == "open" and self.closed and "closed" or state, pending, why
end

local function check_open(self, level)
   local state, _, why = state_of(self)
   if state == "open" then
      return
   elseif state == "broken" then
      error(why, 0)
   end
   error("the pool is " .. state .. ": no more tasks can be submitted", level + 1)
end

local function map_async(self, f, items, options, spread, level, name)
   check_self(self, level + 1, name)
   check_function(f, level + 1, name)
   options = check_map_options(items, options, MAP_OPTIONS, level + 1, name)
   check_open(self, level + 1)
   local list, n, is_spread = internal.as_list(items, spread, level + 1, name)
   local result = internal.new_result(self, n, options, name)
   if n == 0 then
      result:_settled(0)
      return result
   end
   local flags = (options.pack and ALL or 0) + (is_spread and SPREAD or 0)
   local size = options.chunksize or math.max(1, n // (16 * math.max(1, self.workers)))
   result.batch = self.core:submit(result, result.out, self.core:capture(f), flags,
      options.retries or 0, options.timeout or 0, list, 1, n, 1, size)
   return result
end

-- No tail calls here: errors of arguments are told by levels of the stack.

function Pool:map_async(f, items, options)
   local result = map_async(self, f, items, options, false, 2, "map_async")
   return result
end

function Pool:starmap_async(f, lists, options)
   local result = map_async(self, f, lists, options, true, 2, "starmap_async")
   return result
end

function Pool:map(f, items, options)
   return map_async(self, f, items, options, false, 2, "map"):get()
end

function Pool:starmap(f, lists, options)
   return map_async(self, f, lists, options, true, 2, "starmap"):get()
end

--- One call; args is a packed list.
local function call_async(self, f, args, options, level, name)
   check_self(self, level + 1, name)
   check_function(f, level + 1, name)
   check_open(self, level + 1)
   local n = args.n or #args
   if n > MOST_ARGUMENTS then
      internal.bad_argument(level + 1, 2, name,
         "%d arguments are too many: put them into a table", n)
   end
   local result = internal.new_result(self, nil, options, name)
   result.batch = self.core:submit_values(result, result.out, self.core:capture(f), ALL,
      options.retries or 0, options.timeout or 0, table.unpack(args, 1, n))
   return result
end

local APPLY_OPTIONS = {}
for _, key in ipairs({ "callback", "error_callback", "timeout", "retries", "on_error" }) do
   APPLY_OPTIONS[key] = MAP_OPTIONS[key]
end

local function apply_async(self, f, args, options, name)
   if args ~= nil and type(args) ~= "table" then
      internal.bad_argument(3, 2, name,
         "the arguments are a list, as in pool:%s(f, { %s }), got %s", name, internal.shown(args),
         internal.type_of(args))
   end
   options = check_options(options, APPLY_OPTIONS, 3, 3, name)
   local result = call_async(self, f, args or {}, options, 3, name)
   return result
end

function Pool:apply_async(f, args, options)
   local result = apply_async(self, f, args, options, "apply_async")
   return result
end

function Pool:apply(f, args, options)
   return apply_async(self, f, args, options, "apply"):get()
end

function Pool:submit(f, ...)
   local result = call_async(self, f, table.pack(...), {}, 2, "submit")
   return result
end

local function imap(self, f, items, options, ordered, name)
   check_self(self, 3, name)
   check_function(f, 3, name)
   options = check_map_options(items, options, IMAP_OPTIONS, 3, name)
   check_open(self, 3)
   local size = math.min(options.chunksize or 1, MOST_ITEMS)
   local chunks, spread = internal.as_chunks(items, size, false, 3, name)
   local ahead = options.buffersize or 4 * size * math.max(1, self.workers)
   options = setmetatable({ buffersize = ahead }, { __index = options })
   local it = internal.new_imap(self, f, chunks, ALL + (spread and SPREAD or 0), options,
      ordered)
   it.items = items
   self:_reads(it, true)
   return it, nil, nil, it
end

--- for i, v, ... in pool:imap(f, items, options): results in the order of the items, as they come.
function Pool:imap(f, items, options)
   local it, _, _, closing = imap(self, f, items, options, true, "imap")
   return it, nil, nil, closing
end

--- for i, v, ... in pool:imap_unordered(f, items, options): in the order in which they are ready.
function Pool:imap_unordered(f, items, options)
   local it, _, _, closing = imap(self, f, items, options, false, "imap_unordered")
   return it, nil, nil, closing
end

-- Turning ----------------------------------------------------------------------------------------

function Pool:_later(callback, result)
   self.callbacks[#self.callbacks + 1] = { callback, result }
end

--- Runs what callbacks have come due; not from inside another. An error in one leaves those behind
--- it to the next call that waits on the pool, which begins with this: before it looks at what it
--- waits for, as they may do so too.
function Pool:_run_callbacks()
   if self.calling or not self.callbacks[1] then
      return
   end
   local guard <close> = setmetatable({}, { -- luacheck: ignore
      __close = function()
         self.calling = false
      end,
   })
   self.calling = true
   while self.callbacks[1] do
      local due = table.remove(self.callbacks, 1)
      due[2]:_call_back(due[1])
   end
end

--- Hands one batch that is ready to its owner, waiting at most `timeout` seconds for it. False
--- after a timeout, or when nothing is pending. True also when code that ran meanwhile (a hook)
--- has handed one over: what the caller waits for may be there. When this raises the batch is
--- ready still.
function Pool:_turn(timeout)
   local owner, failed, err, first, last = self.core:poll(timeout)
   if not owner then
      return err ~= "timeout" and err ~= "empty"
   end
   owner:_settled(failed, err, first, last)
   self.core:drop()
   self:_run_callbacks()
   return true
end

-- Ending -----------------------------------------------------------------------------------------

--- No more calls; what was submitted is done, what iterators have still to read too, then the
--- workers end.
function Pool:close()
   check_self(self, 2, "close")
   self.closed = true
   if not next(self.reading) then
      self.core:close()
   end
end

--- For imap: is there more that the iterator has to read?
function Pool:_reads(it, more)
   self.reading[it] = more or nil
   if self.closed and not more then
      self:close()
   end
end

--- Ends the workers at once; what is pending is cancelled.
function Pool:terminate()
   check_self(self, 2, "terminate")
   self.core:terminate()
   while self:_turn(0) do -- luacheck: ignore
   end
end

--- Waits until all is done and the workers have ended. True, or false after `timeout` seconds.
function Pool:join(timeout)
   check_self(self, 2, "join")
   if state_of(self) == "open" then
      error("the pool is open: close() or terminate() it before join()", 2)
   end
   local deadline = internal.deadline(timeout, 1, "join")
   self:_run_callbacks()
   self.core:close() -- what iterators have not read by now would have no end
   repeat
      local _, pending = self.core:state()
      if pending > 0 and not self:_turn(internal.left(deadline)) then
         return false
      end
   until pending == 0
   while self:_turn(0) do -- luacheck: ignore
   end
   return self.core:join(internal.left(deadline)) == true
end

--- `local pool <close>`: finishes the work on a normal leave, terminates on an error.
function Pool:__close(err)
   if err ~= nil then
      self:terminate()
   else
      self:close()
      self:join()
   end
end

function Pool:__tostring()
   local state, pending = state_of(self)
   return string.format("Pool (%d processes, %s, %d pending)", self.workers, state, pending)
end

--- The pids of the workers that are alive now.
function Pool:pids()
   check_self(self, 2, "pids")
   return self.core:pids()
end

Pool.__mf_encode = "a Pool stays in the process that made it"

-- The default pool -------------------------------------------------------------------------------

local default

--- mp.map(f, items, options): pool:map on a pool that all such calls share.
function mp.map(f, items, options)
   if not default or state_of(default) ~= "open" then
      default = mp.Pool()
   end
   return map_async(default, f, items, options, false, 2, "map"):get()
end

mp.iter = internal.iter
