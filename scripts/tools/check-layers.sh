#!/bin/sh
# check-layers.sh: the order of the layers, read from the sources. A file includes only headers of
# its own layer and of those below; nothing under runtime/ but the host knows Lua; no two files of
# the tree bear the same name. The build refuses most of this too, but not a relative path.

cd "$(dirname "$0")/../.." || exit 1

find runtime bindings -name '*.[ch]' ! -path '*/test/*' ! -path '*/examples/*' | LC_ALL=C sort |
    awk '
    BEGIN {
        count = split("include platform memory sync channel process pool inspect", names)
        for (i = 1; i <= count; i++)
            rank["runtime/" names[i]] = i
        rank["bindings/codec"] = 0 # knows neither the runtime nor the bindings
        rank["bindings"] = count + 1
        # The host sees the two public headers only, and its own.
        rank["runtime/host"] = count + 2
    }
    function folder_of(path) {
        sub("/[^/]*$", "", path)
        return path
    }
    function base_of(path) {
        sub(".*/", "", path)
        return path
    }
    function complain(text) {
        print text
        bad = 1
    }
    {
        file = $0
        folder = folder_of(file)
        base = base_of(file)
        if (!(folder in rank))
            complain(file ": " folder " is not a layer")
        if (base in home)
            complain(file ": the name is taken by " home[base] "/" base)
        home[base] = folder
        files[++total] = file
    }
    function allowed(from, header, to) {
        if (from == "runtime/host")
            return to == from || to == "runtime/include" || header == "moonfork_lua.h"
        if (to == "bindings/codec" && from !~ /^bindings/)
            return 0
        return rank[to] <= rank[from]
    }
    function check_include(file, line,    header, from) {
        from = folder_of(file)
        header = line
        gsub(/^[^<"]*[<"]|[>"].*$/, "", header)
        if (from ~ /^runtime/ && from != "runtime/host" && header ~ /^(lua|lauxlib|lualib)/)
            complain(file ": " header ": only bindings and the host know Lua")
        if (line ~ /</)
            return
        if (header ~ /\//)
            complain(file ": " header ": included by path")
        else if (!(header in home))
            complain(file ": " header ": no such header")
        else if (!allowed(from, header, home[header]))
            complain(file ": " header ": belongs to " home[header] ", which is not below " from)
    }
    END {
        for (i = 1; i <= total; i++) {
            while ((getline line < files[i]) > 0)
                if (line ~ /^[ \t]*#[ \t]*include/)
                    check_include(files[i], line)
            close(files[i])
        }
        exit bad
    }'
