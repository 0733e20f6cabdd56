-- Runs every scenario once in surroundings that are short of something. Run by
-- spec/stress/resources.sh, and by limits.lua:
--
--     moonfork all.lua [SCENARIO...]
--
-- Prints "NAME: done", "NAME: refused: ..." or "NAME: bad: ..." for each on stderr, and what was
-- left behind at the end. The status is 1 when anything is bad.

local here = arg[0]:match "^(.*)/"
package.path = here .. "/?.lua;" .. here .. "/../../../?.lua;" .. package.path

local scenarios = require "scenarios"
local judge = require "judge"

local status = 0

local function say(...)
    io.stderr:write(string.format(...), "\n")
end

local function bad(name, text)
    say("%s: bad: %s", name, (text:gsub("\n", " | ")))
    status = 1
end

local function check(name, f, ...)
    local ok, e = pcall(f, ...)
    if ok then
        say("%s: done", name)
    elseif judge.refusal(e) and judge.complaint(e) then
        bad(name, judge.refusal(e))
    else
        say("%s: refused: %s", name, judge.text(e):match "^[^\n]*")
    end
    return ok
end

local mp
if not check("require", function()
    mp = require "moonfork"
end) then
    os.exit(status)
end
local audit = require "spec.support.audit"
local before = audit.snapshot()
for _, name in ipairs(#arg > 0 and arg or scenarios.names) do
    if name ~= "shared" then -- its pool would stay
        check(name, scenarios[name], mp)
    end
end
local leak = audit.compare(before, audit.snapshot())
if leak then
    bad("audit", leak)
end
os.exit(status, true)
