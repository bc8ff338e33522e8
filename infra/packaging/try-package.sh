#!/bin/bash
# try-package.sh DEB [ROOT]: installs the package with dpkg into a Debian 12 root without a network, verifies the unit, runs the
# node as its own user on port 123, has it asked, purges it, and shows what is left. Needs root, mmdebstrap and systemd-analyze.
set -euo pipefail
deb=$(realpath "${1:?usage: try-package.sh DEB [ROOT]}"); root=${2:-$(mktemp -d)/root}
[ -d "$root/usr" ] || mmdebstrap --quiet --variant=minbase --include=systemd,adduser,libstdc++6,libatomic1,ca-certificates bookworm "$root"
exec unshare --net --mount bash -euo pipefail -c '
  deb=$1 root=$2; ip link set lo up
  mount -t proc proc "$root/proc"; mount --bind /dev "$root/dev"
  inside() { chroot "$root" "$@"; }
  as_meridian() { inside setpriv --reuid=meridian --regid=meridian --clear-groups --inh-caps=+net_bind_service \
    --ambient-caps=+net_bind_service --bounding-set=-all,+net_bind_service "$@"; }
  files() { (cd "$root"; find . -xdev \( -path ./proc -o -path ./dev -o -path ./tmp -o -path ./var/lib/dpkg -o -path ./var/log -o -path ./run/systemd \) -prune -o -print | sort); }
  files > "$root/tmp/before"
  cp "$deb" "$root/tmp/meridian.deb"; inside dpkg -i /tmp/meridian.deb
  inside systemd-analyze verify /usr/lib/systemd/system/meridian.service 2>&1 | grep -v "man meridian" || true
  inside systemd-analyze security --offline=true /usr/lib/systemd/system/meridian.service | tail -1
  printf "port 123\nserver 127.127.1.0\n" > "$root/tmp/local.conf"
  as_meridian meridian up --config /tmp/local.conf --state /var/lib/meridian --workers 1 > /dev/null & node=$!
  inside meridian waitsync --state /var/lib/meridian 60
  inside meridian query 127.0.0.1:123
  if [ -n "${PEERS:-}" ]; then
    LD_LIBRARY_PATH=$PEERS/bookworm/usr/lib/x86_64-linux-gnu setpriv --bounding-set -sys_time --inh-caps -sys_time \
      "$PEERS/bookworm/usr/sbin/chronyd" -u root -Q -x -t 10 "server 127.0.0.1 iburst" 2>&1 | tail -2
  fi
  # The function runs in a shell of its own, the node is its child.
  pkill -TERM -P "$node" || kill "$node"; wait "$node" || true
  inside dpkg --purge meridian-time
  files > "$root/tmp/after"
  echo "left after purge:"; diff "$root/tmp/before" "$root/tmp/after" && echo nothing' try "$deb" "$root"
