#!/bin/sh
# The two commands on a bare machine, timed: a fresh Debian 12 with python3, pip, git and make, a clean
# clone of this checkout's HEAD, a user without rights. Wants root, debootstrap and a network; how the
# package registries are reached is taken over from this machine. Keeps the root file system for the
# next time; everything else, the mounts included, is gone afterwards.
#
# usage: bench/bare_machine.sh [DIRECTORY]
set -eu

directory=${1:-/var/tmp/readerd-bare}
root=$directory/root
here=$(cd "$(dirname "$0")/.." && pwd)

if [ "${UNSHARED:-}" != yes ]; then
    exec env UNSHARED=yes unshare --mount --pid --fork "$0" "$directory"
fi

if [ ! -e "$directory/complete" ]; then
    rm -rf "$root"
    mkdir -p "$directory"
    debootstrap --variant=minbase --include=python3,python3-pip,git,make,ca-certificates \
        bookworm "$root" >"$directory/debootstrap.log"
    chroot "$root" useradd --create-home lab
    touch "$directory/complete"
fi
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    if [ -e "$file" ]; then cp "$file" "$root$file"; fi
done

mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
    cp -a "/dev/$node" "$root/dev/"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

rm -rf "$root/home/lab" "$root/srv/readerd.git"
git clone --quiet --bare "$here" "$root/srv/readerd.git"
chroot "$root" sh -c 'cp -r /etc/skel /home/lab; chown -R lab:lab /home/lab /srv/readerd.git'

in_lab() {
    chroot --userspec=lab:lab "$root" env -i HOME=/home/lab USER=lab LANG=C.UTF-8 TERM=dumb \
        PATH=/usr/bin:/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
        PIP_CERT=/etc/ssl/certs/ca-certificates.crt bash -c "TIMEFORMAT='%R s'; cd; $1"
}
say() { printf '\n== %s\n' "$*"; }

say "git clone"
in_lab 'time git clone --quiet /srv/readerd.git readerd'
say "make demo, cold"
in_lab 'cd readerd && time make demo'
say "make demo, warm"
in_lab 'cd readerd && time make demo >/dev/null'
say "make test"
in_lab 'cd readerd && time make test'
