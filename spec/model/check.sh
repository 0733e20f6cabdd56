#!/bin/sh
# check.sh [--full]: has SPIN verify the models in this folder, and find every bug that can be
# seeded. README.md tells what they are. Each line of the table is one verification; it has passed
# when what came out is what must come out. Two at a time, at most 8 GiB each with --full.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
here=$root/spec/model
jobs=2

# What | model | what must come out | options of spin | of gcc and the verifier
short_list() {
    cat <<'END'
a kill anywhere, each store a step|queue|0 errors|P=1 C=1 FINE
a kill anywhere|queue|0 errors|P=1 C=2
a kill anywhere, messages in descriptors|queue|0 errors|P=1 C=1 INLINES=1 PUTS=2 GETS=2
two kills, also of a claimer|queue|0 errors|P=1 C=1 READY=1 GETS=2 KILLS=2 WATCHES=1
two kills, also of a sleeper that claims|queue|0 errors|P=1 C=1 READY=1 GETS=2 KILLS=2 LOOKS=1
store buffers|wait|0 errors|
no wake after the unlocking|queue|starved|P=1 C=1 KILLS=0 BUG_NO_WAKE
wake before the commit|queue|starved|P=1 C=1 KILLS=0 BUG_WAKE_EARLY
no wake after a death|queue|starved|P=1 C=1 BUG_NO_REWAKE
hand emptied before the commit|queue|leaked|P=1 C=1 BUG_INTENT_EARLY
hand filled after the commit|queue|torn|P=1 C=1 BUG_INTENT_LATE
got said after the commit|queue|unaccounted|P=1 C=1 BUG_GOT_LATE
a dead holder's move not settled|queue|torn|P=1 C=1 BUG_NO_SETTLING
claimer signs its own name|queue|leaked|P=1 C=1 KILLS=2 WATCHES=1 BUG_UNSIGNED
next claimer counts again|queue|lost_twice|P=1 C=1 KILLS=2 WATCHES=1 BUG_LOST_TWICE
the same, after another's count|queue|lost_twice|P=0 C=2 READY=2 KILLS=3 WATCHES=1 BUG_COUNT_OPEN
ticket after the announcement|queue|starved|P=1 C=2 PUTS=2 KILLS=0 BUG_TICKET_LATE
later sleepers forgotten|queue|starved|P=1 C=2 KILLS=0 BUG_QUIET_ANEW
killed in a supervisor with a wake|queue|starved|P=1 C=2 KILLS=2 LOOKS=1 BUG_LOOK_FIRST|-DT_REVERSE
killed before it passes the wake on|queue|starved|P=1 C=2 POLLS=2 BUG_END_FIRST
wake kept past the deadline|queue|starved|P=3 C=1 READY=1 TIMED=1 TRIES=2 KILLS=0 BUG_NO_PASSING
relaxed commit|wait|invalid end state|BUG_COMMIT_RELAXED
relaxed announcement|wait|invalid end state|BUG_ANNOUNCE_RELAXED
END
}

long_list() {
    cat <<'END'
a kill anywhere, each store a step|queue|0 errors|P=1 C=1 READY=1 GETS=2 FINE
a kill anywhere, two messages each|queue|0 errors|P=1 C=2 PUTS=2
a kill anywhere, two producers|queue|0 errors|P=2 C=1 READY=1 GETS=2
a kill anywhere, segments of two|queue|0 errors|P=2 C=1 READY=1 GETS=2 CAPACITY=3 ROOM=2
a kill anywhere, one that only waits|queue|0 errors|P=1 C=2 POLLS=2
a kill anywhere, sleepers that claim|queue|0 errors|P=1 C=2 LOOKS=1
deadlines|queue|0 errors|P=3 C=1 READY=1 TIMED=1 TRIES=2 KILLS=0
three kills of consumers and claimers|queue|0 errors|P=0 C=2 READY=2 KILLS=3 WATCHES=1
two kills, also of a claimer|queue|0 errors|P=1 C=2 KILLS=2 WATCHES=1||-w25
END
}

# define P=1 C=2 …: as options of spin.
define() {
    for word in "$@"; do
        case $word in
        P=*) printf ' -DPRODUCERS=%s' "${word#P=}" ;;
        C=*) printf ' -DCONSUMERS=%s' "${word#C=}" ;;
        *) printf ' -D%s' "$word" ;;
        esac
    done
}

# outcome FILE: what a verifier has printed, in two words: the name of what is violated, or
# `N errors`; `unfinished` when it has not looked everywhere.
outcome() {
    name=$(sed -n -e 's/^pan:1: assertion violated \([^ ]*\).*/\1/p' \
        -e 's/^pan:1: \(invalid end state\).*/\1/p' "$1")
    if [ -n "$name" ]; then
        echo "$name"
    elif grep -q -e 'not completed' -e 'too small' -e 'out of memory' "$1" ||
        ! grep -q 'errors: ' "$1"; then
        echo unfinished
    else
        sed -n 's/.*errors: \([0-9]*\).*/\1 errors/p' "$1"
    fi
}

# run_spin MODEL OPTIONS COMPILE RUN: in the current folder; what is printed goes to `log`.
run_spin() {
    # shellcheck disable=SC2046,SC2086 # words
    spin $(define $2) -a "$here/$1.pml" >log 2>&1 &&
        gcc -w -DSAFETY -DCOLLAPSE -DVECTORSZ=1024 -DMEMLIM=7500 $3 -o pan pan.c >>log 2>&1 &&
        ./pan -m100000 $4 >log 2>&1
}

# verify FOLDER LINE: one verification, in a folder of its own; leaves its line of the table there.
verify() {
    mkdir -p "$1" && cd "$1" || return 1
    IFS='|' read -r what model expected options compile run <<END
$2
END
    run_spin "$model" "$options" "$compile" "$run"
    came=$(outcome log)
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' log)
    printf '%-40s %-60s %9s  %s\n' "$what" "$options" "$states" "$came" >line
    if [ "$came" = "$expected" ]; then
        echo passed >verdict
    else
        echo failed >verdict
        echo "FAILED: '$expected' must come out. The end of what was printed:" >>line
        tail -5 log >>line
    fi
}

# The lines of standard input, every $jobs-th from the first-th on.
worker() {
    n=0
    while IFS= read -r line; do
        n=$((n + 1))
        [ $((n % jobs)) -ne "$1" ] || (verify "$tmp/$(printf %03d $n)" "$line")
    done
}

. "$root/scripts/tools/setup.sh"
if [ $# -gt 1 ] || { [ $# -eq 1 ] && [ "$1" != --full ]; }; then
    complain "usage: sh spec/model/check.sh [--full]"
    exit 2
fi
# shellcheck disable=SC2046 # words
install_missing $(has spin || echo spin) $(has gcc || echo gcc libc6-dev) || exit 1

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
short_list >"$tmp/list"
[ $# -eq 0 ] || long_list >>"$tmp/list"

first=0
while [ $first -lt $jobs ]; do
    worker $first <"$tmp/list" &
    first=$((first + 1))
done
wait

printf '%-40s %-60s %9s  %s\n' 'verification, or seeded bug' options states outcome
cat "$tmp"/*/line
passed=$(cat "$tmp"/*/verdict | grep -c passed)
failed=$(($(wc -l <"$tmp/list") - passed))
[ -z "$MF_COUNTS" ] || echo "$passed $failed" >"$MF_COUNTS"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
