-- common.lua: what the Lua parts of the module share: errors of arguments, deadlines.
-- Part of the module; called once with the module's table and the table of internals.
local mp, internal = ...

internal.is_error = mp.is_error

function internal.type_of(value)
   local meta = getmetatable(value)
   local name = type(meta) == "table" and rawget(meta, "__name")
   return type(name) == "string" and name or type(value)
end

--- A value as it would be written, short.
function internal.shown(value)
   if type(value) == "string" then
      return string.format("%q", #value > 40 and value:sub(1, 40) .. "..." or value)
   end
   return type(value) == "table" and "a table" or tostring(value)
end

function internal.is_callable(value)
   if type(value) == "function" then
      return true
   end
   local meta = getmetatable(value)
   return type(meta) == "table" and meta.__call ~= nil
end

--- Raises at `level` (1: who calls this): bad argument #n to 'name' (text). n 0 is self.
function internal.bad_argument(level, n, name, text, ...)
   local which = n == 0 and "self" or "argument #" .. n
   error(string.format("bad %s to '%s' (%s)", which, name, text:format(...)), level + 1)
end

--- The number of letters by which a and b differ, roughly: how many of a's pairs b has not.
local function distance(a, b)
   local d = math.abs(#a - #b)
   for i = 1, #a do
      if not b:find(a:sub(i, i), math.max(1, i - 1), true) then
         d = d + 1
      end
   end
   return d
end

--- Raises for an option that is none, with the known ones and the one that was perhaps meant.
function internal.unknown_option(level, n, name, key, known)
   local names, best = {}, nil
   for k in pairs(known) do
      names[#names + 1] = k
      if type(key) == "string" and distance(key, k) < math.min(3, distance(key, best or "")) then
         best = k
      end
   end
   table.sort(names)
   local hint = best and ", did you mean '" .. best .. "'?" or ""
   internal.bad_argument(level + 1, n, name, "unknown option %s%s; known: %s", internal.shown(key),
      hint, table.concat(names, ", "))
end

--- The time at which a timeout (argument n of name; seconds or nil) ends, or nil.
function internal.deadline(timeout, n, name)
   if timeout == nil then
      return nil
   end
   if type(timeout) ~= "number" or timeout ~= timeout then
      internal.bad_argument(3, n, name, "a timeout in seconds expected, got %s",
         internal.shown(timeout))
   end
   return mp.time() + timeout
end

--- The seconds left until a deadline of internal.deadline.
function internal.left(deadline)
   return deadline and math.max(0, deadline - mp.time())
end
