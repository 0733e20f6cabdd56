-- Runs commands from specs, with the interpreter that runs the specs themselves: build/moonfork,
-- stock lua5.4, or either with sanitizers.

local M = {}

function M.read_all(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

function M.write_all(path, text)
    local file <close> = assert(io.open(path, "wb"))
    assert(file:write(text))
end

local function line_of(command)
    local pipe <close> = assert(io.popen(command))
    return pipe:read "l"
end

-- The path of the interpreter that runs this.
M.interpreter = line_of "readlink /proc/$PPID/exe"

-- A fresh folder under /tmp, with a `/` at its end; it goes when it is closed.
function M.folder()
    local folder = { path = line_of "mktemp -d" .. "/" }
    return setmetatable(folder, {
        __close = function()
            os.execute("rm -rf '" .. folder.path .. "'")
        end,
        __concat = function(a, name)
            return a.path .. name
        end,
        __tostring = function()
            return folder.path
        end,
    })
end

-- Runs a text of the shell, in which $LUA is the interpreter. Gives what it writes on its two
-- outputs, and its status, which is 124 when it took more than `seconds` (60) and was killed.
function M.shell(text, seconds)
    local folder <close> = M.folder()
    M.write_all(folder .. "command", "LUA='" .. M.interpreter .. "'\n" .. text)
    local command = "timeout -k 1 %d sh %scommand >%sout 2>%serr </dev/null"
    local _, _, status = os.execute(command:format(seconds or 60, folder, folder, folder))
    return { out = M.read_all(folder .. "out"), err = M.read_all(folder .. "err"), status = status }
end

-- Runs a script, given as text, in a process of its own.
function M.script(text, seconds)
    local folder <close> = M.folder()
    M.write_all(folder .. "script.lua", text)
    return M.shell("exec $LUA " .. folder .. "script.lua", seconds)
end

return M
