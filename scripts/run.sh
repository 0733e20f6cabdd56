#!/bin/sh
# run.sh SCRIPT [ARGUMENT…]: runs a Lua script with moonfork, which is built first, with all that it
# needs, if it is not there yet. `sh scripts/run.sh --help` shows the options of the command.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
. "$root/scripts/tools/setup.sh"

# The names of packages are words: no quotes.
# shellcheck disable=SC2046
install_missing $(missing_for_build) || exit 1
build "$root/build" || exit 1
exec "$root/build/moonfork" "$@"
