#!/bin/sh
# Builds the codec three times, each with one fault seeded (-DMF_MUTANT=n), and runs the random
# round trip on each: it must fail. Then once without a fault: it must pass. Run from the top.
set -eu

lua=${LUA:-lua5.4}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
flags=$(pkg-config --cflags lua5.4 2>/dev/null || pkg-config --cflags lua-5.4)
cd bindings/codec
for mutant in 1 2 3 0; do
    mkdir "$folder/$mutant"
    # shellcheck disable=SC2086 # the flags are several words
    "${CC:-cc}" -std=gnu11 -O1 -fPIC -shared -DMF_MUTANT=$mutant $flags -I. \
        ../../spec/support/codec_probe.c ./*.c -o "$folder/$mutant/codec_probe.so"
done
cd ../..
for mutant in 1 2 3; do
    if "$lua" spec/support/round_trip.lua "$folder/$mutant" 3000 1 2>"$folder/said"; then
        echo "mutant $mutant was not caught" >&2
        exit 1
    fi
    echo "mutant $mutant caught: $(cat "$folder/said")"
done
"$lua" spec/support/round_trip.lua "$folder/0" 3000 1
echo "the original passes"
