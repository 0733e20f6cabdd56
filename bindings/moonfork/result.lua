-- result.lua: Result, what map_async, starmap_async, apply_async and submit answer.
-- Part of the module; called once with the module's table and the table of internals.
local _, internal = ...

local Result = {}
Result.__index = Result
Result.__name = "moonfork.Result"
internal.Result = Result

--- A result of `n` items (nil: of one call, whose values are all kept).
function internal.new_result(pool, n, options, name)
   return setmetatable({
      pool = pool,
      single = n == nil,
      n = n or 1,
      out = {},
      entries = false, -- of its jobs, the last first: see new_entry in pool.lua
      pending = 0,
      failed = 0,
      first_error = false, -- in the order of the items, and its item
      first_index = false,
      complete = false, -- no more jobs will be added
      finished = false,
      collect = options.on_error == "collect",
      callback = options.callback,
      error_callback = options.error_callback,
      name = name,
   }, Result)
end

local function check(self, name)
   if getmetatable(self) ~= Result then
      internal.bad_argument(3, 0, name, "a Result expected, got " .. internal.type_of(self)
         .. "; call it as result:" .. name .. "()")
   end
   return self
end

--- True when nothing is to come any more.
function Result:ready()
   check(self, "ready")
   if not self.finished then
      self.pool:_turn(0)
   end
   return self.finished == true
end

--- True when it is ready and nothing failed; raises when it is not ready.
function Result:successful()
   check(self, "successful")
   if not self:ready() then
      error("the result is not ready: wait for it first", 2)
   end
   return self.failed == 0
end

--- Waits at most `timeout` seconds (nil: for ever). True when it is ready.
function Result:wait(timeout)
   check(self, "wait")
   local deadline = internal.deadline(timeout, 1, "wait")
   while not self.finished and self.pool:_turn(internal.left(deadline)) do -- luacheck: ignore
   end
   return self.finished == true
end

--- Waits, and gives the results: a list for map, the values for apply. Raises the error of the task
--- that failed first in the order of items, or kind "timeout".
function Result:get(timeout)
   check(self, "get")
   internal.deadline(timeout, 1, "get")
   if not self:wait(timeout) then
      local text = "the result was not ready after " .. tostring(timeout) .. " s"
      error(internal.error("timeout", text), 0)
   end
   if self.failed > 0 and not self.collect then
      error(self.first_error, 0)
   end
   if self.single then
      if self.failed > 0 then
         return self.first_error
      end
      return table.unpack(self.out, 1, self.out.n)
   end
   return self.out
end

--- Cancels what no worker has begun. True when nothing of it was begun.
function Result:cancel()
   check(self, "cancel")
   local any, all, entry = false, true, self.entries
   while entry do
      if not entry.settled then
         any = true
         all = self.pool.core:cancel(entry.job) and all
      end
      entry = entry.next
   end
   return any and all
end

function Result:__tostring()
   local state = not self.finished and "pending" or self.failed > 0 and "failed" or "ready"
   return string.format("Result (%s, %s)", self.name, state)
end

-- From here on for the pool. Memory may run out anywhere: what counts is changed last, by
-- assignments to fields that are there, and what was done before may be done again.

--- A job of this result was submitted.
function Result:_add(entry)
   entry.next = self.entries
   self.entries = entry
   self.pending = self.pending + 1
end

--- The entries of a result, the first first from now on.
function internal.in_order(result)
   local entry, before = result.entries, false
   while entry do
      entry.next, before, entry = before, entry, entry.next
   end
   result.entries = before
   return before
end

--- All has come; `failed` items failed. Lists the callback that is due.
local function finish(self, failed)
   if not self.single then
      for i = 1, self.n do
         if self.out[i] == nil then
            self.out.n = self.n
            break
         end
      end
   end
   local callback = self.callback
   if failed > 0 and not self.collect then
      callback = self.error_callback
   end
   if callback then
      self.pool:_later(callback, self)
   end
end

--- A job has come; `failed` of its items failed, `err` first.
local function count(self, entry, failed, err, index)
   local over = self.complete and self.pending == 1
   if over then
      finish(self, self.failed + failed)
   end
   if failed > 0 and (not self.first_index or index < self.first_index) then
      self.first_error, self.first_index = err, index
   end
   self.failed = self.failed + failed
   self.pending = self.pending - 1
   entry.settled = true
   self.finished = over
end

--- Fails the items of a job that has none of its own to show.
function Result:_lose(entry, err)
   local own
   for i = entry.last, entry.first, -1 do
      own = internal.error(err.kind, err.message)
      own.index = not self.single and i or nil
      own.traceback, own.pid = err.traceback, err.pid
      self.out[i] = own
   end
   count(self, entry, entry.last - entry.first + 1, own, entry.first)
end

local function settle_single(self, core, job, entry)
   local values = table.pack(core:take_values(job))
   if values[1] == nil then
      self:_lose(entry, self.pool:_why_not(values[2]))
   elseif values[1] then
      local out = { table.unpack(values, 2, values.n) }
      out.n = values.n - 1
      self.out = out
      count(self, entry, 0)
   else
      values[2].index = nil
      count(self, entry, 1, values[2], 1)
   end
end

--- Takes over what a finished job has brought.
function Result:_settle(core, job, entry)
   if self.single then
      settle_single(self, core, job, entry)
      return
   end
   local failed, err = core:take(job, self.out, entry.first)
   if failed then
      count(self, entry, failed, err, err and err.index)
   else
      self:_lose(entry, self.pool:_why_not(err))
   end
end

--- No more jobs will be added.
function Result:_seal()
   if self.pending == 0 then
      finish(self, self.failed)
      self.finished = true
   end
   self.complete = true
end

function Result:_call_back(callback)
   if self.failed > 0 and not self.collect then
      callback(self.first_error)
   elseif self.single then
      callback(table.unpack(self.out, 1, self.out.n))
   else
      callback(self.out)
   end
end
