-- lazy.lua: stands for Pool, map and iter until one of them is called. Reading their parts takes a
-- millisecond, which a process that does without them saves. Called once with the module's table
-- and the function that reads the parts; what these set replaces what is set here, all at once when
-- all was read.
local mp, read_parts = ...
local read = false

for _, name in ipairs({ "Pool", "map", "iter" }) do
   mp[name] = function(...)
      if not read then
         local parts = setmetatable({}, { __index = mp })
         read_parts(parts)
         for key, value in pairs(parts) do
            mp[key] = value
         end
         read = true
      end
      return mp[name](...) -- a tail call: errors of arguments point at the caller
   end
end
