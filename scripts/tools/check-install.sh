#!/bin/sh
# check-install.sh PREFIX: uses what cmake --install has put under PREFIX as somebody would who has
# nothing but that: the command, the module under lua5.4, the libraries in a C host of their own.

prefix=$1
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
failures=0

expect() {
    what=$1
    shift
    if ! "$@"; then
        echo "failed: $what"
        failures=$((failures + 1))
    fi
}

expect "the command runs" "$prefix/bin/moonfork" -e 'assert(require "moonfork")'

cmod=$(dirname "$(find "$prefix" -name moonfork.so)")
expect "lua5.4 loads the module" env LUA_CPATH="$cmod/?.so" lua5.4 -e 'assert(require "moonfork")'

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name moonfork-lua.pc)")
export PKG_CONFIG_PATH
expect "the pkg-config files are valid" pkg-config --validate moonfork moonfork-lua

# The tree was configured for another prefix: the .pc files must find it where it is.
build_host() {
    # Flags are words: no quotes.
    # shellcheck disable=SC2046
    cc -std=c11 -Wall -Wextra -Werror "$root/runtime/examples/minimal.c" -o "$prefix/minimal" \
        $(pkg-config --cflags --libs --static moonfork-lua)
}
expect "a C host builds against the installed tree" build_host
expect "the C host runs" "$prefix/minimal"

for header in "$prefix"/include/moonfork/*.h; do
    expect "$(basename "$header") stands alone" sh -c 'echo "#include <$1>" |
        cc -std=c11 -Wall -Wextra -Werror -fsyntax-only \
            $(pkg-config --cflags moonfork-lua) -x c -' \
        header "moonfork/$(basename "$header")"
done

# crash_points: the names that only a build with MF_FAULTS may contain, and one of their functions.
crash_points() {
    grep -rhoE 'MF_CRASH\("[^"]+' "$root/runtime" "$root/bindings" --include='*.c' |
        sed 's/.*"//' | sort -u
    echo mf__crash_reach
}
crash_points >"$prefix/crash-points"
expect "there are crash points to look for" [ "$(wc -l <"$prefix/crash-points")" -gt 100 ]
for product in "$prefix/bin/moonfork" "$cmod/moonfork.so" "$prefix"/lib/*.a; do
    expect "no trace of crash points in $(basename "$product")" \
        sh -c '! grep -aFf "$1" "$2" >/dev/null' crash "$prefix/crash-points" "$product"
done

exit "$failures"
