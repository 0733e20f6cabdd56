-- outside.lua MOONFORK KILLS [SEED]: runs mesh.lua under MOONFORK, again and again, and kills its
-- processes at random until KILLS are dead; now and then the first one, after which nobody may be
-- left. It is no part of that family, and looks at it through /proc.

local lfs = require "lfs"
local mp = require "moonfork"

local interpreter, kills = arg[1], math.tointeger(tonumber(arg[2]))
local seed = math.tointeger(tonumber(arg[3] or 1))
local PATIENCE = 120 -- seconds, for a family

local function read_all(path)
    local file = io.open(path, "rb")
    local text = file and file:read "a"
    if file then
        file:close()
    end
    return text
end

-- State and session of a process, or nil.
local function look_at(pid)
    local stat = read_all("/proc/" .. pid .. "/stat")
    local state, session = (stat or ""):match "^%d+ %(.*%) (%a) %d+ %d+ (%d+)"
    return state, math.tointeger(tonumber(session))
end

local function is_alive(pid)
    local state = look_at(pid)
    return state and state ~= "Z" and state ~= "X"
end

-- Adds the descendants of a process to a list.
local function descend(pid, list)
    local path = ("/proc/%d/task/%d/children"):format(pid, pid)
    for child in (read_all(path) or ""):gmatch "%d+" do
        list[#list + 1] = child
        descend(child, list)
    end
    return list
end

-- All that live in a session, whoever their parents are now.
local function members(session)
    local list = {}
    for name in lfs.dir "/proc" do
        local state, of = look_at(name)
        if name:find "^%d+$" and of == session and state ~= "Z" and state ~= "X" then
            list[#list + 1] = name
        end
    end
    return list
end

local function names_in(folder)
    local n = 0
    for _ in lfs.dir(folder) do
        n = n + 1
    end
    return n
end

local shell = assert(io.popen("sh", "w"))
local function kill(pid)
    shell:write("kill -9 ", pid, " 2>/dev/null\n")
    shell:flush()
end

local killed, families, orphaned, longest = 0, 0, 0, 0

local function kill_some(pid, quota)
    local last, mine = mp.time() + PATIENCE, 0
    local is_doomed = math.random(3) == 1
    while is_alive(pid) do
        local victims = descend(pid, {})
        if #victims > 0 and mine < quota then
            kill(victims[math.random(#victims)])
            mine, killed = mine + 1, killed + 1
        elseif mine >= quota and is_doomed then
            kill(pid)
            orphaned, killed = orphaned + 1, killed + 1
            return true
        end
        mp.sleep(math.random() * 0.02)
        if mp.time() > last then
            for _, member in ipairs(members(pid)) do
                print("stuck:", member, read_all("/proc/" .. member .. "/wchan"),
                    read_all("/proc/" .. member .. "/syscall"))
                kill(member)
            end
            error("a family does not come to an end")
        end
    end
    return false
end

-- The second that somebody may outlive the first process; more of them where many want to run.
local function survival()
    return math.max(1, read_all("/proc/loadavg"):match "^%S+" / mp.cpu_count())
end

-- The family's first process is gone, or about to be: how long is anybody left?
local function check_extinction(pid)
    local begin = mp.time()
    while is_alive(pid) or #members(pid) > 0 do
        assert(mp.time() - begin < survival(), "somebody is left")
        mp.sleep(0.001)
    end
    longest = math.max(longest, mp.time() - begin)
end

local function run_family(number)
    local pipe = assert(io.popen(("echo $$; exec setsid '%s' spec/stress/kills/mesh.lua %d 2>&1")
        :format(interpreter, number)))
    local pid = math.tointeger(tonumber(pipe:read "l"))
    families = families + 1
    local was_killed = kill_some(pid, 20 + math.random(100))
    check_extinction(pid)
    local text = pipe:read "a"
    local ok, how, status = pipe:close()
    if was_killed then
        assert(how == "signal" and status == 9 or ok, text)
    elseif not ok or not text:find "^fine" then
        error(("family of seed %d: %s %d: %s"):format(number, how, status, text))
    end
end

math.randomseed(seed)
local begin, names = mp.time(), names_in "/dev/shm"
while killed < kills do
    run_family(seed + families)
end
shell:close()
assert(names_in "/dev/shm" <= names, "something is left in /dev/shm")
print(("kills of a Lua script's processes: %d by seed %d, %.0f s; %d families, %d ended by a kill "
    .. "of the first; after that the last was gone in %.1f ms or less"):format(killed, seed,
    mp.time() - begin, families, orphaned, longest * 1000))
