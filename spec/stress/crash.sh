#!/bin/sh
# crash.sh [--full]: kills and stops a process at every crash point (spec/stress/crash.c), then the
# workers of a pool under Lua (crash.lua); and looks that no product of an ordinary build contains
# the name of a point. The last line is `N passed, N failed`.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
cd "$root" || exit 1
. scripts/tools/setup.sh

# shellcheck disable=SC2046 # the packages are words
install_missing $(missing_for_build) || exit 1
build build -DMF_WERROR=ON && build build/faults -DMF_FAULTS=ON -DMF_WERROR=ON || exit 1

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
passed=0
failed=0

# count FILE: adds what its last line says.
count() {
    # shellcheck disable=SC2046 # two words
    set -- $(sed -n '$s/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$1")
    passed=$((passed + ${1:-0}))
    failed=$((failed + ${2:-1}))
}

products="moonfork moonfork.so libmoonfork.a libmoonfork-lua.a"

# Every name is in the products that can be struck, and none in one that is for use.
build/faults/moonfork spec/stress/crash.lua --list >"$tmp/points" || exit 1
[ -s "$tmp/points" ] || exit 1
for product in $products; do
    if grep -aqF -f "$tmp/points" "build/$product"; then
        echo "wrong: build/$product contains the name of a crash point"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
done
for product in moonfork moonfork.so; do
    grep -aoF -f "$tmp/points" "build/faults/$product" | sort -u >"$tmp/found"
    if [ "$(wc -l <"$tmp/found")" -ge "$(wc -l <"$tmp/points")" ]; then
        passed=$((passed + 1))
    else
        echo "wrong: build/faults/$product does not contain the names of all crash points"
        failed=$((failed + 1))
    fi
done

build/faults/test/crash "$@" >"$tmp/runtime"
cat "$tmp/runtime"
count "$tmp/runtime"
build/faults/moonfork spec/stress/crash.lua "$@" >"$tmp/lua"
cat "$tmp/lua"
count "$tmp/lua"

[ -z "${MF_COUNTS:-}" ] || echo "$passed $failed" >"$MF_COUNTS"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
