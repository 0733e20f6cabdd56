#!/bin/sh
# run-specs.sh COUNTS SPEC… -- INTERPRETER…: the specs under an interpreter, each in a busted of its
# own, some at a time, for most of what a spec does is to wait. What they print comes out whole, one
# spec after the other, and `PASSED FAILED` of all goes into the file COUNTS.

at_once=$(($(nproc) * 2))
longest=400 # seconds that one may take before it counts as hung

counts=$1
shift
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
while [ "$1" != -- ]; do
    echo "$1" >>"$out/specs"
    shift
done
shift

export out
# A spec that ends without its counts has failed once.
# shellcheck disable=SC2016 # for the inner shell
xargs -P $at_once -n 1 sh -c '
    for spec; do :; done
    export MF_COUNTS="$out/$(basename "$spec").counts"
    "$@" >"$out/$(basename "$spec").output" 2>&1 </dev/null
    status=$?
    [ -s "$MF_COUNTS" ] || echo 0 1 >"$MF_COUNTS"
    exit $status
' sh timeout -k 10 $longest "$@" "$(command -v busted)" \
    --output="$(dirname "$0")/busted_counts.lua" <"$out/specs"
status=$?
cat "$out"/*.output
awk '{ passed += $1; failed += $2 } END { print passed, failed }' "$out"/*.counts >"$counts"
exit $status
