# Installs what is missing and builds. Sourced by run.sh and test.sh, which set `root` before.
# POSIX sh.

set_up_anew=

complain() {
    echo "moonfork: $*" >&2
}

# A line that the next one overwrites, for people only.
progress() {
    [ -t 2 ] && printf '\r\033[K%s' "$*" >&2
    return 0
}

has() {
    command -v "$1" >/dev/null 2>&1
}

has_lua() {
    for name in lua5.4 lua-5.4 lua54 lua; do
        pkg-config --exists "$name >= 5.4" "$name < 5.5" 2>/dev/null && return 0
    done
    return 1
}

# The Debian packages that the build needs and that are not there.
missing_for_build() {
    has cmake || echo cmake
    has ninja || echo ninja-build # with make a build that has nothing to do takes half a second
    has pkg-config || echo pkg-config
    has cc || echo gcc
    [ -e /usr/include/stdio.h ] || echo libc6-dev
    has_lua || echo liblua5.4-dev
    # Elsewhere lua-cjson may come without a static library; the command then requires it as usual.
    ! has apt-get || pkg-config --exists lua5.4-cjson 2>/dev/null || echo lua-cjson-dev
}

has_module() {
    has lua5.4 && lua5.4 -e "require '$1'" 2>/dev/null
}

# libFuzzer, and the counters of coverage, are a part of clang that comes in a package of its own.
has_clang_runtime() {
    ls "$(clang -print-resource-dir)"/lib/*/libclang_rt.fuzzer*.a >/dev/null 2>&1
}

missing_for_clang() {
    has clang || echo clang
    has_clang_runtime || echo libclang-rt-dev
}

# The same for the tests.
missing_for_tests() {
    missing_for_build
    has lua5.4 || echo lua5.4
    has busted || echo lua-busted
    has luacheck || echo lua-check
    has clang-format || echo clang-format
    has_module cjson || echo lua-cjson
    has_module lfs || echo lua-filesystem
    has strace || echo strace
}

apt_install() {
    $elevate env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "$@" </dev/null
}

# The lists of packages may be old, or absent, as on a fresh machine.
apt_update_and_install() {
    $elevate apt-get update -q && apt_install "$@"
}

# install_missing PACKAGE…: does nothing without arguments.
install_missing() {
    [ $# -gt 0 ] || return 0
    elevate=
    if ! has apt-get; then
        complain "please install what these Debian packages contain, then try again: $*"
        return 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        elevate=sudo
        if ! has sudo; then
            complain "packages are missing; as root: apt-get install $*"
            return 1
        fi
    fi
    progress "installing $*"
    log=$(mktemp)
    apt_install "$@" >"$log" 2>&1 || apt_update_and_install "$@" >>"$log" 2>&1
    status=$?
    progress ""
    if [ $status -ne 0 ]; then
        cat "$log" >&2
        complain "could not install: $*"
    fi
    rm -f "$log"
    set_up_anew=yes # an older configuration has not seen the new packages
    return $status
}

# A folder is configured at first, with other options than the last time, or after an installation.
is_configured() {
    [ -z "$set_up_anew" ] || return 1
    [ -e "$1/build.ninja" ] || return 1
    folder=$1
    shift
    [ $# -eq 0 ] || [ "$*" = "$(cat "$folder/.options" 2>/dev/null)" ]
}

configure() {
    folder=$1
    shift
    options=$*
    if [ ! -e "$folder/CMakeCache.txt" ]; then
        set -- -G Ninja "$@"
    fi
    # shellcheck disable=SC2154 # set by the script that sources this file
    cmake -S "$root" -B "$folder" "$@" || return 1
    [ -z "$options" ] || echo "$options" >"$folder/.options"
}

configure_and_build() {
    is_configured "$@" || configure "$@" || return 1
    cmake --build "$1" --parallel "$(nproc 2>/dev/null || echo 2)"
}

# build FOLDER [CMAKE OPTION…]: configures and builds into FOLDER, which one process at a time does.
# Quiet unless it fails.
build() {
    mkdir -p "$1" || return 1
    log=$(mktemp)
    progress "building"
    if (
        has flock && flock 9
        configure_and_build "$@"
    ) 9>"$1/.lock" >"$log" 2>&1; then
        rm -f "$log"
        progress ""
    else
        progress ""
        cat "$log" >&2
        rm -f "$log"
        complain "the build in $1 has failed"
        return 1
    fi
}
