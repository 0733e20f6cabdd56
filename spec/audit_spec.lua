-- The leak audit itself: one of each is leaked on purpose, and must be caught.

local audit = require "spec.support.audit"
local mp = require "moonfork"

describe("the leak audit", function()
    local before

    before_each(function()
        before = audit.snapshot()
    end)

    after_each(function()
        assert.is_nil(audit.compare(before, audit.snapshot()))
    end)

    it("is content when nothing was left", function()
        local q = mp.Queue()
        mp.spawn(function()
            q:put "done"
        end):join()
        assert.equal("done", q:get())
    end)

    it("catches a child that still runs", function()
        local q = mp.Queue()
        local p <close> = mp.spawn(function()
            q:get()
        end)
        assert.matches("children", audit.compare(before, audit.snapshot()))
        assert.matches("slots", audit.compare(before, audit.snapshot()))
        q:put "go"
        p:join()
    end)

    it("catches a zombie", function()
        local pipe = io.popen("exit 0", "r")
        audit.eventually(function()
            return #audit.children() == 1 and audit.state_of(audit.children()[1]) == "Z"
        end)
        assert.matches("zombies", audit.compare(before, audit.snapshot()))
        pipe:close()
    end)

    it("catches an open file", function()
        local file = assert(io.open "/dev/null")
        assert.matches("files", audit.compare(before, audit.snapshot()))
        file:close()
    end)

    it("catches an object and its blocks", function()
        local q = mp.Queue()
        q:put(("x"):rep(1000))
        local leak = audit.compare(before, audit.snapshot())
        assert.matches("objects", leak)
        assert.matches("blocks", leak)
        assert.equal(1000, #q:get())
    end)

    it("catches a message that nobody took", function()
        local q = mp.Queue()
        local middle = audit.snapshot()
        q:put(("x"):rep(1000))
        assert.matches("blocks", audit.compare(middle, audit.snapshot()))
    end)

    it("catches a mapping", function()
        local more = audit.snapshot()
        more.mappings = more.mappings + 1
        assert.matches("mappings", audit.compare(before, more))
    end)
end)
