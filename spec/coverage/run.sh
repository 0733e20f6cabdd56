#!/bin/sh
# run.sh [--list] [PART…]: which lines and branches of the runtime and of the codec the tests reach.
# Prints a table, with --list the branches that none took too, and fails below 90 per cent of the
# branches. The parts are `unit crash spec stock` and the names of harnesses in spec/stress that use
# build/faults; without a name all but stock, which runs the same C under another interpreter.
#
# spec/stress/step.c and kills.c do not count here: they kill between any two instructions, and what
# is counted on a way that nobody walked to its end says something wrong about its branches.

main=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
root=$main/build/coverage

# The tree once more, by links: what builds and uses build/faults has the counters there.
mkdir -p "$root" || exit 1
for name in "$main"/* "$main"/.[!.]*; do
    case ${name##*/} in
    build | .git) ;;
    *) ln -sfn "$name" "$root/" || exit 1 ;;
    esac
done
cd "$root" || exit 1
. scripts/tools/setup.sh

limit=90
folder=build/faults
gcov=gcov-$(cc -dumpversion | cut -d. -f1) # of the compiler's own version
has "$gcov" || gcov=gcov
list=
while :; do
    case $1 in
    --full) ;; # there is one form only
    --list) list=--list ;;
    *) break ;;
    esac
    shift
done
[ $# -gt 0 ] || set -- unit crash spec resources

# shellcheck disable=SC2046 # the names of packages are words
install_missing $(missing_for_tests) || exit 1
build $folder -DMF_COVERAGE=ON -DMF_FAULTS=ON -DMF_WERROR=ON || exit 1

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$tmp/objects" "$tmp/report"
export MF_COVERAGE="$root/counters" # a spec fails on what a family has mapped of /tmp
rm -rf "$MF_COVERAGE"
mkdir "$MF_COVERAGE" || exit 1

run_busted() {
    MF_BUILD=$folder LUA_CPATH="$root/$folder/?.so;;" "$@" "$(command -v busted)" </dev/null
}

run_part() {
    case $1 in
    unit) ctest --test-dir $folder --output-on-failure --no-tests=error ;;
    crash) $folder/test/crash && $folder/moonfork spec/stress/crash.lua ;;
    spec) run_busted $folder/moonfork ;;
    stock) run_busted lua5.4 ;;
    *) sh "spec/stress/$1.sh" ;;
    esac
}

passed=0 failed=0
count() {
    if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

for part in "$@"; do
    progress "$part"
    run_part "$part" >"$tmp/output" 2>&1
    status=$?
    progress ""
    [ $status -eq 0 ] || cat "$tmp/output"
    echo "$part: status $status"
    count $status
done

# dump PROGRAM: what was counted in it, as a text of JSON for each object in $tmp/report. A module
# does it when it is loaded, a program as soon as it runs.
dump() (
    export MF_COVERAGE_DUMP="$tmp/objects"
    file=$folder/$1
    [ -e "$file" ] || file=$folder/test/$1
    case $1 in
    *.so) lua5.4 -e "package.loadlib('$file', '*')" ;;
    *) "$file" ;;
    esac || return 1
    (cd "$tmp/objects" && "$gcov" --branch-probabilities --branch-counts --json-format --stdout \
        ./*.gcda) >"$tmp/report/$1" && rm "$tmp/objects"/*.gcda
)

find "$root/$folder" -name '*.gcno' | while read -r notes; do
    cp "$notes" "$tmp/objects/$(echo "$notes" | tr / '#')" # as counters.c names the other half
done
for counters in "$MF_COVERAGE"/*; do
    dump "$(basename "$counters")" || failed=$((failed + 1))
done

unset MF_COVERAGE
$folder/moonfork spec/coverage/report.lua "$tmp/report" $limit $list
count $?
[ -z "$MF_COUNTS" ] || echo "$passed $failed" >"$MF_COUNTS"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
