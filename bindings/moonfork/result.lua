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
      jobs = {},
      pending = 0,
      failed = 0,
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
   local all = next(self.jobs) ~= nil
   for job in pairs(self.jobs) do
      all = self.pool.core:cancel(job) and all
   end
   return all
end

function Result:__tostring()
   local state = not self.finished and "pending" or self.failed > 0 and "failed" or "ready"
   return string.format("Result (%s, %s)", self.name, state)
end

-- From here on for the pool.

--- A job of this result: items first .. first + count - 1.
function Result:_add(job, first)
   self.jobs[job] = first
   self.pending = self.pending + 1
end

local function note_error(self, err, index)
   self.failed = self.failed + 1
   if not self.first_index or index < self.first_index then
      self.first_error, self.first_index = err, index
   end
end

--- Fails the items of a job that has none of its own to show.
local function fail_all(self, first, count, err)
   for i = first, first + count - 1 do
      local own = internal.error(err.kind, err.message)
      own.index = not self.single and i or nil
      own.traceback, own.pid = err.traceback, err.pid
      self.out[i] = own
      note_error(self, own, i)
   end
end

function Result:_settle_single(job)
   local core = self.pool.core
   local values = table.pack(core:take_values(job))
   if values[1] == nil then
      fail_all(self, 1, 1, self.pool:_why_not(values[2]))
   elseif values[1] then
      self.out = { table.unpack(values, 2, values.n) }
      self.out.n = values.n - 1
   else
      values[2].index = nil
      note_error(self, values[2], 1)
   end
end

function Result:_settle_many(job, first)
   local failed, err = self.pool.core:take(job, self.out, first)
   if not failed then
      local last = self.lasts and self.lasts[job] or first
      fail_all(self, first, last - first + 1, self.pool:_why_not(err))
   elseif failed > 0 then
      self.failed = self.failed + failed - 1
      note_error(self, err, err.index)
   end
end

--- Takes over what a finished job has brought.
function Result:_settle(job)
   local first = self.jobs[job]
   self.jobs[job] = nil
   if self.single then
      self:_settle_single(job)
   else
      self:_settle_many(job, first)
   end
   self.pool.core:drop(job)
   self.pending = self.pending - 1
   if self.pending == 0 and self.complete then
      self:_finish()
   end
end

--- No more jobs will be added.
function Result:_seal()
   self.complete = true
   if self.pending == 0 then
      self:_finish()
   end
end

function Result:_finish()
   self.finished = true
   if not self.single then
      for i = 1, self.n do
         if self.out[i] == nil then
            self.out.n = self.n
            break
         end
      end
   end
   local callback = self.failed > 0 and not self.collect and self.error_callback or self.callback
   if self.failed > 0 and not self.collect and not self.error_callback then
      callback = nil
   end
   if callback then
      self.pool:_later(callback, self)
   end
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
