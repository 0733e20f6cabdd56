#!/bin/sh
# check-module.sh MODULE: fails when the Lua module links Lua or hides its entry point.
# Two copies of Lua in one process would not agree on what an object is.

module=$1
if readelf -d "$module" | grep NEEDED | grep -i liblua; then
    echo "$module links Lua" >&2
    exit 1
fi
if ! readelf --dyn-syms -W "$module" | grep -q ' GLOBAL DEFAULT .* luaopen_moonfork$'; then
    echo "$module does not export luaopen_moonfork" >&2
    exit 1
fi
if readelf --dyn-syms -W "$module" | grep -v UND | grep ' GLOBAL DEFAULT .* luaL\?_'; then
    echo "$module contains a copy of Lua" >&2
    exit 1
fi
