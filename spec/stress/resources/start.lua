-- Lets the allocations of the command's own start fail, and those of the first require of the
-- module, a process each. Run by spec/stress/resources.sh:
--
--     moonfork start.lua FOLDER WHAT COUNT MOST
--
-- WHAT is "start" (nothing of the script has run: there has to be a message and a status) or
-- "open" (require fails, and works afterwards). The others are as in allocations.lua, and so is the
-- output.

local folder, what, count, most = table.unpack(arg)
local here = arg[0]:match "^(.*)/"
local command = arg[-1]

local SCRIPTS = {
    start = [[
local faults = assert(package.loadlib(arg[1] .. "/faults.so", "luaopen_faults"))()
local failed, calls = faults.disarm()
io.write("fine ", failed, " ", calls, "\n")
]],
    open = [[
package.path = arg[4] .. "/?.lua;" .. package.path
local faults = assert(package.loadlib(arg[1] .. "/faults.so", "luaopen_faults"))()
local judge = require "judge"
faults.arm(arg[2], arg[3], "parent")
local ok, e = pcall(require, "moonfork")
local failed, calls = faults.disarm()
local complaint = not ok and judge.complaint(e, true)
local mp = require "moonfork"
local q = mp.Queue()
local p = mp.spawn(function() q:put(mp.Lock()) return 7 end)
if p:get() ~= 7 or not q:get(0):acquire(0) then
    complaint = complaint or "WRONG: the module does not work afterwards"
end
io.write(complaint or "fine", " ", failed, " ", calls, "\n")
]],
}

local function out(...)
    io.stdout:write(string.format(...), "\n")
    io.stdout:flush()
end

local function write_all(path, text)
    local file <close> = assert(io.open(path, "wb"))
    assert(file:write(text))
end

local function read_all(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

local files = folder .. "/" .. what .. count
local script = files .. ".lua"
write_all(script, SCRIPTS[what])

-- Runs the script; what was wrong (false: nothing), how many failed, how many calls there were.
local function run(n)
    local at = what == "start" and ("MF_FAULTS_AT=%d:%s"):format(n, count) or "MF_UNUSED="
    local _, how, status = os.execute(("%s LD_PRELOAD=%s/faults.so exec timeout -k 1 20 %s %s %s "
        .. "%d %s %s >%s.out 2>%s.err </dev/null"):format(at, folder, command, script, folder, n,
        count, here, files, files))
    local said, err = read_all(files .. ".out"), read_all(files .. ".err")
    local text, failed, calls = said:match "^(.*) (%d+) (%d+)\n$"
    if how == "signal" or status >= 124 then
        return ("%s %d: %s"):format(how, status, err), 1
    elseif status == 0 then
        return text ~= "fine" and "it says: " .. said, tonumber(failed), tonumber(calls)
    elseif not (err:find "memory" or err:find "stack overflow") then
        return ("status %d, and no word of memory: %s"):format(status, err), 1
    end
    return what == "open" and "the script fails: " .. err, 1
end

local _, _, all = run(1 << 40)
local step = math.tointeger(most) > 0 and math.max(1, all // math.tointeger(most)) or 1
local tried = 0
for n = 1, all + 10, step do
    out("at %d", n)
    local complaint, failed = run(n)
    tried = tried + (failed > 0 and 1 or 0)
    if complaint then
        out("bad %d: %s", n, complaint:gsub("\n", " | "))
    end
end
out("tried %d of %d", tried, all)
