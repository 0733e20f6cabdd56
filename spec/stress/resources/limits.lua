-- Runs the scenarios, and some scripts of its own, under limits of the system and without calls
-- that an older kernel lacks. Run by spec/stress/resources.sh:
--
--     moonfork limits.lua FOLDER [full]
--
-- Prints "at NAME" before each case, "bad NAME: ..." for what is wrong, and "skipped NAME: ..." for
-- what cannot be had on this machine; at the end "tried N of M".

local folder, full = table.unpack(arg)
local here = arg[0]:match "^(.*)/"
local command = arg[-1]

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

local function has(test)
    return os.execute(test .. " >/dev/null 2>&1") == true
end

-- Cases: { name, shell text before the command, script or scenarios, options }. The script is told
-- apart by its newline. Options: `done` (all has to be done, nothing refused), `says` (a pattern of
-- what it writes on stderr), `status` (0), `only` (a test of the machine), `why` (it may fail).
local cases = {}

local function case(name, before, script, options)
    options = options or {}
    cases[#cases + 1] = { name = name, before = before, script = script or "", options = options }
end

-- Descriptors ------------------------------------------------------------------------------------

case("16 descriptors", "ulimit -n 16;", nil, { done = true })
case("8 descriptors", "ulimit -n 8;", nil, { done = true })
case("no descriptor is free", "ulimit -n 64;", [[
local files = {}
repeat
    files[#files + 1] = io.open "/dev/null"
until not io.open("/dev/null")
local early = check "process" and check "pool" and check "queue"
files = nil
collectgarbage()
return all() and early
]], { done = true })

-- Processes --------------------------------------------------------------------------------------

local AS_NOBODY = "exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "
    .. "prlimit --nproc=%d "
local can_be_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all test -r "
    .. here .. "/all.lua -a -x " .. command

for _, n in ipairs { 1, 2, 3 } do
    case(n .. " processes of the user", AS_NOBODY:format(n), nil, { only = can_be_nobody,
        says = n == 1 and "Resource temporarily unavailable" })
end
local PIDS = "/sys/fs/cgroup/pids/moonfork-"
case("a group of 2 processes", "echo 2 >$MF_GROUP/pids.max; echo $$ >$MF_GROUP/cgroup.procs; exec ",
    nil, { only = "test -w /sys/fs/cgroup/pids/cgroup.procs", group = PIDS })

-- Files and time ---------------------------------------------------------------------------------

case("files of no bytes, the signal ignored", "ulimit -f 0; trap '' XFSZ;", nil, { done = true,
    out = true })
case("files of no bytes", "ulimit -f 0;", [[
local p = mp.spawn(print, ("x"):rep(10))
local ok, e = pcall(p.get, p)
assert(not ok and e.signal == 25, e)
local pool <close> = mp.Pool(1)
ok, e = pcall(pool.apply, pool, print, { "y" })
assert(not ok and e.signal == 25, e)
assert(pool:apply(function() return 7 end) == 7)
return true
]], { done = true, out = true })
case("a second of processor time", "ulimit -S -t 1;", [[
local pool <close> = mp.Pool(1)
local ok, e = pcall(pool.apply, pool, function() while true do end end)
assert(not ok and e.kind == "died" and e.signal == 24, e)
return pool:apply(function() return true end)
]], { done = true })
case("no locked memory", "ulimit -l 0;", nil, { done = true })

-- Memory -----------------------------------------------------------------------------------------

for _, kib in ipairs(full and { 4000000, 1000000, 300000, 150000, 100000, 80000, 72000, 70000,
    68000, 66000, 64000, 50000, 32000, 24000, 16000, 12000, 10000, 9000, 8000, 7000, 6000, 5000,
    4000, 3500, 3000 } or { 300000, 70000, 66000, 16000, 6000, 4000 }) do
    case(kib .. " KiB of addresses", ("ulimit -v %d;"):format(kib), nil, {
        done = kib >= 100000, start = kib < 10000 })
end
for _, kib in ipairs { 64, 128, 512 } do
    case("a stack of " .. kib .. " KiB", ("ulimit -s %d;"):format(kib), nil, { done = true })
end

local PRELOAD = ("export LD_PRELOAD=%s/faults.so; "):format(folder)
local FULL = [[
local faults = assert(package.loadlib(os.getenv "LD_PRELOAD", "luaopen_faults"))()
local q = mp.Queue()
local function fill(size)
    local n = 0
    repeat
        local ok, message, code = q:put(("x"):rep(size))
        n = n + (ok and 1 or 0)
        assert(n < 10000000, "there is no end to the arena")
        assert(ok or code == "nomem" and message:find "memory", message)
    until not ok
    return n
end
local pool = mp.Pool(1)
assert(pool:apply(math.abs, { -1 }) == 1)
local count = fill(1 << 20) + fill(1 << 15) + fill(1000) + fill(100) + fill(10)
assert(q:qsize() == count, "what was refused is in the queue")
local refusals = 0
local function try(f, ...) -- some small blocks may be there
    local ok, e, code = pcall(f, ...)
    if not ok or e == nil and code then
        local text = tostring(not ok and e or code)
        refusals = refusals + 1
        assert(text:find "memory" or text:find "limit" or text:find "nomem", text)
    end
end
local big = ("y"):rep(50000)
local function try_all()
    try(q.put, q, big)
    try(mp.spawn, function() return 1 end)
    try(mp.Queue)
    try(pool.apply, pool, math.abs, { -1 })
    try(pool.apply, pool, function() return big end)
    try(mp.Pool, 1)
    try(mp.Pipe)
    collectgarbage()
    collectgarbage()
    return faults.live()
end
local function least_of(n)
    local least = math.huge
    for _ = 1, n do
        least = math.min(least, try_all())
    end
    return least
end
least_of(4)
assert(refusals > 0, "nothing is refused in a full arena")
assert(least_of(4) >= least_of(4), "blocks of malloc are left in a full arena")
count = q:qsize()
local some = q:get()
collectgarbage()
collectgarbage()
-- With a little room: tasks whose results do not fit, and others.
local ok, e = pcall(pool.apply, pool, function()
    return ("z"):rep(16 << 20)
end)
assert(not ok and (e.kind == "limit" or tostring(e):find "memory"), e)
assert(pool:apply(math.abs, { -2 }) == 2, "the pool does not go on")
local p = mp.spawn(function() return ("z"):rep(16 << 20) end)
ok, e = pcall(p.get, p)
assert(not ok and (e.kind == "limit" or tostring(e):find "memory"), e)
assert(#some == 1 << 20)
for _ = 2, count do
    assert(q:get(0))
end
q, pool, p = nil, nil, nil
collectgarbage()
collectgarbage()
return all()
]]
case("a full arena", PRELOAD .. "ulimit -v 1000000;", FULL, { done = true })
local MEMORY = "/sys/fs/cgroup/memory/moonfork-"
case("a group of 160 MiB, and a full arena", PRELOAD
    .. "echo 160M >$MF_GROUP/memory.limit_in_bytes; echo $$ >$MF_GROUP/cgroup.procs; exec ", FULL,
    { done = true, only = "test -w /sys/fs/cgroup/memory/cgroup.procs", group = MEMORY })

-- Calls that are not there -----------------------------------------------------------------------

local function without(call, error, scenarios, options)
    options = options or {}
    options.only = "strace true"
    local when = options.when and ":when=" .. options.when or ""
    case(call .. " " .. error .. when, ("exec strace -f --seccomp-bpf -o /dev/null -e trace=%s -e "
        .. "inject=%s:error=%s%s "):format(call, call, error, when), scenarios, options)
end

local SOME = "process ending pool queue"
without("pidfd_open", "ENOSYS", SOME, { done = true })
without("pidfd_open", "EMFILE", SOME, { done = true })
without("close_range", "ENOSYS", SOME, { done = true })
without("pidfd_send_signal", "EPERM", SOME, { done = true })
without("getrandom", "ENOSYS", SOME, { done = true })
without("sched_setaffinity", "EPERM", SOME, { done = true })
without("sched_getaffinity", "EPERM", SOME, { done = true })
without("madvise", "EINVAL", SOME, { says = "cannot open moonfork: Invalid argument" })
without("madvise", "EINVAL", SOME, { when = "2+", done = true }) -- before 5.14: no populating
without("madvise", "ENOMEM", SOME, { when = "2+" })
without("madvise", "EFAULT", SOME, { when = "2+" })
without("prctl", "EPERM", "process", {})
without("clone", "EAGAIN", SOME, { says = "Resource temporarily unavailable" })
without("clone", "ENOMEM", SOME, { says = "Cannot allocate memory" })
without("write", "EAGAIN", [[
local p = mp.spawn(print, "a line")
p:join()
io.stderr:write(p.exitcode == 0 and "" or "bad: the child fails\n")
return true
]], { when = "1", done = true, prints = "a line\n" })

-- Running them -----------------------------------------------------------------------------------

local PRELUDE = [[
package.path = "HERE/?.lua;HERE/../../../?.lua;" .. package.path
local scenarios, mp = require "scenarios", require "moonfork"
local audit, judge = require "spec.support.audit", require "judge"
local function check(name)
    local ok, e = pcall(scenarios[name], mp)
    local complaint = not ok and judge.refusal(e) and judge.complaint(e)
    if complaint then
        io.stderr:write(name, ": bad: ", complaint, "\n")
    end
    return ok or not complaint
end
local function all()
    local ok = true
    for _, name in ipairs(scenarios.names) do
        if name ~= "shared" then -- its pool would stay
            local good, e = pcall(scenarios[name], mp)
            if not good then
                io.stderr:write(name, ": bad: ", judge.text(e), "\n")
            end
            ok = ok and good
        end
    end
    return ok
end
local before = audit.snapshot()
local function body(...)
BODY
end
local ok, result = pcall(body)
if not ok or not result then
    io.stderr:write("script: bad: ", judge.text(result), "\n")
end
collectgarbage()
local leak = audit.compare(before, audit.snapshot())
io.stderr:write(leak and "audit: bad: " .. leak .. "\n" or "")
-- UNUSED: check all
local _ = check, all
]]

local function script_of(c, file)
    if not c.script:find "\n" then
        return here .. "/all.lua " .. c.script
    end
    local text = PRELUDE:gsub("HERE", here):gsub("BODY\n", function()
        return c.script
    end)
    write_all(file, text)
    return file
end

-- What is wrong with the case, or nil.
local function run(c, number)
    local o = c.options
    local files = ("%s/limits%d"):format(folder, number)
    local group = o.group and o.group .. folder:match "[^/]*$"
    if group then
        os.execute("mkdir " .. group)
    end
    write_all(files .. ".sh", ("%s %s %s"):format(c.before, command,
        script_of(c, files .. ".lua")))
    local _, how, status = os.execute(("MF_GROUP=%s exec timeout -k 1 60 sh %s.sh </dev/zero "
        .. ">%s.out 2>%s.err"):format(group or "none", files, files, files))
    if group then
        -- Who was killed is in it for a moment.
        os.execute("for i in 1 2 3 4 5 6 7 8 9; do rmdir " .. group .. " && break; sleep 0.1; done")
    end
    local err = read_all(files .. ".err")
    local wrong = err:match "[^\n]*: bad: [^\n]*"
    if how == "signal" or status >= 124 and not (o.start and status == 127) then
        return ("%s %d: %s"):format(how, status, err:sub(-300))
    elseif wrong then
        return wrong
    elseif status ~= 0 and not (o.start and #err > 0) then
        return ("status %d: %s"):format(status, err:sub(-300))
    elseif o.done and err:find ": refused: " then
        return err:match "[^\n]*: refused: [^\n]*"
    elseif o.says and not err:find(o.says, 1, true) then
        return "it does not say '" .. o.says .. "': " .. err:sub(-300)
    elseif o.prints and read_all(files .. ".out") ~= o.prints then
        return "it does not print what it should: " .. read_all(files .. ".out")
    end
end

local tried = 0
for number, c in ipairs(cases) do
    out("at %s", c.name)
    if c.options.only and not has(c.options.only) then
        out("skipped %s: not on this machine", c.name)
    else
        tried = tried + 1
        local complaint = run(c, number)
        if complaint then
            out("bad %s: %s", c.name, complaint:gsub("\n", " | "))
        end
    end
end
out("tried %d of %d", tried, #cases)
