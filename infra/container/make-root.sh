#!/bin/bash
# make-root.sh TARBALL DIR: the root of the image: Meridian's tarball, the C library of the system that this runs on, certificates of
# authorities, two users, and nothing else: no shell, no package manager.
set -euo pipefail
tarball=$(realpath "${1:?usage: make-root.sh TARBALL DIR}"); root=${2:?usage: make-root.sh TARBALL DIR}
mkdir -p "$root"/{usr/lib/meridian,usr/bin,etc/meridian,etc/ssl/certs,var/lib/meridian,tmp,run,proc,dev}
tar -xf "$tarball" -C "$root/usr/lib/meridian" --strip-components=1
for name in meridian ntpkeygen ntp-keygen; do ln -sf "../lib/meridian/bin/$name" "$root/usr/bin/$name"; done
node=$root/usr/lib/meridian/bin/node
ldd "$node" | grep -oE '/[^ ]+\.so[^ ]*' | while read -r library; do
  case $library in "$root"/*) continue;; esac
  # The tarball brings its own libstdc++, libgcc and libatomic.
  [ -e "$root/usr/lib/meridian/lib/$(basename "$library")" ] && continue
  mkdir -p "$root$(dirname "$library")"; cp -L "$library" "$root$library"
done
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
printf 'root:x:0:0:root:/:/nologin\nmeridian:x:10123:10123:Meridian:/var/lib/meridian:/nologin\n' > "$root/etc/passwd"
printf 'root:x:0:\nmeridian:x:10123:\n' > "$root/etc/group"
printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
cat > "$root/etc/meridian/ntp.conf" <<'CONF'
# Mount a file of your own here, or set variables whose names begin with MERIDIAN_CONFIG_: each holds lines of ntp.conf.
port 123
CONF
chown 10123:10123 "$root/var/lib/meridian"; chmod 1777 "$root/tmp"
