-- many_names_more.lua: the same table as many_names.lua, with more in it.
local M = require "many_names"

function M.more()
    return "more"
end

return M
