#!/bin/bash
# A reader as a service under a real systemd, from nothing to nothing: a fresh Debian 12 (debootstrap)
# with mosquitto, booted in namespaces of its own without a network; a clean clone of this checkout's
# HEAD in /opt; `readerd install bench1`, a plate from a twin, kill, reload, stop, `--uninstall`.
# Wants root, debootstrap and, the first time, a network. Keeps the root file system for the next time;
# everything else, the machine included, is gone afterwards.
#
# usage: bench/installed.sh [DIRECTORY]
set -eu

directory=${1:-/var/tmp/readerd-installed}
root=$directory/root
here=$(cd "$(dirname "$0")/.." && pwd)

if [ "${UNSHARED:-}" != yes ]; then
    exec env UNSHARED=yes unshare --mount --pid --fork --kill-child --mount-proc "$0" "$directory"
fi

say() { printf '\n== %s\n' "$*"; }

if [ ! -e "$directory/complete" ]; then
    say "debootstrap"
    rm -rf "$root"
    mkdir -p "$directory"
    debootstrap --variant=minbase \
        --include=python3,python3-pip,git,make,ca-certificates,systemd,systemd-sysv,udev,dbus,mosquitto,mosquitto-clients \
        bookworm "$root" >"$directory/debootstrap.log"
    chroot "$root" useradd --create-home technician
    chroot "$root" useradd --create-home visitor
    touch "$directory/complete"
fi
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    if [ -e "$file" ]; then cp "$file" "$root$file"; fi
done

# What this run writes goes with it.
rm -rf "$directory/upper" "$directory/work"
mkdir -p "$directory/upper" "$directory/work" "$directory/machine"
mount -t overlay -o "lowerdir=$root,upperdir=$directory/upper,workdir=$directory/work" \
    overlay "$directory/machine"
root=$directory/machine

say "a clean clone of HEAD in /opt/readerd"
git clone --quiet --bare "$here" "$root/srv/readerd.git"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
chroot "$root" env -i HOME=/root PATH=/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    sh -c 'git clone --quiet /srv/readerd.git /opt/readerd && make --silent -C /opt/readerd .venv/.runtime'
umount "$root/dev" "$root/proc"

# The machine: what an init needs, its own devices, no network but its own loopback.
boot() {
    mount --make-rprivate /
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    for node in null zero full random urandom tty; do cp -a "/dev/$node" "$root/dev/"; done
    mkdir "$root/dev/pts" "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
    mount -t tmpfs tmpfs "$root/dev/shm"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mkdir -p "$root/.old"
    cd "$root"
    pivot_root . .old
    umount -l /.old
    mount --make-rshared / # systemd hands credentials over by mounts that services must see
    exec env -i container=bench PATH=/usr/bin:/usr/sbin /lib/systemd/systemd </dev/null
}
export root
export -f boot

say "systemd boots"
unshare --mount --pid --fork --kill-child --uts --ipc --cgroup --net bash -c boot >"$directory/boot.log" 2>&1 &
booted=$!
for _ in $(seq 100); do
    init=$(pgrep -P "$booted" systemd || true)
    if [ -n "$init" ] && [ -S "/proc/$init/root/run/systemd/private" ]; then break; fi
    sleep 0.2
done

inside() {
    nsenter --target "$init" --mount --pid --uts --ipc --cgroup --net \
        env -i HOME=/root LANG=C.UTF-8 TERM=dumb PYTHONDONTWRITEBYTECODE=1 \
        PATH=/opt/readerd/.venv/bin:/usr/bin:/usr/sbin:/bin:/sbin "$@"
}
as() { # user, command
    inside setpriv --reuid="$1" --regid="$1" --init-groups sh -c "$2"
}
files() { # but for what every start of a machine and systemd-sysusers leave behind
    inside find /etc /usr /var/lib /opt /run/readerd -not -path '*/systemd/*.id' 2>/dev/null |
        grep -v -e '^/var/lib/systemd/' -e '^/etc/[a-z]*-$' -e '^/etc/.pwd.lock$' | sort
}
inside systemctl is-system-running --wait || true
files >"$directory/before"

say "readerd install bench1 --now"
inside readerd install bench1 --driver biorad680 --site lab1 --broker mqtt://127.0.0.1:1883 \
    --assay il6-elisa --port serial:/run/twin/bench1.pty --now
inside usermod -aG readerd-operators technician

say "again: nothing to change"
inside readerd install bench1 | tail -1

say "a twin on a pseudo-terminal that belongs to readerd, as an adapter belongs to dialout"
inside install -d -o readerd /run/twin
as readerd 'readerd twin biorad680 --pty /run/twin/bench1.pty --time-scale 0.1' >"$directory/twin.log" &
until inside test -e /run/twin/bench1.pty; do sleep 0.2; done
# The daemon looks again on its own after 1 to 60 s; asking makes it look now.
for _ in $(seq 60); do
    as technician 'readerd status' | grep -q 'bench1: ready' && break
    as technician 'readerd read' >/dev/null 2>&1 || true
    sleep 0.5
done
as technician 'readerd status'

say "a technician reads a plate, a visitor may not; the broker has it"
as technician 'readerd read --plate PLT1 --wait' | head -3
as visitor 'readerd status' || echo "exit $?"
inside mosquitto_sub -t 'readerd/v1/lab1/bench1/last' -C 1 -W 10

say "readerd doctor"
inside readerd doctor || echo "exit $?"

say "what systemd sees"
inside systemctl show readerd@bench1 -p ActiveState,NRestarts,StatusText,WatchdogUSec,User,Result
inside systemd-analyze security readerd@bench1 | tail -1
main=$(inside systemctl show -P MainPID readerd@bench1)
inside grep -E 'Seccomp:|NoNewPrivs|CapEff' "/proc/$main/status"

say "reload with a broken configuration, with a whole one"
inside sed -i 's/^\[plates\]/[plates]\nnonsense = 1/' /etc/readerd/bench1.toml
inside systemctl reload readerd@bench1
sleep 1
inside sed -i '/^nonsense = 1/d' /etc/readerd/bench1.toml
inside systemctl reload readerd@bench1
sleep 1
inside journalctl --no-pager -o cat -u readerd@bench1 | grep -e readerd.reload | tail -6

say "killed: nobody answers until it is there again, ten seconds later"
inside sh -c "kill -9 $main"
as technician 'readerd status' || echo "exit $?"
time while ! as technician 'readerd status' 2>/dev/null | head -1 | grep .; do sleep 0.5; done
inside systemctl show readerd@bench1 -p ActiveState,NRestarts

say "40 s of watchdog: still the same process"
before=$(inside systemctl show -P MainPID readerd@bench1)
sleep 40
echo "before $before, now $(inside systemctl show -P MainPID readerd@bench1)"

say "restart: a question that comes meanwhile waits for its answer"
inside systemctl restart --no-block readerd@bench1
time as technician 'readerd status' | head -1
echo "before $before, now $(inside systemctl show -P MainPID readerd@bench1)"

say "stop: the door closes, and no question starts it again"
time inside systemctl stop readerd@bench1
as technician 'readerd status' || echo "exit $?"
inside systemctl show readerd@bench1 -p ActiveState

say "a configuration that is wrong is not tried again"
inside cp /etc/readerd/bench1.toml /tmp/whole.toml
inside sed -i 's/^\[plates\]/[plates]\nnonsense = 1/' /etc/readerd/bench1.toml
inside systemctl start readerd@bench1 || true
sleep 12
inside systemctl show readerd@bench1 -p ActiveState,ExecMainStatus,NRestarts
inside cp /tmp/whole.toml /etc/readerd/bench1.toml
inside rm /tmp/whole.toml

say "readerd install bench1 --uninstall --now"
inside readerd install bench1 --uninstall --now
files >"$directory/after"
say "what is there now and was not before"
comm -13 "$directory/before" "$directory/after"
say "what is gone"
comm -23 "$directory/before" "$directory/after"
