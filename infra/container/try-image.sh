#!/bin/bash
# try-image.sh TARBALL: the image's root as Containerfile's last stage makes it, committed by buildah without a registry, and run: read-only
# root, no capability but NET_BIND_SERVICE, no IPv6, its own network; asked, then without a source, where the health check turns red;
# SIGTERM to pid 1 ends it. IMAGE=NAME keeps the image under that name. Needs root and buildah.
set -euo pipefail
here=$(dirname "$(realpath "$0")"); tarball=$(realpath "${1:?usage: try-image.sh TARBALL}")
container=$(buildah from scratch); trap 'buildah rm "$container" > /dev/null; rm -rf "$work"' EXIT
work=$(mktemp -d); root=$(buildah mount "$container")
"$here/make-root.sh" "$tarball" "$root"
buildah config --user 10123:10123 --entrypoint '["/usr/bin/meridian"]' --volume /var/lib/meridian --stop-signal SIGTERM \
  --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt --cmd 'up --config /etc/meridian/ntp.conf --state /var/lib/meridian' "$container"
[ -z "${IMAGE:-}" ] || buildah commit --quiet "$container" "$IMAGE" > /dev/null
echo "files besides Meridian's: $(cd "$root" && find . -type f ! -path './usr/lib/meridian/*' | wc -l), shells: $(find "$root" -name sh -o -name bash -o -name busybox | wc -l), size: $(du -sm "$root" | cut -f1) MB"
mkdir "$work/root" "$work/state"; chown 10123:10123 "$work/state"
export container root work
unshare --net --mount bash -euo pipefail -c '
  ip link set lo up; echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start
  mount --bind "$root" "$work/root"; mount -o remount,bind,ro "$work/root"
  mount --bind "$work/state" "$work/root/var/lib/meridian"; mount -t tmpfs none "$work/root/dev"; touch "$work/root/dev/"{null,urandom,random}
  for device in null urandom random; do mount --bind "/dev/$device" "$work/root/dev/$device"; done
  mount -t proc proc "$work/root/proc"
  # A process list of its own, so that the node is pid 1; no capability, and none to be had.
  inside() { env -i PATH=/usr/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt "${lines[@]}" setpriv --no-new-privs \
    --bounding-set=-all,+sys_chroot,+setuid,+setgid,+sys_admin "$@"; }
  start() { inside unshare --pid --fork --mount --mount-proc=/proc --root="$work/root" --setgid=10123 --setuid=10123 \
    /usr/bin/meridian up --config /etc/meridian/ntp.conf --state /var/lib/meridian --workers 1 > "$work/log" 2>&1 & node=$!; }
  ask() { inside unshare --mount --root="$work/root" --setgid=10123 --setuid=10123 /usr/bin/meridian "$@" --state /var/lib/meridian; }
  stop() { kill -TERM "$(pgrep -u 10123 -o)"; wait "$node" && echo "ended with 0" || echo "ended with $?"; }
  lines=("MERIDIAN_CONFIG_SOURCES=server 127.127.1.0")
  start; ask waitsync 60; ask status > "$work/status" && echo "health: good ($?)"; grep -E "listening|clock" "$work/status"
  inside unshare --mount --root="$work/root" --setgid=10123 --setuid=10123 /usr/bin/meridian query 127.0.0.1:123 | head -2
  grep -E "^Cap(Eff|Prm)|^Uid" "/proc/$(pgrep -u 10123 -o)/status" | tr "\n" " "; echo; stop
  lines=("MERIDIAN_CONFIG_SOURCES=server 192.0.2.1")
  start; for _ in $(seq 100); do ask status > /dev/null 2>&1 && code=0 || code=$?; [ "$code" = 3 ] && break; sleep 0.2; done
  echo "health without a source that answers: $code (3: not good)"; stop'
