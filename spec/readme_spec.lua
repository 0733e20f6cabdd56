-- The examples of the READMEs: each block of Lua is run as a script, and must print what the block
-- of text right under it shows.

local files = require "spec.support.files"
local script = require "spec.support.script"

local function each_example(text, f)
    local at = 1
    while true do
        local first, last, code = text:find("\n```lua\n(.-)\n```\n", at)
        if not first then
            return
        end
        f(code, text:match("^```text\n(.-)```\n", last + 1))
        at = last
    end
end

local list = assert(io.popen "ls README.md */README.md */*/README.md 2>/dev/null")
for path in list:lines() do
    describe(path, function()
        local n = 0
        each_example("\n" .. files.read(path), function(code, expected)
            n = n + 1
            it("prints what it says in example " .. n, function()
                local r = script.run(code)
                assert.equal("", r.err)
                assert.equal(0, r.status)
                if expected then
                    assert.equal(expected, r.out)
                end
            end)
        end)
    end)
end
list:close()
