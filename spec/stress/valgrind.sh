#!/bin/sh
# valgrind.sh [--full] [SPEC…]: the C tests and the specs under valgrind's memcheck, which follows
# all processes that they start. No report is suppressed. The C tests are searched for leaks too, in
# the children as well. Not the specs and five of the tests: the search would read, and so fill, the
# gigabytes of address space that their families reserve, or be made for a thousand processes.
# descendants_test is left out: under valgrind vfork() is a fork.
#
# The short form runs the C tests but process_test, which starts two thousand processes, and some
# specs; with --full all, which takes most of an hour. step, kills and crash are left out: they
# trace, or kill at moments that would be moments of valgrind's.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
cd "$root" || exit 1
. scripts/tools/setup.sh

full=
[ "$1" != --full ] || { full=yes && shift; }
# shellcheck disable=SC2046 # the names of packages are words
install_missing $(missing_for_tests) $(has valgrind || echo valgrind) || exit 1
build build || exit 1

only_specs=$*
if [ $# -eq 0 ]; then
    set -- functions bytecode lock
    [ -z "$full" ] || set -- spec/*_spec.lua
fi

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

export MF_SLACK=20 # times what a test may take
export MF_BUILD=build MF_INTERPRETER="$root/build/moonfork" LUA_CPATH="$root/build/?.so;;"

# Programs that run none of ours are not followed.
others='*/cc,*/gcc*,*/mktemp,*/rm,*/ls,*/cat,*/cp,*/grep,*/readlink,*/ps,*/kill,*/sleep,*/pkg-config'

# Each process has a log of its own; what it had inherited of its parent's reports is the parent's.
memcheck() {
    mkdir -p "$tmp/logs"
    valgrind --trace-children=yes --trace-children-skip="$others" --error-exitcode=99 \
        --log-file="$tmp/logs/%p" "$@" </dev/null
}

passed=0 failed=0
# verdict NAME STATUS: of the test itself, and of the logs of its processes.
verdict() {
    reports=$(grep -l '^==[0-9]*== \(Invalid\|Conditional\|Use of\|Syscall param\|.*lost in loss\)' \
        "$tmp/logs"/*)
    if [ "$2" -eq 0 ] && [ -z "$reports" ]; then
        passed=$((passed + 1))
        result=clean
    else
        failed=$((failed + 1))
        result="status $2"
        tail -n 60 "$tmp/output"
        for log in $reports; do
            grep -v 'unhandled amd64-linux syscall\|README_MISSING\|write your own\|bug' "$log" | head -n 60
        done
    fi
    printf '%-28s %5d processes %5d s  %s\n' "$1" "$(find "$tmp/logs" -type f | wc -l)" \
        $(($(date +%s) - begin)) "$result"
    rm -rf "$tmp/logs"
}

run_tests() {
    for test in build/test/*_test build/test/queue_processes build/test/*_threads; do
        leaks="--leak-check=full --show-leak-kinds=definite"
        case $test in
        */descendants_test) continue ;; # needs a real vfork()
        */block_test | */embed_test | */public_test | */queue_processes) leaks=--leak-check=no ;;
        */process_test)
            [ -n "$full" ] || continue
            leaks=--leak-check=no
            ;;
        esac
        begin=$(date +%s)
        progress "$test"
        # shellcheck disable=SC2086 # two words
        memcheck $leaks "$test" >"$tmp/output" 2>&1
        verdict "$(basename "$test")" $?
    done
}

run_specs() {
    for spec in "$@"; do
        begin=$(date +%s)
        name=$(basename "$spec" _spec.lua)
        progress "$name"
        memcheck --leak-check=no "$MF_INTERPRETER" "$(command -v busted)" "spec/${name}_spec.lua" \
            >"$tmp/output" 2>&1
        verdict "$name" $?
    done
}

[ -n "$only_specs" ] || run_tests
run_specs "$@"
progress ""
[ -z "$MF_COUNTS" ] || echo "$passed $failed" >"$MF_COUNTS"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
