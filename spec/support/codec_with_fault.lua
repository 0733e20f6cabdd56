-- codec_with_fault(mutant): what the random round trip says of a codec that is built with the
-- fault (spec/mutants/list.lua), or without one if that is nil; "" when it finds nothing.

local files = require "spec.support.files"
local run = require "spec.support.run"

local build = "cc -std=gnu11 -O1 -fPIC -shared $(pkg-config --cflags lua5.4 || pkg-config --cflags "
    .. "lua-5.4) -I%s spec/support/codec_probe.c %s*.c -o %scodec_probe.so"

local function seed(folder, mutant)
    local path = folder .. mutant.file:match "[^/]*$"
    local text = files.read(path)
    local first, last = text:find(mutant.old, 1, true)
    assert(first, "cannot make the mutant: " .. mutant.what)
    files.write(path, text:sub(1, first - 1) .. mutant.new .. text:sub(last + 1))
end

return function(mutant)
    local folder <close> = run.folder()
    assert(os.execute("cp bindings/codec/*.[ch] " .. folder.path))
    if mutant then
        seed(folder, mutant)
    end
    -- A sanitizer of this process is not for the compiler.
    local path = folder.path
    local built = run.shell("unset LD_PRELOAD; " .. build:format(path, path, path))
    assert(built.status == 0, built.err)
    local tried = run.shell("unset LD_PRELOAD; lua5.4 spec/support/round_trip.lua "
        .. path .. " 3000 1")
    assert((tried.status == 0) == (tried.err == ""), tried.err)
    return tried.err
end
