-- Runs Lua text as a script of its own, under the interpreter that runs the specs.

local files = require "spec.support.files"

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

-- Gives { out =, err =, status =, how = "exit" or "signal", pid = of nobody }. `line` is a shell
-- command line in which SCRIPT stands for the interpreter and the file; "SCRIPT" is the default.
function M.run(text, line)
    local file, out, err = os.tmpname(), os.tmpname(), os.tmpname()
    files.write(file, text)
    local command = (line or "SCRIPT"):gsub("SCRIPT", M.interpreter .. " " .. file)
    local _, how, status = os.execute(("{ %s\n} >%s 2>%s </dev/null"):format(command, out, err))
    local result = { out = files.read(out), err = files.read(err), status = status, how = how }
    for _, path in ipairs { file, out, err } do
        os.remove(path)
    end
    return result
end

return M
