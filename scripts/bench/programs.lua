-- The programs of the benchmark: in which languages they are, what runs them, what they answer.

local mp = require "moonfork"

local M = {}

local folder = "scripts/bench/"

-- The interpreters of peers, by the suffix of their programs: the name in the table, the commands
-- to look for, options, and what prints the version, and fails where the peer is not installed. The
-- first python3 in the PATH may be a wrapper that takes its time.
local peers = {
    py = {
        name = "Python",
        commands = { "/usr/bin/python3", "python3" },
        options = "-B",
        version = "-c 'import platform; print(platform.python_version())'",
    },
    js = {
        name = "node",
        commands = { "node", "nodejs" },
        options = "",
        version = "-p process.versions.node",
    },
    pl = {
        name = "MCE",
        commands = { "perl" },
        options = "",
        version = "-MMCE -e 'print MCE->VERSION'",
    },
    rb = {
        name = "Ruby",
        commands = { "ruby" },
        options = "",
        version = [[-rparallel -e 'puts "#{RUBY_VERSION} (parallel #{Parallel::VERSION})"']],
    },
}

M.names = {}
for suffix, peer in pairs(peers) do
    M.names[suffix] = peer.name
end

local function output_line(command)
    local pipe <close> = assert(io.popen(command .. " 2>/dev/null"))
    return pipe:read "l"
end

-- The version of a peer that is installed, else nil.
function M.version(suffix)
    local peer = peers[suffix]
    for _, command in ipairs(peer.commands) do
        if not peer.found then
            peer.found = output_line(command .. " " .. peer.version)
            peer.command = command
        end
    end
    return peer.found
end

-- Builds the limits that are older than their sources, into a folder.
function M.build_limits(workloads, into)
    for _, workload in ipairs(workloads) do
        if workload.limit then
            local source, target = folder .. workload.id .. ".c", into .. "/" .. workload.id
            local command = "[ -n \"$(find %s %s*.h -newer %s 2>&1)\" ] || exit 0; "
                .. "mkdir -p $(dirname %s) && "
                .. "cc -std=gnu11 -D_GNU_SOURCE -O2 -pthread -o %s %s"
            assert(os.execute(command:format(source, folder, target, target, target, source)),
                "cannot build " .. source)
        end
    end
end

-- What there is to run for a workload, in its order: a list of { suffix =, name =, command = }.
function M.of(workload, interpreter, limits)
    local list = {}
    local function add(suffix, command)
        local name = workload.id .. "." .. suffix
        list[#list + 1] = { suffix = suffix, name = name, command = command:format(folder .. name) }
    end
    add("lua", interpreter .. " %s")
    for _, suffix in ipairs(workload.peers) do
        if M.version(suffix) then
            add(suffix, peers[suffix].command .. " " .. peers[suffix].options .. " %s")
        end
    end
    if workload.limit then
        add("c", limits .. "/" .. workload.id)
    end
    return list
end

-- Three names of files, which go with the variable.
local function temporary_files()
    local files = { pid = os.tmpname(), out = os.tmpname(), err = os.tmpname() }
    return setmetatable(files, {
        __close = function()
            for _, path in pairs(files) do
                os.remove(path)
            end
        end,
    })
end

local function read_all(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

-- Ends what is left of the group of processes that a file names.
local function group_of(path)
    return setmetatable({}, {
        __close = function()
            local pid = read_all(path):match "%d+"
            if pid then
                os.execute(("kill -KILL -%s 2>/dev/null"):format(pid))
            end
        end,
    })
end

local function number_in(text)
    local x = tonumber(text:match "^%s*(%S+)%s*$")
    return x and x >= 0 and x < math.huge and x or nil
end

-- 124 and 137 are the statuses of timeout(1) when the time was up.
local function fault(how, status, seconds, answer, wanted)
    if status == 124 or status == 137 then
        return ("no answer after %g s"):format(seconds)
    elseif status ~= 0 then
        return how .. " " .. status
    end
    return ("its answer is no %s: %s"):format(wanted or "number", answer:gsub("%s+$", ""))
end

-- Runs a program, in a session of its own, and gives its number, or what `program.read` finds in
-- its answer, which is called `program.wanted`; or nil, and what went wrong, with what it wrote on
-- stderr. It is ended when it takes more than `seconds`. Who waits is a process: so Ctrl-C is heard
-- here meanwhile.
function M.run(program, seconds)
    local files <close> = temporary_files()
    local _ <close> = group_of(files.pid)
    local inner = ("echo $$ >%s; exec timeout -k 2 %g %s"):format(files.pid, seconds,
        program.command)
    local command = ("setsid --wait sh -c '%s' >%s 2>%s </dev/null"):format(
        inner:gsub("'", "'\\''"), files.out, files.err)
    local _, how, status = mp.spawn(function()
        return os.execute(command)
    end):get()
    local answer = read_all(files.out)
    local found = status == 0 and (program.read or number_in)(answer)
    if found then
        return found
    end
    return nil, ("%s: %s\n%s"):format(program.name,
        fault(how, status, seconds, answer, program.wanted), read_all(files.err))
end

return M
