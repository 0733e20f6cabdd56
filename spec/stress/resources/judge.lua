-- Is a failure clean? For the runners of spec/stress/resources.sh.

local M = {}

-- Kinds of error objects that name how a process ended that had no memory to say more.
local ENDS = { died = true, exit = true, broken = true, limit = true }

-- Signals that say that a program is broken, not that it was refused something.
local CRASHES = { [4] = true, [5] = true, [6] = true, [7] = true, [8] = true, [11] = true }

function M.text(e)
    if type(e) == "table" and e.code then
        return ("nil, %s, %s"):format(tostring(e.message), tostring(e.code))
    end
    local ok, text = pcall(tostring, e)
    return (ok and text or "an error without a text") .. " (" .. type(e)
        .. (type(e) == "table" and ", " .. tostring(e.kind) or "") .. ")"
end

-- What is wrong with any failure at all: a wrong result, or a crash.
local function is_wrong(text)
    return text:find("WRONG", 1, true) or CRASHES[math.tointeger(text:match "signal (%d+)" or 0)]
end

-- What is wrong with the failure, or nil. `strict`: it was the process itself that had no memory,
-- and has to say so.
function M.complaint(e, strict)
    local text = M.text(e)
    if is_wrong(text) then
        return text
    elseif text:find("memory", 1, true) or text:find("nomem", 1, true)
        or text:find("stack overflow", 1, true) then -- so Lua says when its stack cannot grow
        return nil
    elseif not strict and type(e) == "table" and ENDS[e.kind] then
        return nil
    end
    return "not a clean failure: " .. text
end

-- The same of a failure after a system call has failed.
function M.refusal(e)
    local text = M.text(e)
    if is_wrong(text) then
        return text
    elseif type(e) == "table" and (ENDS[e.kind] or e.kind == "timeout" or e.code)
        or text:find("cannot be started: ", 1, true) and not text:find("a system call", 1, true)
        or text:find("cannot open moonfork: ", 1, true)
        or text:find("cannot start a process: ", 1, true)
        or text:find("cannot make the zygote: ", 1, true) or text:find("memory", 1, true) then
        return nil
    end
    return "not a clean failure: " .. text
end

return M
