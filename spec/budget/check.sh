#!/bin/sh
# check.sh [--record]: the instruction budget. Counts, with valgrind's callgrind, the instructions
# that a put, a get, an item of a map, the start of a process … take (queue.lua, map.lua, start.lua),
# and compares them with budget.txt: a figure that is more than 3 % over it has failed. --record
# writes what was counted there instead. Another compiler, or library, makes other instructions:
# where the machine is not the one in budget.txt all is printed and nothing is judged. Nothing here
# is a time. The last line is `N passed, N failed`.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
cd "$root" || exit 1
. scripts/tools/setup.sh

record=
case ${1:-} in
--record) record=$1 ;;
--full | '') ;; # there is one form only
*)
    complain "usage: sh spec/budget/check.sh [--record]"
    exit 2
    ;;
esac

has_valgrind() {
    has valgrind && [ -e /usr/include/valgrind/callgrind.h ]
}

# shellcheck disable=SC2046 # the names of packages are words
install_missing $(missing_for_build) $(has_valgrind || echo valgrind) || exit 1
build build -DMF_WERROR=ON || exit 1

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# cached NAME: what build/ was configured with.
cached() {
    sed -n "s/^$1:[A-Z]*=//p" build/CMakeCache.txt
}

# What the counts depend on beside the sources. libc chooses its copies of memory by the processor.
compiler=$(cached CMAKE_C_COMPILER)
version=$(echo __VERSION__ | "$compiler" -E -P - | tr -d '"')
case $version in
[0-9]*) version="gcc $version" ;;
esac
vectors=
grep -qw avx2 /proc/cpuinfo && vectors=' avx2'
machine="$version $(cached CMAKE_BUILD_TYPE) $(cached CMAKE_C_FLAGS), $(getconf GNU_LIBC_VERSION), \
Lua $(cached LUA_VERSION), $(valgrind --version), $(uname -m)$vectors"
machine=$(echo "$machine" | sed 's/ *,/,/g')

# Without what it has for debuggers, which valgrind need not understand.
strip --strip-debug -o "$tmp/moonfork" build/moonfork || exit 1

# The host's symbols, Lua's, are not there yet when the counter is loaded: hence lazy.
lua=$(cached LUA_CFLAGS | tr ';' ' ')
# shellcheck disable=SC2086 # several options
"$compiler" -std=gnu11 -O2 -fPIC -shared -Wl,-z,lazy $lua spec/budget/counter.c \
    -o "$tmp/counter.so" || exit 1

# With an environment that is the same everywhere: it moves addresses, and with them Lua's hash seed
# and the places of keys in tables. valgrind itself puts a program where it was the last time.
valgrind=$(command -v valgrind)

# count PROGRAM: appends its lines, a figure's name and its number, to $tmp/counts.
count() {
    mkdir "$tmp/$1" || return 1
    progress "$1"
    env -i PATH=/usr/bin:/bin LUA_PATH='./?.lua' LUA_CPATH="$tmp/?.so" MF_FOLDER="$tmp/$1" \
        LD_PRELOAD="$tmp/counter.so" \
        "$valgrind" --quiet --tool=callgrind --callgrind-out-file="$tmp/$1/%p" \
        "$tmp/moonfork" "spec/budget/$1.lua" </dev/null >"$tmp/lines" 2>"$tmp/log"
    status=$?
    progress ""
    [ $status -eq 0 ] && cat "$tmp/lines" >>"$tmp/counts" && return
    tail -n 20 "$tmp/log"
    echo "$1.lua: status $status"
    return 1
}

complete=yes
for program in queue map start; do
    count $program || complete=
done

if [ -n "$record" ]; then
    [ -n "$complete" ] || exit 1
    build/moonfork spec/budget/judge.lua "$tmp/counts" "$machine" --record
    exit
fi
build/moonfork spec/budget/judge.lua "$tmp/counts" "$machine" >"$tmp/table"
status=$?
cat "$tmp/table"
[ -z "${MF_COUNTS:-}" ] ||
    sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$tmp/table" >"$MF_COUNTS"
[ -n "$complete" ] && exit $status
exit 1
