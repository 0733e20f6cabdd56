#!/bin/sh
# signals.sh [--full [SEED]]: a family at work that is stopped at random, interrupted a thousand times
# a second, and interrupted by errors (spec/stress/signals.lua), under the command and under stock
# Lua. --full: a thousand stops, and minutes of the others. The last line is `N passed, N failed`.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
cd "$root" || exit 1
. scripts/tools/setup.sh

# shellcheck disable=SC2046 # the packages are words
install_missing $(missing_for_tests) || exit 1
build build -DMF_WERROR=ON || exit 1

stops=100
seconds=3
[ "${1:-}" = --full ] && stops=1000 seconds=120
seed=${2:-$(date +%s)}
passed=0
failed=0

LUA_CPATH="$root/build/?.so;;"
export LUA_CPATH
printf '%-10s %-11s %7s %10s %10s %7s  %s\n' under what count messages tasks seconds seed
for lua in build/moonfork lua5.4; do
    for what in "stops $stops" "storm $seconds" "interrupts $seconds"; do
        # shellcheck disable=SC2086 # a mode and a number
        if line=$($lua spec/stress/signals.lua $what "$seed" 2>&1); then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
        fi
        printf '%-10s %s\n' "${lua##*/}" "$line"
    done
done

[ -z "${MF_COUNTS:-}" ] || echo "$passed $failed" >"$MF_COUNTS"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
