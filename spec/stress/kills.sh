#!/bin/sh
# kills.sh [--full] [SEED]: a mesh of pools, queues and locks, whose processes are killed at random:
# 300 of them, or 10,000 with --full. Then at least 100 must have died in each critical region of the
# runtime, and another 10,000 are killed in a build without crash points, at full speed. After that
# the processes of a script in Lua: 300, or 3000. A seed gives the same plan again, not the same
# instants. See spec/stress/kills.c, and spec/stress/kills/mesh.lua for the script.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
cd "$root" || exit 1
. scripts/tools/setup.sh

kills=300 of_script=300 least=0 seed=1 full=
if [ "$1" = --full ]; then
    kills=10000 of_script=3000 least=100 seed=$(date +%s) full=yes
    shift
fi
seed=${1:-$seed}

# shellcheck disable=SC2046 # the names of packages are words
install_missing $(missing_for_tests) || exit 1
build build/faults -DMF_FAULTS=ON -DMF_WERROR=ON || exit 1

passed=0 failed=0
check() {
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

check build/faults/test/kills "$kills" "$seed" "$least"
if [ -n "$full" ]; then
    build build -DMF_WERROR=ON || exit 1
    check build/test/kills "$kills" "$seed"
fi
check build/faults/moonfork spec/stress/kills/outside.lua build/faults/moonfork "$of_script" "$seed"

[ -z "$MF_COUNTS" ] || echo "$passed $failed" >"$MF_COUNTS"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
