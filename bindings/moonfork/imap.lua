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
      list = false, -- the next chunk, once it was read: a list, its first item, how many
      first = false,
      count = false,
      over = false, -- no more is to be read
      wrong = false, -- why an item could not be submitted: raised after the results before it
      closed = false,
      code = false,
      items = false,
   }, Imap)
end

--- No more is to be read. `wrong` is raised after the results of what is under way.
local function stop(self, wrong)
   self.over, self.list, self.wrong = true, false, wrong or false
   self.pool:_reads(self, false)
end

--- Submits the chunk that was read. True, or false and why not.
local function submit(self)
   local core, options = self.pool.core, self.options
   self.code = self.code or core:capture(self.f)
   return pcall(core.submit, core, self, self.out, self.code, self.flags, options.retries or 0,
      options.timeout or 0, self.list, self.first, self.count, self.given + 1, self.count)
end

--- Why the pool takes nothing any more, or nil while it does.
local function refusal(pool)
   local state, _, why = pool.core:state()
   if state ~= "open" then
      return why or internal.error("cancelled", "the pool was " .. state
         .. " while imap still had items: let its loop end before join() or terminate()")
   end
end

--- How many items of the chunk come before the one that cannot be sent; nil for other errors.
local function count_before(self, err)
   local at = type(err) == "string" and err:match("^items%[(%d+)%]")
   return at and tonumber(at) - self.given - 1
end

--- Submits the chunk that was read; of one with an item that cannot be sent what comes before that.
local function submit_chunk(self)
   local ok, err = submit(self)
   local before = not ok and count_before(self, err)
   if ok then
      self.given, self.list = self.given + self.count, false
      if self.wrong then
         stop(self, self.wrong)
      end
   elseif before and before > 0 then
      self.count, self.wrong = before, err -- the next step submits these
   elseif before then
      stop(self, err)
   else
      -- Ctrl-C, say, is for now, and the next call submits the chunk again.
      stop(self, internal.is_error(err) and refusal(self.pool) or error(err, 0))
   end
end

--- Submits until `ahead` items are under way, or the source is at its end.
local function feed(self)
   while not self.over and self.given - self.taken < self.ahead do
      if not self.list then
         self.list, self.first, self.count = self.chunks()
      end
      if not self.list then
         stop(self)
         break
      end
      submit_chunk(self)
   end
end

--- For the pool: items have come, in `out`. As in result.lua, what counts is changed last.
function Imap:_settled(_, _, first, last)
   local n = self.arrivals
   if not self.ordered then
      for i = first, last do
         n = n + 1
         self.arrived[n] = i
      end
   end
   self.arrivals = n
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
   self.pool:_run_callbacks()
   while true do
      local index = next_index(self)
      if not index then
         feed(self)
         index = next_index(self) -- the source may have waited on the pool
      end
      if index then
         return deliver(self, index)
      end
      if self.taken == self.given and self.over then
         local wrong = self.wrong
         self.wrong = false
         self:close()
         if wrong then
            error(wrong, 0)
         end
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
   self.closed = true
   stop(self)
   internal.close_items(self.items)
   self.pool.core:cancel_of(self)
end

Imap.__close = Imap.close
