#!/bin/sh
# check.sh [--full]: does the suite notice when one line of moonfork is broken (list.lua)? The short
# form tries some that the first tests notice; with --full all, which takes half an hour.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
cd "$root" || exit 1
. scripts/tools/setup.sh

few="5 18 30 51" # the numbers of some, of different parts
[ "$1" = --full ] && few=

# shellcheck disable=SC2046 # the names of packages are words
install_missing $(missing_for_tests) || exit 1
build build || exit 1
MF_FOLDER=$(mktemp -d) || exit 1
export MF_FOLDER
trap 'rm -rf "$MF_FOLDER"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

build/moonfork spec/mutants/run.lua --apply-only || exit 1
# shellcheck disable=SC2086 # several numbers
build/moonfork spec/mutants/run.lua $few >"$MF_FOLDER/rows"
status=$?
cat "$MF_FOLDER/rows"
[ -z "$MF_COUNTS" ] ||
    sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$MF_FOLDER/rows" >"$MF_COUNTS"
exit $status
