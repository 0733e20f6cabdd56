-- Runs Lua text as a script of its own, under the interpreter that runs the specs.

local M = {}

-- The interpreter stands before the script in `arg`, wherever that begins.
local function interpreter()
    local i = 0
    while arg[i - 1] do
        i = i - 1
    end
    return arg[i]
end

M.interpreter = interpreter()

local function read_all(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

local function write_all(path, text)
    local file <close> = assert(io.open(path, "wb"))
    assert(file:write(text))
end

-- Gives { out =, err =, status =, how = "exit" or "signal", pid = of nobody }. `line` is a shell
-- command line in which SCRIPT stands for the interpreter and the file; "SCRIPT" is the default.
function M.run(text, line)
    local file, out, err = os.tmpname(), os.tmpname(), os.tmpname()
    write_all(file, text)
    local command = (line or "SCRIPT"):gsub("SCRIPT", M.interpreter .. " " .. file)
    local _, how, status = os.execute(("{ %s\n} >%s 2>%s </dev/null"):format(command, out, err))
    local result = { out = read_all(out), err = read_all(err), status = status, how = how }
    for _, path in ipairs { file, out, err } do
        os.remove(path)
    end
    return result
end

return M
