#!/bin/sh
# fuzz.sh [--full] [--seed N] [TARGET…]: hostile bytes, by libFuzzer. The targets are those of
# spec/fuzz/README.md.
#
# Each target first runs its corpus, then so many inputs of libFuzzer's making: the same ones for a
# seed, as long as the target is the same. --full makes 10^8, half of them without
# AddressSanitizer (undefined behaviour and wild addresses still end the program), and keeps what
# it learns in build/fuzz/learnt, so that the next run goes on from there.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
cd "$root" || exit 1
. scripts/tools/setup.sh

full='' seed=1 targets=
while [ $# -gt 0 ]; do
    case $1 in
    --full) full=yes ;;
    --seed) seed=$2 && shift ;;
    *) targets="$targets $1" ;;
    esac
    shift
done
: "${targets:=decode values arena}"

# runs TARGET: how many inputs, in all and for one process of the long form, which ends now and then
# so that it does not grow.
runs() {
    case $1${full:+-full} in
    decode) echo 1200000 ;;
    decode-full) echo 94000000 ;;
    values) echo 20000 ;;
    values-full) echo 1000000 ;;
    arena) echo 40000 ;;
    arena-full) echo 5000000 ;;
    esac
}
slice=5000000

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# shellcheck disable=SC2046 # names of packages are words
install_missing $(missing_for_build) $(missing_for_clang) || exit 1

options="-DMF_FUZZ=ON -DMF_WERROR=ON -DBUILD_TESTING=OFF -DCMAKE_C_COMPILER=clang"
# shellcheck disable=SC2086 # several options
build build/fuzz -DMF_SANITIZE=address $options || exit 1
# shellcheck disable=SC2086
[ -z "$full" ] || build build/fuzz-fast $options || exit 1

export ASAN_OPTIONS="quarantine_size_mb=16:detect_leaks=1:allocator_may_return_null=1"
export UBSAN_OPTIONS=print_stacktrace=1

# fuzz FOLDER TARGET SEED RUNS: one process of libFuzzer; adds its executions to $executed. Without
# leak checks in between, which take longer than the runs; there is one at the end.
fuzz() {
    corpora="spec/fuzz/corpus/$2 spec/fuzz/found/$2"
    [ ! -e "spec/fuzz/$2.dict" ] || corpora="-dict=spec/fuzz/$2.dict $corpora"
    learnt=$tmp/learnt/$2
    [ -z "$full" ] || learnt=build/fuzz/learnt/$2
    mkdir -p "$learnt"
    longest=300
    [ "$2" != decode ] || longest=1024
    # shellcheck disable=SC2086
    "$1/test/fuzz_$2" -seed="$3" -runs="$4" -max_len=$longest -timeout=60 -detect_leaks=0 \
        -artifact_prefix="$tmp/$2-" -print_final_stats=1 \
        "$learnt" $corpora >"$tmp/log" 2>&1 </dev/null
    status=$?
    done_now=$(sed -n 's/^stat::number_of_executed_units: //p' "$tmp/log")
    executed=$((executed + ${done_now:-0}))
    [ $status -eq 0 ] && return 0
    grep -v '^#' "$tmp/log" | tail -n 60
    for input in "$tmp/$2"-*; do
        [ -f "$input" ] || continue
        mkdir -p build/fuzz/faults
        mv "$input" build/fuzz/faults/
        echo "$2: the input is in build/fuzz/faults/$(basename "$input"); a fixed one goes to spec/fuzz/found/$2"
    done
    return 1
}

# fuzz_target TARGET: all its runs; the two builds take turns in the long form.
fuzz_target() {
    executed=0
    wanted=$(runs "$1")
    round=0
    begin=$(date +%s)
    while [ $executed -lt "$wanted" ]; do
        folder=build/fuzz
        [ -n "$full" ] && [ $((round % 2)) -eq 1 ] && folder=build/fuzz-fast
        some=$((wanted - executed))
        [ $some -gt $((wanted / 10 + 1)) ] && [ -n "$full" ] && some=$((wanted / 10 + 1))
        [ $some -gt $slice ] && some=$slice
        progress "$1: $executed of $wanted"
        fuzz $folder "$1" $((seed + round)) $some || return 1
        round=$((round + 1))
    done
    seconds=$(($(date +%s) - begin))
    progress ""
}

passed=0 failed=0
printf '%-8s %12s %9s %11s   seed %s\n' target executions seconds 'a second' "$seed"
for target in $targets; do
    if fuzz_target "$target"; then
        passed=$((passed + 1))
    else
        seconds=$(($(date +%s) - begin))
        failed=$((failed + 1))
    fi
    printf '%-8s %12d %9d %11d\n' "$target" $executed "$seconds" $((executed / (seconds + 1)))
done
[ -z "$MF_COUNTS" ] || echo "$passed $failed" >"$MF_COUNTS"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
