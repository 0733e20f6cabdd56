-- Whole files, for specs.

local M = {}

-- The bytes of a file; nil where it cannot be read.
function M.read(path)
    local file <close> = io.open(path, "rb")
    return file and file:read "a"
end

function M.write(path, text)
    local file <close> = assert(io.open(path, "wb"))
    assert(file:write(text))
end

return M
