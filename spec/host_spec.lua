-- The moonfork command, held against Lua's own: the same command lines must give the same standard
-- output, the same status and, but for the command's name, the same messages.

local files = require "spec.support.files"

local build = os.getenv "MF_BUILD" or "build"
local moonfork = build .. "/moonfork"
local stock -- with its folder: valgrind, too, runs it as that
do
    local pipe <close> = assert(io.popen "command -v lua5.4")
    stock = pipe:read "l"
end

-- Runs a shell script; gives what it writes on its two outputs, and its status, which is 124 when
-- it hangs.
local function run(line)
    local script, out, err = os.tmpname(), os.tmpname(), os.tmpname()
    files.write(script, line)
    local _, how, status = os.execute(("timeout 30 sh %s >%s 2>%s"):format(script, out, err))
    local result = { out = files.read(out), err = files.read(err), status = status, how = how }
    os.remove(script)
    os.remove(out)
    os.remove(err)
    return result
end

-- A pattern that matches the text itself.
local function plain(text)
    return (text:gsub("%p", "%%%0"))
end

-- In a command line LUA stands for the interpreter, FILE for the name of a file with `text`.
local function run_with(interpreter, line, text)
    local file = os.tmpname()
    files.write(file, text or "")
    local result = run((line:gsub("LUA%f[^%w_]", interpreter):gsub("FILE", file)))
    os.remove(file)
    local function mask(output)
        return (output:gsub(plain(interpreter), "LUA"):gsub(plain(file), "FILE"):gsub("0x%x+", "0x")
            -- The depth of the stack varies with what lies under the script.
            :gsub("skipping %d+ levels", "skipping levels"))
    end
    result.out, result.err = mask(result.out), mask(result.err)
    return result
end

local function same_as_lua(line, text)
    local expected = run_with(stock, line, text)
    local got = run_with(moonfork, line, text)
    assert.same(expected, got, line)
    return got
end

-- One test a line: what is shown, the command line, the text of FILE.
local function each_same(cases)
    for _, case in ipairs(cases) do
        it(case[1], function()
            same_as_lua(case[2], case[3])
        end)
    end
end

describe("a script", function()
    each_same {
        { "is run with its arguments", "LUA FILE a 'b c' ''", "print(#arg, ...)" },
        { "sees arg, below zero too", "LUA -W -e 'x = 1' -- FILE a b", [[
            local low = 0
            while arg[low - 1] do low = low - 1 end
            for i = low + 1, #arg do print(i, arg[i]) end]] },
        { "gets as arguments what arg holds when it begins",
            "LUA -e 'arg[1] = 100' FILE 1 2", "print(...)" },
        { "is refused when arg is no table", "LUA -e 'arg = 1' FILE", "print(1)" },
        { "may have thousands of arguments",
            "LUA FILE $(seq 5000)", "print(select('#', ...), (select(-1, ...)))" },
        { "may begin with a #! line", "LUA FILE", "#!/usr/bin/env lua\nprint(3)" },
        { "may be a #! line alone, without a newline", "LUA FILE", "#comment" },
        { "may begin with a byte order mark", "LUA FILE", "\xEF\xBB\xBFprint(3)" },
        { "may begin with a byte order mark and #!", "LUA FILE", "\xEF\xBB\xBF#!x\nprint(3)" },
        { "with half a byte order mark is an error", "LUA FILE", "\xEF\xBBprint(3)" },
        { "may be bytecode under a comment", "LUA FILE", "#x\n" .. string.dump(load "print(3)") },
        { "may be read from standard input", "LUA < FILE", "print(1, ...)" },
        { "may be read from standard input, with arguments", "LUA - -h x < FILE", "print(...)" },
        { "of the name - is a file after --", "LUA -- - < FILE", "print(1)" },
        { "closes its files at the end", "LUA FILE x; cat FILE.out; rm FILE.out", [[
            io.output(arg[0] .. ".out"); io.write "alo"]] },
        { "runs finalizers at the end", "LUA FILE", [[
            setmetatable({}, { __gc = function() print "gc" end })
            local x <close> = setmetatable({}, { __close = function() print "close" end })]] },
        { "has the collector in Lua's mode", "LUA -e 'print(collectgarbage(\"incremental\"))'" },
        { "has Lua's search paths", "LUA -e 'print(package.path, package.cpath)'" },
        { "gives nothing back to the shell", "LUA FILE", "return 3" },
        { "finds Lua's own C functions in the command", "LUA FILE", [[
            print(package.loadlib("*", "luaL_newstate") ~= nil or "not that way")]] },
    }

    it("loads C modules that look for Lua in the command", function()
        same_as_lua([[LUA -e 'print(require "lfs".currentdir() ~= nil)']])
    end)
end)

describe("an error", function()
    each_same {
        { "in the script ends in a traceback", "LUA FILE", [[
            local function f() error "message" end
            f()
            return nil]] },
        { "of syntax ends in one line", "LUA FILE", "x = = 2" },
        { "with a table is told by its type", "LUA FILE", "error {}" },
        { "with nil is told by its type", "LUA FILE", "error()" },
        { "with an object is told by its __tostring", "LUA FILE", [[
            error(setmetatable({}, { __tostring = function() return "mine" end }))]] },
        { "whose __tostring gives no string is told by its type", "LUA FILE", [[
            error(setmetatable({}, { __tostring = function() return {} end }))]] },
        { "whose __tostring fails is told all the same", "LUA FILE", [[
            error(setmetatable({}, { __tostring = function() error "x" end }))]] },
        { "with a number is told as text", "LUA FILE", "error(12)" },
        { "in a coroutine is told", "LUA FILE", "coroutine.wrap(function() error 'x' end)()" },
        { "of memory is told", "LUA FILE", "string.rep('x', 1 << 40)" },
        { "of the stack is told", "LUA FILE", "local function f() return 1 + f() end f()" },
        { "in a missing script is one line", "LUA no/such/file.lua" },
        { "in a directory for a script is one line", "LUA /" },
        { "in an empty name is one line", "LUA ''" },
        { "in a finalizer is a warning at most", "LUA -W FILE", [[
            setmetatable({}, { __gc = function() error "gc" end })]] },
    }

    it("begins with the command's name as it was called", function()
        local result = run(moonfork .. " -e 'error(\"x\", 0)'")
        assert.equal(moonfork .. ": x", result.err:match "^[^\n]*")
        assert.equal(1, result.status)
    end)

    it("in an unreadable script is one line", function()
        local result = run(moonfork .. " /proc/self/mem")
        assert.equal(1, result.status)
        assert.equal(1, select(2, result.err:gsub("\n", "")))
    end)
end)

describe("the options", function()
    each_same {
        { "-e runs a text", "LUA -e 'print(1)' -e'print(2)' -e a=3 -e 'print(a)'" },
        { "-e does not read standard input", "LUA -e 'print(1)' < FILE", "print(2)" },
        { "-e ends at its first error", "LUA -e 'print(1)' -e 'error(2)' -e 'print(3)'" },
        { "-e tells an error of syntax", "LUA -e 'x'" },
        { "-e comes before the script", "LUA -e 'x = 5' FILE", "print(x)" },
        { "-l requires a module into a global",
            "LUA -lstring -l math -e 'print(string.upper \"x\", math.pi)'" },
        { "-l takes a name for the global",
            "LUA -l s=string '-lm=math' -e 'print(s.len(\"x\"), m.pi)'" },
        { "-l tells a missing module", "LUA -l no_such_module" },
        { "-l tells a missing module with a name", "LUA -l x=no_such_module -e 'print(1)'" },
        { "-v shows the version", "LUA -v" },
        { "-v goes on", "LUA -v -e 'print \"hello\"'" },
        { "-v goes on to a script", "LUA -v FILE", "print(1)" },
        { "-E leaves the environment aside",
            "LUA_INIT='error(1)' LUA_PATH=x LUA_CPATH=y LUA -E FILE",
            "print(package.path, package.cpath)" },
        { "-W turns warnings on", "LUA -W FILE", "warn('one ', 'two') warn '@off' warn 'three'" },
        { "-- ends them", "LUA -- FILE -v", "print(...)" },
        { "-i runs the script first", "LUA -i FILE </dev/null | head -n 2", "print 'script'" },
    }

    -- Lua's own goes on with a list of its options here; the command points to --help.
    for _, words in ipairs { "-h", "---", "-Ex", "-vv", "-iv", "-e", "-l", "-e -v", "-Wx" } do
        it("do not contain " .. words, function()
            local expected = run_with(stock, "LUA " .. words)
            local got = run_with(moonfork, "LUA " .. words)
            assert.equal(expected.err:match "^[^\n]*", (got.err:gsub(" %(.*", "")))
            assert.equal(expected.status, got.status)
            assert.equal("", got.out)
        end)
    end

    it("--help teaches", function()
        local result = run(moonfork .. " --help")
        assert.equal(0, result.status)
        assert.equal("", result.err)
        for _, word in ipairs { "usage: ", "-e chunk", "-l g=mod", "-i ", "-v ", "-E ", "-W ",
            "-- ", "--version", "Examples", "mp.map" } do
            assert.truthy(result.out:find(word, 1, true), word)
        end
    end)

    it("--help and --version after the script are the script's", function()
        same_as_lua("LUA FILE --help --version", "print(...)")
    end)

    it("--version tells moonfork's and Lua's", function()
        local result = run(moonfork .. " --version")
        assert.truthy(result.out:find "^moonfork %d+%.%d+%.%d+ %(Lua 5%.4%.%d+%)\n$")
        assert.equal(0, result.status)
    end)
end)

describe("LUA_INIT", function()
    each_same {
        { "is run first", "LUA_INIT='X = tonumber(arg[1])' LUA FILE 3.2", "print(X)" },
        { "is less than LUA_INIT_5_4",
            "LUA_INIT_5_4='X = 10' LUA_INIT='X = 3' LUA FILE", "print(X)" },
        { "may name a file", "LUA_INIT=@FILE LUA FILE", "x = (x or 9) + 1 print(x)" },
        { "may fail", "LUA_INIT='error(\"msg\")' LUA -v" },
        { "may have an error of syntax", "LUA_INIT='x' LUA" },
        { "may name a missing file", "LUA_INIT=@no/such/file LUA -v" },
        { "may be empty", "LUA_INIT= LUA_PATH=x LUA FILE", "print(package.path)" },
    }
end)

describe("the exit status", function()
    each_same {
        { "is that of os.exit", "LUA -e 'os.exit(7)'" },
        { "is 0 for true", "LUA -e 'os.exit(true, true)'" },
        { "is 1 for false", "LUA -e 'os.exit(false, true)'" },
        { "is 0 for nothing", "LUA -e 'os.exit()'" },
        { "is 1 for an error", "LUA -e 'error()' 2>/dev/null" },
        { "comes with what was written before", "LUA -e 'io.write \"x\" os.exit(3)' | cat" },
        { "comes after the closing of the state", "LUA FILE", [[
            local x <close> = setmetatable({}, { __close = function() print "closed" end })
            setmetatable({}, { __gc = function() print "collected" end })
            os.exit(true, true)]] },
        { "may be given by a finalizer", "LUA -W FILE", [[
            setmetatable({}, { __gc = function() print(1) end })
            setmetatable({}, { __gc = function() print(2) os.exit(0, true) end })]] },
        { "is that of a signal that kills", "LUA -e 'os.execute \"kill -9 $PPID\"'; echo $?" },
    }
end)

describe("warnings", function()
    each_same {
        { "are off", "LUA -e 'warn \"x\"'" },
        { "are turned on and off by messages", "LUA FILE", [[
            warn "@allow"
            warn("@off", "hidden", "@off")
            warn "@on"
            warn("@off", "shown", "@off")
            warn "@off" warn("@on", "off")
            warn "@on" warn("", "@on") warn("Z", "Z")]] },
    }
end)

describe("the interactive mode", function()
    -- Stock Lua's readline shows each line that it reads, so the answers alone are compared.
    local function answers(text, options)
        local result = run_with(moonfork, "LUA -i " .. (options or "") .. " < FILE", text)
        assert.equal(0, result.status)
        return (result.out:gsub("^Lua [^\n]*\n", "")), result.err
    end

    it("shows a prompt, and another one for the rest of a chunk", function()
        assert.equal("> >> >> > \n", (answers "function f()\nreturn 1\nend\n"))
    end)

    it("prints what an expression gives", function()
        assert.equal("> 1\ttwo\n> nil\n> > \n", (answers "1, 'two'\nnil\nlocal a = 1\n"))
    end)

    it("takes a line that begins with = as an expression", function()
        assert.equal("> 6\n> >> 7\n> \n", (answers "= 2 * 3\n= (7\n)\n"))
    end)

    it("tells errors without the command's name, and goes on", function()
        local out, err = answers "error('x', 0)\nx x\n1\n"
        assert.equal("> > > 1\n> \n", out)
        assert.truthy(err:find "^x\nstack traceback:\n")
        assert.truthy(err:find("stdin:1: syntax error near 'x'", 1, true))
    end)

    it("tells an error when the input ends within a chunk", function()
        local _, err = answers "x = (\n"
        assert.equal("stdin:1: unexpected symbol near <eof>\n", err)
    end)

    it("asks _PROMPT and _PROMPT2 for each prompt", function()
        local out = answers("a = 1\nb = (\n2)\n", [[-e "local n = 0 _PROMPT = setmetatable({},
            { __tostring = function() n = n + 1 return n .. ':' end }) _PROMPT2 = '...'"]])
        assert.equal("1:2:...3:\n", out)
    end)

    it("reads lines of any length", function()
        assert.equal("> 100000\n> \n", (answers("#'" .. ("x"):rep(100000) .. "'\n")))
    end)

    it("tells when print fails", function()
        local _, err = answers("10\n", "-e 'print = nil'")
        assert.equal("error calling 'print' (attempt to call a nil value)\n", err)
    end)

    it("begins without -i when a terminal is all there is", function()
        -- The input has no end: script(1) would wait only two seconds for it to be read.
        local result = run(([[
            fifo=$(mktemp -u) && mkfifo "$fifo" && exec 3<>"$fifo" && rm "$fifo"
            echo '= 6 * 7' >&3
            echo 'os.exit()' >&3
            script -qec '%s' /dev/null <&3]]):format(moonfork))
        assert.truthy(result.out:find "Lua 5%.4")
        -- Before or behind the prompt stands what was typed, as the terminal shows it.
        assert.truthy(result.out:find "\n> ")
        assert.truthy(result.out:find "42\r?\n")
    end)
end)

describe("a signal", function()
    -- Starts a script, waits until it has printed its first line, then runs `after` with the pid in
    -- $pid. Gives the lines that follow.
    local function interrupted(script, after, options)
        local file = os.tmpname()
        files.write(file, script)
        local line = ([[
            out=$(mktemp -d) && mkfifo $out/ready
            %s %s %s >$out/ready 2>$out/err &
            pid=$!
            exec 3<$out/ready; read line <&3
            %s
            cat <&3 >$out/rest & cat=$!
            wait $pid; status=$?
            wait $cat; cat $out/rest $out/err; rm -r $out
            echo status $status]]):format(moonfork, options or "", file, after)
        local result = run(line)
        os.remove(file)
        return result.out
    end

    local one_line = moonfork .. ": interrupted\nstatus 130\n"
    local ready = "io.stdout:setvbuf 'no' print 'ready' "

    it("Ctrl-C ends the script with one line and status 130", function()
        assert.equal(one_line,
            interrupted(ready .. "while true do end", "kill -INT $pid"))
    end)

    it("SIGTERM ends it with status 143", function()
        assert.equal(moonfork .. ": terminated\nstatus 143\n",
            interrupted(ready .. "while true do end", "kill -TERM $pid"))
    end)

    it("SIGHUP ends it with status 129", function()
        assert.equal(moonfork .. ": hung up\nstatus 129\n",
            interrupted(ready .. "while true do end", "kill -HUP $pid"))
    end)

    it("ends the children with the script", function()
        local script = [[
            io.stdout:setvbuf "no"
            local mp = require "moonfork"
            local children = { mp.spawn(mp.sleep, 100), mp.spawn(function() while true do end end) }
            print("ready\n" .. children[1].pid .. "\t" .. children[2].pid)
            children[1]:join()]]
        local out = interrupted(script, "kill -INT $pid")
        local first, second = out:match "^(%d+)\t(%d+)\n"
        assert.equal(one_line, (out:gsub("^[^\n]*\n", "")))
        assert.equal("gone\ngone\n", run(("kill -0 %s || echo gone; kill -0 %s || echo gone")
            :format(first, second)).out)
    end)

    it("ends the children that a script which is done waits for", function()
        assert.equal(one_line, interrupted([[
            local mp = require "moonfork"
            mp.spawn(mp.sleep, 100)
            io.stdout:setvbuf "no"
            local last <close> = setmetatable({}, { __close = function() print "ready" end })
            ]], "kill -INT $pid"))
    end)

    it("closes what is to be closed", function()
        local script = [[
            local x <close> = setmetatable({}, { __close = function() print "closed" end })
            ]] .. ready .. [[ while true do end]]
        assert.equal("closed\n" .. one_line,
            interrupted(script, "kill -INT $pid"))
    end)

    it("is not lost in a pcall for ever", function()
        assert.equal(one_line, interrupted(ready .. [[
            while true do pcall(function() while true do end end) end]], "kill -INT $pid"))
    end)

    it("ends a coroutine that never yields", function()
        assert.equal(one_line, interrupted(ready .. [[
            coroutine.wrap(function() while true do end end)()]], "kill -INT $pid"))
    end)

    it("ends a C function that never returns", function()
        assert.equal(one_line, interrupted(ready .. [[
            string.find(("a"):rep(1000000), ".-.-.-b")]], "kill -INT $pid"))
    end)

    it("wakes a script that reads", function()
        assert.equal(one_line, interrupted(ready .. [[
            io.popen("sleep 5"):read "a"]], "kill -INT $pid"))
    end)

    it("comes before the status that the script itself would have", function()
        assert.equal(one_line, interrupted(ready .. [[
            pcall(function() while true do end end)]], "kill -INT $pid"))
    end)

    it("comes before the status that the script gives to os.exit", function()
        assert.equal(one_line, interrupted(ready .. [[
            pcall(function() while true do end end) os.exit(0, true)]], "kill -INT $pid"))
    end)

    it("kills at once the second time", function()
        assert.equal(one_line, interrupted(ready .. [[
            string.find(("a"):rep(1000000), ".-.-.-b")]], "kill -INT $pid; kill -TERM $pid"))
    end)

    it("that was ignored stays so", function()
        assert.equal("alive\nstatus 0\n", run(([[
            trap '' HUP
            %s -e 'os.execute "kill -HUP $PPID" print "alive"'
            echo status $?]]):format(moonfork)).out)
    end)

    it("Ctrl-C in the interactive mode ends the chunk and not the session", function()
        -- The chunk tells its pid through a fifo, so that nothing has to be guessed.
        local result = run(([[
            command=$(realpath %s); dir=$(mktemp -d); mkfifo $dir/pid
            cd $dir
            { echo 'f = io.popen "echo $PPID" pid = f:read() f:close()'
              echo 'do f = io.open("pid", "w") f:write(pid, string.char(10)) f:close()'
              echo 'while true do end end'
              read pid <pid; kill -INT $pid
              echo '"next"'; } | $command -i
            status=$?; rm -r $dir; exit $status]]):format(moonfork))
        assert.truthy(result.out:find "next")
        assert.truthy(result.err:find "interrupted!")
        assert.equal(0, result.status)
    end)
end)

describe("the built-in modules", function()
    it("have cjson whatever the paths are", function()
        local result = run("LUA_PATH=x LUA_CPATH=x " .. moonfork .. [[ -e '
            print(require "cjson".encode { 1, 2 }, require "cjson.safe".decode "[")']])
        assert.truthy(result.out:find("[1,2]\tnil\t", 1, true))
    end)

    it("are not opened before they are required", function()
        local result = run(moonfork
            .. " -e 'print(package.loaded.moonfork, package.loaded.cjson)'")
        assert.equal("nil\tnil\n", result.out)
    end)

    it("make busted run", function()
        local result = run(moonfork .. " $(command -v busted) --version")
        assert.equal(0, result.status)
    end)
end)
