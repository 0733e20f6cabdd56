-- What calls that shall fail raise.

local M = {}

-- The error object that f raises.
function M.object(f, ...)
    local ok, err = pcall(f, ...)
    assert(not ok, "it raised nothing")
    return err
end

function M.message(f, ...)
    return tostring(M.object(f, ...))
end

return M
