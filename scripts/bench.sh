#!/bin/sh
# bench.sh [WORKLOAD…]: measures moonfork beside other languages and beside what the machine allows.
# bench.sh --scale [SERIES…]: how time and memory grow with the size of the work.
# Installs and builds what that needs, then scripts/bench/bench.lua, or scale.lua, does it; --help
# tells how.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
. "$root/scripts/tools/setup.sh"

missing_peers() {
    has python3 || echo python3
    has node || has nodejs || echo nodejs
    perl -MMCE -e 1 2>/dev/null || echo libmce-perl
    ruby -rparallel -e 1 2>/dev/null || echo ruby-parallel ruby
}

# The names of packages are words: no quotes.
# shellcheck disable=SC2046
install_missing $(missing_for_build) $(has lua5.4 || echo lua5.4) || exit 1
driver=bench
for word; do
    [ "$word" != --scale ] || driver=scale
    # shellcheck disable=SC2046
    [ "$word" != --install-peers ] || install_missing $(missing_peers) || exit 1
done
build "$root/build" || exit 1
cd "$root" && exec build/moonfork scripts/bench/$driver.lua "$@"
