#!/bin/sh
# test.sh [--full] [STEP…]: builds and tests everything, or only the named steps. What they need is
# installed first. The last line is `N passed, N failed`; the status is 0 when nothing failed.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
cd "$root" || exit 1
. scripts/tools/setup.sh

steps="layers format luacheck unit spec stock asan asan-spec asan-stock tsan install \
    crash kills scoreboard resources fuzz mutants model signals budget"
full_steps="valgrind" # with --full, or by name
pairs="crash scoreboard fuzz" # each of these runs beside the step after it

usage() {
    cat <<'END'
usage: sh scripts/test.sh [--full] [STEP...]
       sh scripts/test.sh --coverage

Without a name all steps are run:
  layers      no file includes a header of a layer above its own
  format      clang-format has nothing to change
  luacheck    neither has luacheck to complain
  unit        the C tests (ctest)
  spec        the specs (busted) under moonfork
  stock       the specs under lua5.4
  asan        the C tests, with AddressSanitizer and UndefinedBehaviorSanitizer
  asan-spec   the specs under a moonfork with these two
  asan-stock  the specs under lua5.4, the module with these two
  tsan        the C tests that are driven by threads, with ThreadSanitizer
  install     what cmake --install puts in place is used by a host of its own
  crash       a process dies, or stands still, at each named point of the runtime
  kills       processes of a mesh of pools, queues and locks are killed at random
  scoreboard  one kill or misuse each, as users meet them
  resources   allocations and system calls fail in turn
  fuzz        hostile bytes for the decoder and for the readers of shared memory
  mutants     the suite notices when a line of moonfork is broken
  model       SPIN verifies the model of queue, sleep and death, and finds the seeded bugs
  signals     storms of signals, processes that are stopped
  budget      what a put, a get, a map and a start cost in instructions, beside what was recorded

--full      their long forms, which take hours, and
  valgrind    memcheck has nothing to report
--coverage  prints how much of runtime/ and of the codec all this reaches
END
}

# --- How a step tells its result: it writes `PASSED FAILED` into $counts. -------------------------

# A check is one test.
check() {
    if "$@"; then echo "1 0" >"$counts"; else echo "0 1" >"$counts"; fi
}

# run_ctest FOLDER [OPTION…]: the C tests, under $launcher if that is set.
run_ctest() {
    folder=$1
    shift
    $launcher ctest --test-dir "$folder" --output-on-failure --no-tests=error "$@" >"$counts.ctest" 2>&1
    status=$?
    cat "$counts.ctest"
    sed -n 's/^.*tests passed, \([0-9]*\) tests* failed out of \([0-9]*\)$/\1 \2/p' "$counts.ctest" |
        { read -r failed total && echo "$((total - failed)) $failed" >"$counts"; }
    return $status
}

# run_busted FOLDER COMMAND…: the specs under COMMAND, an interpreter, with FOLDER's products. The
# largest begin: they take longest.
run_busted() {
    folder=$1
    shift
    # shellcheck disable=SC2046 # names of specs are words
    MF_BUILD=$folder LUA_CPATH="$root/$folder/?.so;;" \
        sh scripts/tools/run-specs.sh "$counts" $(ls -S spec/*_spec.lua) -- "$@"
}

# --- The steps -----------------------------------------------------------------------------------

sanitizers="quarantine_size_mb=16:detect_leaks=1:allocator_may_return_null=1:exitcode=99"

build_release() { build build -DMF_WERROR=ON; }
build_asan() { build build/asan -DMF_SANITIZE=address -DMF_WERROR=ON; }
build_tsan() { build build/tsan -DMF_SANITIZE=thread -DMF_WERROR=ON; }

step_layers() { check sh scripts/tools/check-layers.sh; }

step_format() {
    find runtime bindings scripts spec -name '*.[ch]' -exec \
        clang-format --dry-run --Werror --ferror-limit=0 {} + >"$tmp/format" 2>&1
    status=$?
    sed -n 's/^\([^ ]*:[0-9]*\):[0-9]*: error: .*/\1: not as clang-format has it/p' "$tmp/format" | uniq
    check test $status -eq 0
}

step_luacheck() { check luacheck --quiet --no-color .; }

step_unit() { build_release && run_ctest build; }

step_spec() { build_release && run_busted build build/moonfork; }

step_stock() { build_release && run_busted build lua5.4; }

step_asan() {
    export ASAN_OPTIONS=$sanitizers UBSAN_OPTIONS=print_stacktrace=1
    build_asan && run_ctest build/asan
}

step_asan_spec() {
    export ASAN_OPTIONS=$sanitizers UBSAN_OPTIONS=print_stacktrace=1
    build_asan && run_busted build/asan build/asan/moonfork
}

# Leaks are not looked for here: all that a spec starts, sh for one, would be held to it.
step_asan_stock() {
    export ASAN_OPTIONS="$sanitizers:detect_leaks=0" UBSAN_OPTIONS=print_stacktrace=1
    build_asan && run_busted build/asan env LD_PRELOAD="$(cc -print-file-name=libasan.so)" lua5.4
}

# ThreadSanitizer wants its memory at fixed places, which a randomised layout may have taken.
step_tsan() {
    build_tsan || return 1
    launcher=
    setarch -R true 2>/dev/null && launcher="setarch -R"
    run_ctest build/tsan -R '_threads$'
}

# The long ones are scripts of their own, which count into $MF_COUNTS.
harness() { MF_COUNTS=$counts sh "$1" $form; }

step_crash() { harness spec/stress/crash.sh; }
step_kills() { harness spec/stress/kills.sh; }
step_fuzz() { harness spec/stress/fuzz.sh; }
# Without python3, which takes its time to hang.
step_scoreboard() {
    export PYTHON=
    harness scripts/scoreboard.sh
}

step_resources() { harness spec/stress/resources.sh; }
step_mutants() { harness spec/mutants/check.sh; }
step_model() { harness spec/model/check.sh; }
step_signals() { harness spec/stress/signals.sh; }
step_budget() { harness spec/budget/check.sh; }
step_valgrind() { harness spec/stress/valgrind.sh; }

step_install() {
    build_release && cmake --install build --prefix "$tmp/prefix" >"$tmp/install" 2>&1
    status=$?
    [ $status -eq 0 ] || cat "$tmp/install"
    [ $status -eq 0 ] && check sh scripts/tools/check-install.sh "$tmp/prefix"
}

# --- Running them ---------------------------------------------------------------------------------

# execute STEP: runs it, and leaves in $tmp/STEP.* what it printed, counted and took.
execute() {
    counts=$tmp/$1.counts
    begin=$(date +%s)
    ("step_$(echo "$1" | tr - _)") >"$tmp/$1.output" 2>&1
    echo "$? $(($(date +%s) - begin))" >"$tmp/$1.end"
}

# report STEP: its line; what it printed too if it failed.
report() {
    status=1 seconds=0 passed=0 failed=0
    read -r status seconds <"$tmp/$1.end"
    [ -s "$tmp/$1.counts" ] && read -r passed failed <"$tmp/$1.counts"
    note=$(grep '^not judged: ' "$tmp/$1.output")
    # A step that fails without a count of its own is one failure, and so is one that has run
    # nothing, unless it says that it has nothing to judge by. That is told in any case.
    if [ "$failed" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$passed$note" = 0 ]; }; then
        failed=1
    fi
    if [ "$failed" -eq 0 ]; then
        [ -z "$note" ] || echo "$note"
    else
        cat "$tmp/$1.output"
    fi
    printf '%-11s %5d passed %4d failed %5d s\n' "$1" "$passed" "$failed" "$seconds"
    all_passed=$((all_passed + passed))
    all_failed=$((all_failed + failed))
}

# The first of a pair runs while the second does: one of the two waits more than it computes.
runs_beside_next() {
    case " $pairs " in *" $1 "*) [ $# -gt 1 ] ;; *) return 1 ;; esac
}

run_step() {
    progress "$beside $1"
    execute "$1"
    wait
    progress ""
    [ -z "$beside" ] || report "$beside"
    report "$1"
    beside=
}

form=
case $1 in
--help) usage && exit 0 ;;
--coverage) exec sh spec/coverage/run.sh ;;
--full)
    form=$1 && shift
    steps="$steps $full_steps"
    ;;
esac
for name in "$@"; do
    case " $steps $full_steps " in
    *" $name "*) ;;
    *)
        complain "no step is called $name"
        usage >&2
        exit 2
        ;;
    esac
done

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
launcher=

# The names of packages, and of steps, are words: no quotes.
# shellcheck disable=SC2046
install_missing $(missing_for_tests) || exit 1

all_passed=0
all_failed=0
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $steps
beside=
while [ $# -gt 0 ]; do
    if runs_beside_next "$@"; then
        execute "$1" &
        beside=$1
    else
        run_step "$1"
    fi
    shift
done
echo "$all_passed passed, $all_failed failed"
[ "$all_failed" -eq 0 ]
