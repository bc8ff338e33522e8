#!/bin/sh
# apart.sh COMMAND...: runs it in a network, a list of named networks and an IPC space of its own, so that suites side by side
# do not fight for ports. That takes root, unshare (util-linux) and ip (iproute2).
exec unshare --net --mount --ipc sh -c '
  mkdir -p /run/netns && mount -t tmpfs none /run/netns && ip link set lo up && exec "$@"' apart "$@"
