#!/bin/sh
# scoreboard.sh [CASE…]: one kill or misuse each, on moonfork and, where it is installed, on python3
# with its own multiprocessing. Prints what came of each, side by side. The programs are
# scripts/scoreboard/CASE.lua and CASE.py; a case without a .lua is one whose primitive moonfork does
# not have yet. Each program runs in a session of its own, for at most 5 seconds; what it leaves
# there is counted, and ended.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
cd "$root" || exit 1
. scripts/tools/setup.sh

limit=5 # seconds

usage() {
    cat <<'END'
usage: sh scripts/scoreboard.sh [CASE...]

Runs the cases A1 to A17, or those that are named, on moonfork and on python3 (PYTHON=... names
another; PYTHON= leaves it out), and prints the outcomes as a table. The exit status is 0 when
moonfork has passed each case that it has.
END
}

cases="A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15 A16 A17"

describe() {
    case $1 in
    A1) echo "one of 20 tasks kills its worker" ;;
    A2) echo "... then the pool is used again" ;;
    A3) echo "a getter asleep is killed, then put and get" ;;
    A4) echo "a producer is killed in a put of 30 MB" ;;
    A5) echo "the holder of a lock is killed" ;;
    A6) echo "a task raises an error that cannot be sent" ;;
    A7) echo "a child that has put 65 MB is joined first" ;;
    A8) echo "a waiter of a condition is killed, then notify" ;;
    A9) echo "a waiter of an event is killed, then set" ;;
    A10) echo "one of two at a Barrier(3) is killed" ;;
    A11) echo "one worker, replaced after 2 tasks, 6 tasks" ;;
    A12) echo "terminate with 8 results of 50 MB under way" ;;
    A13) echo "SIGKILL of the parent of 4 workers" ;;
    A14) echo "SIGKILL of all processes" ;;
    A15) echo "a task exits, crashes, runs out of memory" ;;
    A16) echo "the initializer of a pool raises" ;;
    A17) echo "Ctrl-C in the middle of a map" ;;
    esac
}

# --- A program in a session of its own ------------------------------------------------------------

# now: hundredths of a second since the machine was started.
now() {
    read -r uptime _ </proc/uptime
    echo "${uptime%.*}${uptime#*.}" | sed 's/^0*\(.\)/\1/'
}

# members: the pids of the session, without zombies.
members() {
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v session="$pid" '
        { id = $1; sub(/^.*\) /, ""); split($0, f, " ") }
        f[1] != "Z" && f[4] == session { print id }'
}

count_members() { members | wc -l | tr -d ' '; }

end_session() {
    # The pids are words: no quotes.
    # shellcheck disable=SC2046
    while [ "$(count_members)" -gt 0 ]; do
        kill -KILL $(members) 2>/dev/null
        sleep 0.02
    done
}

# A background command of sh ignores SIGINT; a program at a terminal does not.
fresh='env'
env --default-signal=INT,QUIT true 2>/dev/null && fresh="env --default-signal=INT,QUIT"

# start COMMAND…: sets pid, which is also the session's and the group's.
start() {
    mkdir "$tmp/own"
    # The options of env are words: no quotes.
    # shellcheck disable=SC2086
    TMPDIR=$tmp/own setsid $fresh "$@" >"$tmp/out" 2>"$tmp/err" </dev/null &
    pid=$!
    begin=$(now)
}

# is_running: has the program not ended yet, nor the time?
is_running() {
    state=$(sed 's/^.*) \(.\).*/\1/' "/proc/$pid/stat" 2>/dev/null)
    [ -n "$state" ] && [ "$state" != Z ] && [ $(($(now) - begin)) -lt $((limit * 100)) ]
}

# The first line of a program that is to be killed.
await_ready() {
    while is_running && ! grep -q '^ready' "$tmp/out"; do sleep 0.02; done
    grep -q '^ready' "$tmp/out"
}

# await_end: sets status, and outcome where it hangs.
await_end() {
    while is_running; do sleep 0.02; done
    elapsed=$(($(now) - begin))
    outcome=
    if [ $elapsed -ge $((limit * 100)) ]; then
        outcome="hangs ($limit s)"
        end_session
    fi
    wait "$pid" 2>/dev/null
    status=$?
    seconds=$((elapsed / 100)).$(printf %02d $((elapsed % 100)))
}

# --- What came of it: each sets outcome and passed -------------------------------------------------

# Processes may take a moment to be gone.
await_nobody() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        left=$(count_members)
        [ "$left" -eq 0 ] && return
        sleep 0.1
    done
}

# What the program says of itself in its last line; it fails by its status.
judge_itself() {
    await_end
    await_nobody
    [ -n "$outcome" ] && return
    outcome=$(tail -n 1 "$tmp/out")
    [ -n "$outcome" ] || outcome="status $status: $(tail -n 1 "$tmp/err")"
    if [ "$left" -gt 0 ]; then
        outcome="$outcome; $left processes left"
    elif [ $status -eq 0 ]; then
        passed=yes
    fi
}

judge_death_of_parent() {
    kill -KILL "$pid"
    await_end
    await_nobody
    outcome="$left processes alive after 1 s"
    [ "$left" -gt 0 ] || passed=yes
}

judge_death_of_all() {
    kill -KILL "-$pid"
    await_end
    await_nobody
    ls -A /dev/shm >"$tmp/shm.after" 2>/dev/null
    memory=$(comm -13 "$tmp/shm" "$tmp/shm.after" | grep -vc '^sem\.')
    files=$(ls -A "$tmp/own" | wc -l | tr -d ' ')
    outcome="left: $left processes, $memory in /dev/shm, $files in /tmp"
    [ "$left$memory$files" = 000 ] && passed=yes && outcome="nothing left"
    comm -13 "$tmp/shm" "$tmp/shm.after" | grep '^psm_' | sed 's,^,/dev/shm/,' | xargs rm -f
}

judge_interrupt() {
    kill -INT "-$pid"
    await_end
    await_nobody
    lines=$(wc -l <"$tmp/err" | tr -d ' ')
    [ -n "$outcome" ] || outcome="status $status"
    outcome="$outcome, $lines lines, $left processes left"
    [ "$status $lines $left" = "130 1 0" ] && passed=yes &&
        outcome="one line, status 130, nobody left"
}

# run_case CASE COMMAND…: sets outcome, seconds, passed.
run_case() {
    name=$1
    shift
    passed=''
    ls -A /dev/shm >"$tmp/shm" 2>/dev/null
    start "$@"
    case $name in
    A13 | A14 | A17)
        if ! await_ready; then
            await_end
            outcome="it does not get ready: $(tail -n 1 "$tmp/err")"
        elif [ "$name" = A13 ]; then
            begin=$(now)
            judge_death_of_parent
        elif [ "$name" = A14 ]; then
            begin=$(now)
            judge_death_of_all
        else
            begin=$(now)
            judge_interrupt
        fi
        ;;
    *) judge_itself ;;
    esac
    end_session
    rm -rf "$tmp/own"
}

# --- The table -------------------------------------------------------------------------------------

row() { printf '| %-4s | %-46s | %-57s | %4s | %-50s | %4s |\n' "$@"; }

run_both() {
    ours="not yet" our_seconds='' theirs='' their_seconds=''
    if [ -e "scripts/scoreboard/$1.lua" ]; then
        progress "$1 on moonfork"
        run_case "$1" build/moonfork "scripts/scoreboard/$1.lua"
        ours=$outcome our_seconds=$seconds
        if [ -n "$passed" ]; then
            good=$((good + 1))
        else
            bad=$((bad + 1)) ours="FAILED: $ours"
        fi
    fi
    if [ -n "$python" ]; then
        progress "$1 on $python"
        run_case "$1" "$python" "scripts/scoreboard/$1.py"
        theirs=$outcome their_seconds=$seconds
    fi
    progress ""
    row "$1" "$(describe "$1")" "$ours" "$our_seconds" "$theirs" "$their_seconds"
}

for name in "$@"; do
    case " $cases " in
    *" $name "*) ;;
    *)
        [ "$name" = --help ] && usage && exit 0
        complain "no case is called $name"
        usage >&2
        exit 2
        ;;
    esac
done

tmp=$(mktemp -d) || exit 1
pid=0
trap 'rm -rf "$tmp"' EXIT
trap '[ "$pid" -eq 0 ] || end_session; exit 130' INT
trap '[ "$pid" -eq 0 ] || end_session; exit 143' TERM

# The names of packages, and of cases, are words: no quotes.
# shellcheck disable=SC2046
install_missing $(missing_for_build) || exit 1
build build || exit 1

python=${PYTHON-python3}
has "${python:-no}" || python=''
version=''
[ -n "$python" ] && version=$("$python" -c 'import platform
print(platform.python_implementation(), platform.python_version())')

good=0 bad=0
echo "$(date +%Y-%m-%d), $(build/moonfork --version)${version:+, $version}"
echo
row case "what is done" moonfork s "${version:-(no python3)}" s
row ---- --- --- ---- --- ----
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $cases
for name in "$@"; do
    run_both "$name"
done
echo
[ -z "$MF_COUNTS" ] || echo "$good $bad" >"$MF_COUNTS"
echo "$good passed, $bad failed"
[ $bad -eq 0 ]
