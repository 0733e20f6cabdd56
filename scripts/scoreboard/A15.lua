-- A15: tasks call os.exit(0), os.exit(3), crash, overflow the stack, run out of memory.
local mp = require "moonfork"

local pool <close> = mp.Pool(2)
local function fails(f)
    local ok, err = pcall(pool.apply, pool, f)
    assert(not ok and mp.is_error(err))
    return err
end

assert(fails(function() os.exit(0) end).exitcode == 0)
assert(fails(function() os.exit(3) end).exitcode == 3)
assert(fails(function() os.execute("kill -SEGV " .. mp.getpid()) end).signal == 11)
assert(fails(function()
    local function deeper() return 1 + deeper() end
    return deeper()
end).message:find "stack overflow")
assert(fails(function()
    return io.open("/dev/null"):read(1 << 45) -- Lua makes room for that before it reads
end).message:find "not enough memory")
assert(pool:apply(math.abs, { -1 }) == 1)
print "each fails with its reason, the pool goes on"
