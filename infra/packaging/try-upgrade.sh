#!/bin/bash
# try-upgrade.sh OLD.deb NEW.deb [ROOT]: installs the old package into a Debian 12 root without a network, runs the node as its own user on
# port 123, has it asked 10,000 times a second, installs the new package meanwhile and does what `systemctl reload meridian` does. Shows how
# many requests were lost. The two must be of different versions: `npm run release -- VERSION` in a clone gives another number. Needs root
# and mmdebstrap.
set -euo pipefail
old=$(realpath "${1:?usage: try-upgrade.sh OLD.deb NEW.deb [ROOT]}"); new=$(realpath "${2:?usage: try-upgrade.sh OLD.deb NEW.deb [ROOT]}")
root=${3:-$(mktemp -d)/root}; here=$(dirname "$(realpath "$0")")
[ -d "$root/usr" ] || mmdebstrap --quiet --variant=minbase --include=systemd,adduser,libstdc++6,libatomic1,ca-certificates bookworm "$root"
exec unshare --net --mount bash -euo pipefail -c '
  old=$1 new=$2 root=$3 here=$4; ip link set lo up
  mount -t proc proc "$root/proc"; mount --bind /dev "$root/dev"
  inside() { chroot "$root" "$@"; }
  cp "$old" "$root/tmp/old.deb"; cp "$new" "$root/tmp/new.deb"
  inside dpkg -i /tmp/old.deb > /dev/null
  printf "port 123\nlisten 127.0.0.1\nserver 127.127.1.0\nworkers 2\n" > "$root/tmp/local.conf"
  chroot "$root" setpriv --reuid=meridian --regid=meridian --clear-groups --inh-caps=+net_bind_service --ambient-caps=+net_bind_service \
    --bounding-set=-all,+net_bind_service meridian up --config /tmp/local.conf --state /var/lib/meridian > /dev/null 2> "$root/tmp/log" & node=$!
  trap "kill $node; chroot $root dpkg --purge meridian-time > /dev/null" EXIT
  inside meridian waitsync --state /var/lib/meridian 60
  echo "before: $(inside meridian --version)"
  "$here/../../node_modules/.bin/node" "$here/asked-throughout.ts" 123 10000 "$node" > "$root/tmp/asked" & asking=$!
  until grep -q asking "$root/tmp/asked"; do kill -0 "$asking"; sleep 0.1; done
  inside dpkg -i /tmp/new.deb > /dev/null
  kill -HUP "$node"
  wait "$asking" && code=0 || code=$?; tail -1 "$root/tmp/asked"
  echo "after: $(inside meridian --version)"
  grep -o "becoming Meridian[^\"]*" "$root/tmp/log" || true
  exit "$code"' try "$old" "$new" "$root" "$here"
