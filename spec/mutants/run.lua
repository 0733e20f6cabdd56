-- moonfork spec/mutants/run.lua [--apply-only] [NUMBER…]
--
-- Breaks the tree in one place at a time (list.lua), builds it, and runs the suite until something
-- fails. Prints one row a mutant; the last line is `N passed, N failed`, a mutant that nobody
-- noticed being a failure. Each worker of the pool has a copy of the tree of its own.

local mp = require "moonfork"

local here = arg[0]:match "^(.*)/[^/]*$"
local mutants = dofile(here .. "/list.lua")
local root = here .. "/../.."

local function read_all(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

local function write_all(path, text)
    local file <close> = assert(io.open(path, "wb"))
    assert(file:write(text))
end

-- The text of the mutant's file with the fault in it.
local function with_fault(tree, mutant)
    local text = read_all(tree .. "/" .. mutant.file)
    local first, last = text:find(mutant.old, 1, true)
    assert(first, mutant.file .. " does not contain: " .. mutant.old)
    assert(not text:find(mutant.old, last + 1, true),
        mutant.file .. " contains twice: " .. mutant.old)
    return text:sub(1, first - 1) .. mutant.new .. text:sub(last + 1), text
end

-- Does a command of the shell succeed in the tree, within so many seconds? What it leaves running
-- shares its session, and is ended.
local function succeeds(tree, command, seconds)
    local line = "cd %s && timeout -s KILL %d sh -c '%s' >>%s/log 2>&1 </dev/null"
    return os.execute(line:format(tree, seconds, command, tree)) == true
end

local busted = "MF_BUILD=build LUA_CPATH=\"$PWD/build/?.so;;\" build/moonfork $(command -v busted) "

-- In the order of what they cost. `name` goes into the table.
local tests = {
    { name = "C tests", command = "ctest --test-dir build --stop-on-failure --timeout 20 "
            .. "-E \"^(step|kills|crash)$\"", seconds = 120 },
    { name = "kills", command = "build/test/kills 300", seconds = 60 },
    { name = "step", command = "build/test/step 500", seconds = 100 },
    { name = "crash points", command = "build/test/crash", seconds = 100 },
}
local specs = { "codec", "lock", "queue", "process", "child", "pool", "pool_processes", "imap",
    "reentry", "guarantees", "host", "functions" }
for _, name in ipairs(specs) do
    tests[#tests + 1] = { name = name .. "_spec", seconds = 100,
        command = busted .. "spec/" .. name .. "_spec.lua" }
end
local thread_tests = {
    { name = "ThreadSanitizer", command = "setarch -R ctest --test-dir build --stop-on-failure "
            .. "--timeout 60 -R _threads$", seconds = 200 },
}

local function build(tree)
    return succeeds(tree, "cmake --build build", 300)
end

-- Called in a worker: its copy of the tree, configured and built once for each kind.
local function own_tree(folder, kind)
    local tree = ("%s/%d-%s"):format(folder, mp.getpid(), kind)
    local options = kind == "order" and "-DMF_SANITIZE=thread" or "-DMF_FAULTS=ON"
    if not os.execute("test -d " .. tree) then
        local copy = "mkdir %s && cd %s && cp -r bindings runtime scripts spec CMakeLists.txt "
            .. "README.md LICENSE %s"
        assert(os.execute(copy:format(tree, root, tree)), "cannot copy the tree")
        assert(succeeds(tree, "cmake -S . -B build -G Ninja " .. options, 60) and build(tree),
            "the tree does not build: " .. tree)
    end
    return tree
end

-- Who notices the fault; nil: nobody.
local function judge(folder, mutant)
    local tree = own_tree(folder, mutant.order and "order" or "fault")
    local path = tree .. "/" .. mutant.file
    local broken, whole = with_fault(tree, mutant)
    write_all(path, broken)
    local found
    if not build(tree) then
        error("the mutant does not compile: " .. mutant.what)
    end
    for _, test in ipairs(mutant.order and thread_tests or tests) do
        if not succeeds(tree, test.command, test.seconds) then
            found = test.name
            break
        end
    end
    write_all(path, whole)
    return found
end

local wanted, apply_only = {}, false
for _, a in ipairs(arg) do
    if a == "--apply-only" then
        apply_only = true
    else
        wanted[#wanted + 1] = assert(mutants[math.tointeger(a)], "no mutant has the number " .. a)
    end
end
if #wanted == 0 then
    wanted = mutants
end

if apply_only then
    for _, mutant in ipairs(wanted) do
        with_fault(root, mutant)
    end
    print(#wanted .. " mutants can be made")
    os.exit(true, true)
end

local folder = assert(os.getenv "MF_FOLDER", "MF_FOLDER has to name a folder for copies")
local caught, order, caught_order = 0, 0, 0
local pool <close> = mp.Pool(2)
local task = function(mutant)
    local begin = mp.time()
    local found = judge(folder, mutant)
    return found, mp.time() - begin
end
for i, found, seconds in pool:imap(task, wanted, { chunksize = 1 }) do
    local mutant = wanted[i]
    print(("%-28s %-58s %-16s %4.0f s"):format(mutant.file, mutant.what, found or "NOT NOTICED",
        seconds))
    io.stdout:flush()
    order = order + (mutant.order and 1 or 0)
    if found then
        caught = caught + 1
        caught_order = caught_order + (mutant.order and 1 or 0)
    end
end
if order > 0 then
    print(("of these, of memory ordering: %d of %d"):format(caught_order, order))
end
print(("%d passed, %d failed"):format(caught, #wanted - caught))
os.exit(caught == #wanted, true)
