#!/bin/bash
# try-tarball.sh TARBALL: unpacks it into a root that has the C library and nothing else (no shell, no libstdc++, no certificates), runs a node
# there, waits for it, asks it, and ends it, in a network of its own. Needs root.
set -euo pipefail
tarball=$(realpath "${1:?usage: try-tarball.sh TARBALL}"); root=$(mktemp -d); trap 'rm -rf "$root"' EXIT
libraries=$(dirname "$(ldconfig -p | awk '/libc.so.6 .*x86-64/{print $NF; exit}')"); loader=$(realpath /lib64/ld-linux-x86-64.so.2)
mkdir -p "$root"/{proc,dev,tmp,etc,meridian,lib64,"$libraries"}
for name in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1; do cp -L "$libraries/$name" "$root$libraries/"; done
cp "$loader" "$root/lib64/ld-linux-x86-64.so.2"
tar -C "$root/meridian" --strip-components=1 -xf "$tarball"
printf 'listen 127.0.0.1\nserver 127.127.1.0\n' > "$root/etc/ntp.conf"
unshare --net --mount bash -euo pipefail -c '
  root=$1; ip link set lo up; mount -t proc proc "$root/proc"; mount -t tmpfs none "$root/dev"
  for device in null urandom random; do touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
  inside() { env -i "$(command -v chroot)" "$root" /meridian/bin/meridian "$@"; }
  echo "files besides Meridian: $(cd "$root" && find . -xdev -type f ! -path "./meridian/*" | tr "\n" " ")"
  env -i "$(command -v chroot)" "$root" /meridian/bin/meridian up --config /etc/ntp.conf --state /tmp/state --workers 1 > "$root/tmp/screen" 2>&1 & node=$!
  inside waitsync --state /tmp/state 60 && echo "waitsync: $?"
  inside query 127.0.0.1:123; inside status --state /tmp/state | head -3
  kill "$node"; wait "$node" && echo "ended with 0"' try "$root"
