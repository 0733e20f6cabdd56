-- items.lua: what a pool's map takes its inputs from: a list, or a function that gives them.
-- Part of the module; called once with the module's table and the table of internals.
local _, internal = ...

local Iter = {}
Iter.__index = Iter
Iter.__name = "moonfork.Iter"

--- The next values of the wrapped for-list, or nothing at its end (which closes it).
function Iter:__call()
   if self.over then
      return
   end
   return self:_step(self.f(self.state, self.control))
end

function Iter:_step(first, ...)
   if first == nil then
      self:close()
      return
   end
   self.control = first
   return first, ...
end

function Iter:close()
   local closing = self.closing
   self.over, self.closing = true, nil
   if closing ~= nil then
      local value <close> = closing -- luacheck: ignore
   end
end

Iter.__close = Iter.close

--- mp.iter(pairs(t)): makes the four values of a generic `for` into one function.
function internal.iter(f, state, control, closing)
   if not internal.is_callable(f) then
      internal.bad_argument(2, 1, "iter",
         "an iterator function expected, as in mp.iter(pairs(t)), got %s", internal.type_of(f))
   end
   return setmetatable({ f = f, state = state, control = control, closing = closing }, Iter)
end

--- The number of items of a list: .n where the table has it (holes are items then), or #.
local function length(list, level, name)
   local n = list.n
   if math.type(n) == "integer" and n >= 0 then
      return n
   end
   n = #list
   if n == 0 and next(list) ~= nil then
      internal.bad_argument(level + 1, 2, name, "the table has no list part: a list expected, or "
         .. "mp.iter(pairs(t)) to go over keys and values")
   end
   return n
end

--- Items as a list: list, its length, spread. With spread each item is a list of arguments.
function internal.as_list(items, spread, level, name)
   if internal.is_callable(items) then
      local list, n = {}, 0
      local guard <close> = getmetatable(items) == Iter and items or nil -- luacheck: ignore
      repeat
         local values = table.pack(items())
         if values[1] ~= nil then
            n = n + 1
            list[n] = values
         end
      until values[1] == nil
      return list, n, true
   end
   if type(items) ~= "table" then
      internal.bad_argument(level + 1, 2, name,
         "a list of items expected, or a function that gives them, got %s", internal.type_of(items))
   end
   return items, length(items, level + 1, name), spread
end

--- Items as a function that gives chunk after chunk: (list, first, count), or nil at the end.
function internal.as_chunks(items, size, spread, level, name)
   if not internal.is_callable(items) then
      local list, n = internal.as_list(items, spread, level + 1, name)
      local first = 1 - size
      return function()
         first = first + size
         if first <= n then
            return list, first, math.min(size, n - first + 1)
         end
      end, spread
   end
   local over = false
   return function()
      local chunk, n = {}, 0
      while n < size and not over do
         local values = table.pack(items())
         if values[1] == nil then
            over = true
         else
            n = n + 1
            chunk[n] = values
         end
      end
      if n > 0 then
         return chunk, 1, n
      end
   end, true
end

--- Ends a source early: a `break` out of a loop.
function internal.close_items(items)
   if getmetatable(items) == Iter and not items.over then
      items:close()
   end
end
