# shellcheck shell=bash disable=SC2034
# Sourced by ./start and ./check: brings the machine to where kin can be built.
#
# Only what is missing is installed, so that a second run touches neither the
# network nor the system, and a user without root who has everything is never
# asked for anything. Debian's own packages are the only source. A package that
# brings a daemon (nginx, redis) must not start it: for the time of the installation
# policy-rc.d says no, unless the machine already has a policy of its own.

BUILD_PACKAGES=(gcc libc6-dev meson ninja-build pkg-config liburing-dev libssl-dev
    libcurl4-openssl-dev libjansson-dev libhttp-parser-dev ca-certificates)
TEST_PACKAGES=(clang libclang-rt-14-dev valgrind nginx openssl curl python3 iproute2 mandoc
    wrk apache2-utils nghttp2-client postgresql libpq-dev redis-server libhiredis-dev)

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

# missing PACKAGE…: prints those that are not installed.
missing() {
    local package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
            grep -x installed >/dev/null ||
            printf '%s\n' "$package"
    done
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" \
        </dev/null
}

# Runs in a subshell, so that its trap ends with it.
apt_install() (
    policy=/usr/sbin/policy-rc.d
    if ! [ -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    # A third-party source that does not answer must not stop us: what counts
    # is whether the packages can be had.
    apt update || true
    apt install -y --no-install-recommends "$@"
)

# install_missing PACKAGE…
install_missing() {
    local wanted log
    command -v dpkg-query >/dev/null ||
        die "this script knows Debian's packages only; install their equivalents and use meson: $*"
    mapfile -t wanted < <(missing "$@")
    [ "${#wanted[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        say "${0##*/}: some packages are missing; as root, run:"
        say "  apt-get update && apt-get install -y --no-install-recommends ${wanted[*]}"
        exit 1
    fi
    say "Installing ${wanted[*]} …"
    log=$(mktemp)
    if ! apt_install "${wanted[@]}" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "could not install ${wanted[*]}"
    fi
    rm -f "$log"
}

# build DIRECTORY OPTION…: configures and builds. Quiet, unless something is wrong.
# A directory that somebody else configured keeps its options.
build() {
    local dir=$1 log=$1.log
    shift
    mkdir -p "$(dirname "$dir")"
    if ! [ -f "$dir/build.ninja" ]; then
        meson setup "$dir" "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
        printf '%s' "$*" >"$dir/.options"
    elif [ -f "$dir/.options" ] && [ "$(cat "$dir/.options")" != "$*" ]; then
        meson setup --reconfigure "$dir" "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
        printf '%s' "$*" >"$dir/.options"
    fi
    ninja -C "$dir" -k 0 >"$log" 2>&1 || { grep -v '^\[' "$log" >&2 || cat "$log" >&2; return 1; }
    rm -f "$log"
}
