-- What the drivers of the benchmark share: words of the command, files of results, the machine in a
-- line, progress. bench.lua and scale.lua use it.

local mp = require "moonfork"

local M = {}

function M.refuse(message)
    io.stderr:write("bench: ", message, "\n")
    os.exit(2, true)
end

-- The words of a command. flags and valued: fields by the names of options. things: a list of what
-- can be named, in their order, by their `field`, as `noun`s. Gives the options, with `chosen`: the
-- things that were named, in the order of the list, or all.
function M.parse(words, flags, valued, things, field, noun)
    local options, named, names = {}, {}, {}
    for i, thing in ipairs(things) do
        names[i], names[thing[field]] = thing[field], true
    end
    local i = 1
    while words[i] do
        local word = words[i]
        if valued[word] then
            i = i + 1
            options[valued[word]] = words[i] or M.refuse(word .. " needs a value")
        elseif flags[word] then
            options[flags[word]] = true
        elseif names[word] then
            named[word] = true
        elseif word:find "^%-" then
            M.refuse("unknown option " .. word .. "; --help lists them")
        else
            M.refuse(("no %s is called %s; there are %s"):format(noun, word,
                table.concat(names, " ")))
        end
        i = i + 1
    end
    options.chosen = {}
    for _, thing in ipairs(things) do
        if not next(named) or named[thing[field]] then
            table.insert(options.chosen, thing)
        end
    end
    return options
end

-- What is there stays until there is something to put in its place.
function M.check_writable(path)
    local file <close> = io.open(path, "a") or M.refuse("cannot write " .. path) -- luacheck: ignore
end

function M.write(path, text)
    local file <close> = assert(io.open(path, "w"))
    assert(file:write(text))
    assert(file:close())
end

function M.write_result(path, result)
    M.write(path, require "cjson".encode(result) .. "\n")
end

-- What a pattern finds in a file; nil where the file or the match is not there.
function M.first_match(path, pattern)
    local file <close> = io.open(path)
    return file and file:read "a":match(pattern)
end

-- The interpreter's first line about itself.
function M.version()
    local pipe <close> = assert(io.popen(arg[-1] .. " --version 2>/dev/null"))
    return pipe:read "l" or _VERSION
end

-- One line, with the versions of what is measured. The load at the start is what else ran.
function M.machine(versions)
    return ("%d × %s, Linux %s, load %s; %s"):format(mp.cpu_count(),
        M.first_match("/proc/cpuinfo", "model name%s*: ([^\n]*)") or "?",
        M.first_match("/proc/sys/kernel/osrelease", "%S+") or "?",
        M.first_match("/proc/loadavg", "%S+") or "?", versions)
end

local is_watched = os.execute "test -t 2"

-- A line that the next one overwrites, for people only.
function M.progress(...)
    if is_watched then
        io.stderr:write("\r\27[K", ...)
    end
end

return M
