-- Runs commands from specs, with the interpreter that runs the specs themselves: build/moonfork,
-- stock lua5.4, or either with sanitizers.

local files = require "spec.support.files"
local lfs = require "lfs"

local M = {}

M.slack = tonumber(os.getenv "MF_SLACK") or 1 -- for what slows programs down

local function line_of(command)
    local pipe <close> = assert(io.popen(command))
    return pipe:read "l"
end

-- The path of the interpreter that runs this. Under valgrind what runs is valgrind.
M.interpreter = os.getenv "MF_INTERPRETER" or line_of "readlink /proc/$PPID/exe"

-- Does this run with AddressSanitizer, or under valgrind? They need memory and signals themselves.
local maps = files.read "/proc/self/maps"
M.under_valgrind = maps:find("vgpreload", 1, true) ~= nil
M.sanitized = M.under_valgrind or maps:find("libasan", 1, true) ~= nil

-- Is the interpreter the command? Else it is Lua's own, with moonfork as a module.
M.is_moonfork = M.interpreter:find "/moonfork$" ~= nil

-- What the guarantees call a second, in seconds: sanitizers make everything slower.
M.second = M.sanitized and 3 or 1

local function remove_folder(path)
    for name in lfs.dir(path) do
        if lfs.symlinkattributes(path .. name, "mode") ~= "directory" then
            os.remove(path .. name)
        elseif name ~= "." and name ~= ".." then
            remove_folder(path .. name .. "/")
        end
    end
    lfs.rmdir(path)
end

-- A fresh folder under /tmp, with a `/` at its end; it goes when it is closed.
function M.folder()
    local path = os.tmpname()
    os.remove(path)
    assert(lfs.mkdir(path))
    local folder = { path = path .. "/" }
    return setmetatable(folder, {
        __close = function()
            remove_folder(folder.path)
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
-- outputs, and its status, which is 124 when it took more than `seconds` (60) and was killed;
-- $MF_SLACK times as many.
function M.shell(text, seconds)
    local folder <close> = M.folder()
    files.write(folder .. "command", "LUA='" .. M.interpreter .. "'\n" .. text)
    local command = "timeout -k 1 %d sh %scommand >%sout 2>%serr </dev/null"
    local longest = (seconds or 60) * M.slack
    local _, _, status = os.execute(command:format(longest, folder, folder, folder))
    return { out = files.read(folder .. "out"), err = files.read(folder .. "err"), status = status }
end

-- Runs a script, given as text, in a process of its own: what shell() gives.
function M.script(text, seconds)
    local folder <close> = M.folder()
    files.write(folder .. "script.lua", text)
    return M.shell("exec $LUA " .. folder .. "script.lua", seconds)
end

-- The script must print `expected`, nothing on stderr, and give status 0.
function M.prints(text, expected)
    local result, expect = M.script(text), require "luassert"
    expect.equal("", result.err)
    expect.equal(expected, result.out)
    expect.equal(0, result.status)
end

-- The pids of a session, zombies left out.
function M.session(pid)
    local pids = {}
    for name in lfs.dir "/proc" do
        local file = name:find "^%d+$" and io.open("/proc/" .. name .. "/stat", "rb")
        local stat = file and file:read "a"
        if file then
            file:close()
        end
        local state, session = (stat or ""):match "^.*%) (%a) %d+ %d+ (%d+)"
        if state and state ~= "Z" and session == tostring(pid) then
            pids[#pids + 1] = tonumber(name)
        end
    end
    return pids
end

local started = {}

-- Ends what start() has started: for after_each, as a test may fail in between.
function M.end_started()
    for pid, pipe in pairs(started) do
        for _, member in ipairs(M.session(pid)) do
            os.execute("kill -KILL " .. member .. " 2>/dev/null")
        end
        started[pid] = nil
        if io.type(pipe) == "file" then
            pipe:close()
        end
    end
end

-- Starts a script, given as text, as the leader of a session and a group of its own. Its first line
-- of output must be its pid. Gives the pid, and `finish`, which waits for its end and gives what
-- shell() gives.
function M.start(text)
    local folder = M.folder()
    files.write(folder .. "script.lua", text)
    -- Who runs the specs in the background may have these ignored, and so would the script.
    local command = "ulimit -c 0; exec env --default-signal=HUP,INT,QUIT "
        .. "setsid %s %sscript.lua 2>%serr </dev/null"
    local pipe = assert(io.popen(command:format(M.interpreter, folder, folder)))
    local pid = tonumber(pipe:read "l")
    started[pid] = pipe -- kept: to close it is to wait for the script
    return pid, function()
        local result = { out = pipe:read "a" }
        local _, how, status = pipe:close()
        result.how, result.status = how, status
        result.err = files.read(folder .. "err")
        getmetatable(folder).__close()
        return result
    end, pipe
end

return M
