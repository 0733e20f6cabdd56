-- imap.lua: the lazy maps: imap (in order) and imap_unordered, as loops and as objects.
-- Part of the module; called once with the module's table and the table of internals.
local _, internal = ...

local Imap = {}
Imap.__index = Imap
Imap.__name = "moonfork.Imap"

--- chunks gives the inputs; at most `ahead` items are under way or waiting to be fetched.
function internal.new_imap(pool, f, chunks, flags, options, ordered)
   return setmetatable({
      pool = pool,
      f = f,
      chunks = chunks,
      flags = flags,
      options = options,
      ordered = ordered,
      ahead = options.buffersize,
      collect = options.on_error == "collect",
      out = {}, -- by index: what came and was not fetched
      arrived = {}, -- unordered: indices in the order of arrival
      arrivals = 0, -- how many of them there were
      given = 0, -- items submitted
      taken = 0, -- items fetched
      jobs = {},
      lasts = {},
   }, Imap)
end

--- Submits until `ahead` items are under way, or the source is at its end.
local function feed(self)
   while not self.over and self.given - self.taken < self.ahead do
      local list, first, count = self.chunks()
      if not list then
         self.over = true
         break
      end
      local index = self.given + 1
      self.code = self.code or self.pool.core:capture(self.f)
      local job = self.pool:_submit(self, self.code, self.options, self.flags, list, first, count)
      self.jobs[job] = index
      self.lasts[job] = index + count - 1
      self.given = self.given + count
   end
end

--- For the pool: a job has finished.
function Imap:_settle(job)
   local first, last = self.jobs[job], self.lasts[job]
   local core = self.pool.core
   self.jobs[job], self.lasts[job] = nil, nil
   local failed, why = core:take(job, self.out, first)
   for i = first, last do
      if not failed then
         local err = self.pool:_why_not(why)
         self.out[i] = internal.error(err.kind, err.message)
         self.out[i].index = i
      end
      if not self.ordered then
         self.arrivals = self.arrivals + 1
         self.arrived[self.arrivals] = i
      end
   end
   core:drop(job)
end

local function next_index(self)
   if self.ordered then
      return self.out[self.taken + 1] ~= nil and self.taken + 1 or nil
   end
   return self.arrived[self.taken + 1]
end

local function deliver(self, index)
   local value = self.out[index]
   self.out[index] = nil
   self.taken = self.taken + 1
   if not self.ordered then
      self.arrived[self.taken] = nil
   end
   if not internal.is_error(value) then
      return index, table.unpack(value, 1, value.n)
   end
   if self.collect then
      return index, value
   end
   error(value, 0)
end

--- The next index and values; nothing at the end. Waits at most `timeout` seconds (nil: for ever)
--- and raises kind "timeout". Raises the error of an item that failed; the next call goes on.
function Imap:next(timeout)
   local deadline = internal.deadline(timeout, 1, "next")
   while true do
      local index = next_index(self)
      if index then
         return deliver(self, index)
      end
      feed(self)
      if self.taken == self.given and self.over then
         self:close()
         return
      end
      if not self.pool:_turn(internal.left(deadline)) and not next_index(self) then
         error(internal.error("timeout", "no result after " .. tostring(timeout) .. " s"), 0)
      end
   end
end

function Imap:__call()
   return self:next()
end

--- Stops reading the input, and cancels what has not begun.
function Imap:close()
   if self.closed then
      return
   end
   self.closed, self.over = true, true
   internal.close_items(self.items)
   for job in pairs(self.jobs) do
      self.pool.core:cancel(job)
   end
end

Imap.__close = Imap.close
