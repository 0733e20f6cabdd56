#!/bin/sh
# resources.sh [--full]: what the system may refuse is refused, and what comes of it is a clean
# failure: told, by name, in the process whose it is; nothing is left behind, and the same Lua state
# does its work again afterwards.
#
#   allocations  each call of malloc, calloc and realloc, and each block of a child's Lua state: alone,
#                with the one after it (Lua asks twice), and from it on; in the parent, in the
#                children, in both; and those of the command's start and of the first require
#   calls        each system call of the runtime, with each errno that may come, by strace
#   limits       descriptors, processes, bytes of files, addresses, processor time, stack; a full
#                arena; groups of little memory and few processes; calls that older kernels lack
#
# The short form tries some 50 places of each kind, spread evenly, the same in each run; --full all.
# What cannot fail cleanly by nature is told in spec/stress/resources/README.md.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
cd "$root" || exit 1
. scripts/tools/setup.sh

most=24 calls=3 full=
[ "$1" != --full ] || { most=0 calls=0 full=full; }

has strace || set -- strace
[ "$1" = strace ] || set --
# shellcheck disable=SC2046 # names of packages are words
install_missing $(missing_for_build) $(lua5.4 -e 'require "lfs"' 2>/dev/null || echo lua-filesystem) "$@" || exit 1
build build/faults -DMF_FAULTS=ON -DMF_WERROR=ON || exit 1

tmp=$(mktemp -d) || exit 1
chmod 755 "$tmp" # one of the limits is that of another user
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

here=spec/stress/resources
moonfork=$root/build/faults/moonfork
# shellcheck disable=SC2046 # the flags are several words
cc -std=gnu11 -D_GNU_SOURCE -O1 -fPIC -shared -Wall -Wextra -Werror \
    $(pkg-config --cflags lua5.4 2>/dev/null || pkg-config --cflags lua-5.4) \
    $here/faults.c -o "$tmp/faults.so" || exit 1

# --- The jobs: NAME, and a command that prints as allocations.lua does. ----------------------------

scenarios="codec queue pipe lock process ending zygote pool lazy workers shared local"

list_jobs() {
    for scenario in $scenarios; do
        for count in 1 2 0; do
            echo "allocations parent:$count $scenario faulty allocations.lua $tmp $scenario parent $count $most"
        done
        case $scenario in codec | local | shared) continue ;; esac
        for count in 1 0; do
            echo "allocations child:$count $scenario faulty allocations.lua $tmp $scenario child $count $most"
        done
        echo "allocations both:0 $scenario faulty allocations.lua $tmp $scenario both 0 $most"
    done
    for count in 1 2 0; do
        echo "allocations start:$count the-command plain start.lua $tmp start $count $most"
        echo "allocations require:$count the-module plain start.lua $tmp open $count $most"
    done
    list_calls | while read -r call where errors; do
        [ -z "$full" ] || where="process,ending,pool,queue,pipe,lock,lazy,workers"
        for scenario in $(echo "$where" | tr , ' '); do
            echo "calls $call $scenario faulty calls.lua $tmp $scenario $calls $call $errors"
        done
    done
    echo "limits all - plain limits.lua $tmp $full"
}

# A call, the scenarios of the short form, the errors. The calls are those that `calls.lua` lists and
# the sources name, but for those that cannot fail where the runtime makes them: getpid and its like;
# rt_sigaction and rt_sigprocmask, whose arguments are right; set_robust_list, which the C library
# makes and relies on; close, which closes whatever it answers. madvise, which a warm arena does not
# call, is among the limits.
list_calls() {
    cat <<'END'
clone process,pool EAGAIN ENOMEM
pidfd_open process ENOSYS EMFILE ENFILE ENOMEM
pidfd_send_signal ending EPERM ENOSYS
waitid process,ending EINTR EINVAL
ppoll process EINTR ENOMEM EINVAL
futex pool,lock EINTR EAGAIN
close_range process ENOSYS EPERM
dup2 process EBUSY EINTR EMFILE
openat process,ending EMFILE ENFILE ENOENT EACCES ENOMEM
getdents64 ending ENOMEM ENOENT
newfstatat ending ENOMEM
read process EINTR EIO
prctl process EINVAL EPERM
mmap process,pool ENOMEM
getrandom process ENOSYS EINTR EAGAIN
sched_getaffinity process EINVAL
sched_setaffinity process EINVAL EPERM
clock_nanosleep ending EINTR
kill ending ESRCH EPERM
write ending EINTR EAGAIN ENOSPC EPIPE EIO
socketpair zygote EMFILE ENFILE ENOMEM
sendmsg zygote EINTR ENOMEM ETOOMANYREFS
recvmsg zygote EINTR ENOMEM
sendto zygote EINTR ENOMEM
recvfrom zygote EINTR ENOMEM
poll zygote EINTR ENOMEM
fcntl zygote EMFILE
fchdir zygote ENOENT EACCES
prlimit64 zygote EINVAL
END
}

plain() {
    script=$1
    shift
    timeout -k 5 "$longest" "$moonfork" "$here/$script" "$@" </dev/zero
}

faulty() {
    script=$1
    shift
    LD_PRELOAD=$tmp/faults.so timeout -k 5 "$longest" "$moonfork" "$here/$script" "$@" </dev/zero
}

longest=${full:+3600}
: "${longest:=300}"

# run_job RUNNER ARGUMENT...: runs it; where it ends before its end, that is one failure more, and it
# goes on behind the place.
run_job() {
    first=
    for _ in 1 2 3 4 5; do
        # shellcheck disable=SC2086 # no number, or one
        "$@" $first >"$out.now" 2>"$out.err"
        status=$?
        cat "$out.now" >>"$out"
        grep -q '^tried' "$out.now" && [ $status -eq 0 ] && return
        at=$(sed -n 's/^at //p' "$out.now" | tail -1)
        echo "bad $at: ended with status $status: $(tail -n 3 "$out.err" | tr '\n' '|')" >>"$out"
        case $at in '' | *[!0-9]*) return ;; esac
        echo "tried $((at - ${first:-1} + 1)) before" >>"$out"
        first=$((at + 1))
    done
}

# Every second job, from number $1 on.
work() {
    number=$1
    sed -n "$1~2p" "$tmp/jobs" | while read -r part what scenario runner arguments; do
        out=$tmp/out.$number
        echo "$part $what $scenario" >"$out"
        # shellcheck disable=SC2086 # the arguments are words
        run_job "$runner" $arguments
        number=$((number + 2))
    done
}

list_jobs >"$tmp/jobs"
progress "running $(wc -l <"$tmp/jobs") jobs"
work 1 &
work 2 &
wait
progress ""

# --- What came of it. -------------------------------------------------------------------------------

for out in "$tmp"/out.*; do
    case $out in *.now | *.err) continue ;; esac
    read -r part what scenario <"$out"
    tried=$(sed -n 's/^tried \([0-9]*\).*/\1/p' "$out" | awk '{ n += $1 } END { print n + 0 }')
    bad=$(grep -c '^bad' "$out")
    lost=$(sed -n 's/^tried.*, \([0-9]*\) finalisers.*/\1/p' "$out" | awk '{ n += $1 } END { print n + 0 }')
    echo "$part $what $tried $bad $lost"
    sed -n "s/^bad/$part $what $scenario/p; s/^skipped/$part: skipped/p" "$out" >>"$tmp/bad"
done >"$tmp/sums"
cat "$tmp/bad"

awk '{
    key = $1 " " $2
    if (!(key in tried)) order[++n] = key
    tried[key] += $3; bad[key] += $4; lost += $5; all += $3; wrong += $4
}
END {
    printf "%-12s %-20s %7s %5s\n", "part", "what", "failed", "bad"
    for (i = 1; i <= n; i++) {
        split(order[i], word, " ")
        printf "%-12s %-20s %7d %5d\n", word[1], word[2], tried[order[i]], bad[order[i]]
    }
    if (lost) printf "%d finalisers had no memory to be called\n", lost
    printf "%d %d\n", all - wrong, wrong >"'"$tmp/counts"'"
}' "$tmp/sums"
read -r passed failed <"$tmp/counts"
[ "$passed" -gt 0 ] || failed=$((failed + 1))
[ -z "$MF_COUNTS" ] || echo "$passed $failed" >"$MF_COUNTS"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
