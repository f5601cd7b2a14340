#!/bin/bash
# Tries ./start and ./check as somebody does who has just installed Debian 12.
#
#     tools/try-fresh.sh DIRECTORY [COMMAND…]     needs root, debootstrap and git
#
# DIRECTORY/base is a bare Debian 12 root (made once, and kept), DIRECTORY/root a
# copy of it for this try. The repository's last commit is cloned into it under a
# path with a space, and there each COMMAND (./start and ./check unless told) runs
# first as root, without a terminal, then again as a user who has no root and whose
# home cannot be written. WORKTREE=1 takes the files as they are instead of the
# commit; DEBOOTSTRAP_MIRROR is where the packages come from, the mirror of
# debootstrap unless told. The namespaces of mounts and processes are the try's
# own: whatever it leaves behind ends with it.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '4p' "$0"; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- ./start ./check
base=$dir/base root=$dir/root tree="/home/somebody/a clone/kin"

make_base() {
    debootstrap --variant=minbase bookworm "$base.new" ${DEBOOTSTRAP_MIRROR:+"$DEBOOTSTRAP_MIRROR"}
    # How this machine reaches its packages and names: its proxy and resolver.
    apt-config dump | grep -E '^(Acquire::.*(Proxy|CaInfo))' >"$base.new/etc/apt/apt.conf.d/99proxy" ||
        true
    cp -L /etc/resolv.conf "$base.new/etc/resolv.conf"
    mv "$base.new" "$base"
}

make_root() {
    rm -rf --one-file-system "$root"
    cp -a "$base" "$root"
    chroot "$root" useradd --uid 4242 --home-dir /home/somebody somebody
    mkdir -p "$root$tree"
    if [ -n "${WORKTREE:-}" ]; then
        git -C "$here" ls-files -z --cached --others --exclude-standard |
            tar -C "$here" --null --files-from=- --ignore-failed-read -cf - | tar -C "$root$tree" -xf -
    else
        git clone --quiet "$here" "$root$tree"
    fi
    chroot "$root" chown -R somebody "$tree"
}

# What runs in the namespaces: makes the root the root, and there, in the clone and
# with an environment of its own, runs a command as a user. (Not by chroot: in one,
# nobody may make namespaces, which some tests do.)
# shellcheck disable=SC2016
enter='
    root=$1 tree=$2 user=$3 command=$4
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mkdir -p "$root/old-root"
    cd "$root"
    pivot_root . old-root
    cd /
    umount -l /old-root
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME="/nowhere/$user" setpriv --reuid="$user" --regid="$user" --clear-groups \
        bash -c "cd \"\$1\" && $command" bash "$tree"
'

inside() {      # USER COMMAND
    printf '\n### %s: %s\n' "$1" "$2"
    unshare --mount --pid --fork --kill-child \
        bash -ec "$enter" bash "$root" "$tree" "$1" "$2" </dev/null
}

[ -d "$base" ] || make_base
make_root
failed=0
for user in root somebody; do
    rm -rf "$root$tree"/build*      # each builds anew, as its own user
    for command in "$@"; do
        status=0
        inside "$user" "$command" || status=$?
        printf '### %s: %s: status %s\n' "$user" "$command" "$status"
        [ "$status" -eq 0 ] || failed=1
    done
done
exit "$failed"
