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
      out = { nil }, -- with room for one
      batch = false, -- of its jobs: see pool_core.h
      failed = 0,
      first_error = false, -- in the order of the items
      finished = false,
      cancelled = false, -- before anything of it was begun
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
   self.pool:_run_callbacks()
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
   self.pool:_run_callbacks()
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
      return table.unpack(self.out[1], 1, self.out[1].n)
   end
   return self.out
end

--- Cancels what no worker has begun. True when nothing of it was begun; else the rest is cancelled
--- all the same.
function Result:cancel()
   check(self, "cancel")
   if not self.finished then
      local any, all = self.pool.core:cancel(self.batch)
      self.cancelled = any and all
   end
   return self.cancelled
end

function Result:__tostring()
   local state = not self.finished and "pending" or self.failed > 0 and "failed" or "ready"
   return string.format("Result (%s, %s)", self.name, state)
end

--- For the pool: all has come, in `out`; `failed` items failed, the first with `err`. Memory may
--- run out here: what counts is changed last, and all may be done again.
function Result:_settled(failed, err)
   local callback = self.callback
   if failed > 0 and not self.collect then
      callback = self.error_callback
   end
   if callback then
      self.pool:_later(callback, self)
   end
   self.failed, self.first_error, self.finished = failed, err, true
end

function Result:_call_back(callback)
   if self.failed > 0 and (self.single or not self.collect) then
      callback(self.first_error)
   elseif self.single then
      callback(table.unpack(self.out[1], 1, self.out[1].n))
   else
      callback(self.out)
   end
end
