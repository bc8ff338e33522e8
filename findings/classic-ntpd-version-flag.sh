#!/bin/bash
# Guess, written before the run: `restrict default version` of classic ntpd denies every packet whose NTP version is not 4, as its
# page says ("Deny packets that do not match the current NTP version"), queries of mode 6 among them.
# Found: ntpd 4.2.8p15 (Debian 1:4.2.8p15+dfsg-1) drops a client request of version 3, and answers a mode 6 query of version 2 all the same.
# What follows for us: libs/protocol/src/access judges `version` after queries are told apart.
# Needs root, unshare, ip, python3, apt-get and a Debian mirror. Works in a temp folder and in a network of its own.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; chmod 755 "$work"
base=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | grep -v security | grep debian | head -1)
mkdir -p "$work"/{lists/partial,cache/archives/partial,deb,tree}; : > "$work/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $base bullseye main" > "$work/sources.list"
options=(-qq -o "Dir::State=$work" -o "Dir::State::lists=$work/lists" -o "Dir::State::status=$work/status" -o "Dir::Cache=$work/cache" -o "Dir::Etc::sourcelist=$work/sources.list"
  -o Dir::Etc::sourceparts=- -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root -o Acquire::Languages=none)
apt-get "${options[@]}" update
(cd "$work/deb" && apt-get "${options[@]}" download ntp=1:4.2.8p15+dfsg-1 libssl1.1 libopts25)
for deb in "$work"/deb/*.deb; do dpkg-deb -x "$deb" "$work/tree"; done
printf 'server 127.127.1.0\nrestrict default version\nrestrict -6 default ignore\n' > "$work/ntp.conf"
cat > "$work/ask.py" <<'PY'
import socket, time
def answered(packet):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1); s.connect(("127.0.0.1", 123)); s.send(packet)
    try: return len(s.recv(1500)) > 0
    except OSError: return False
client = lambda version: bytes([version << 3 | 3]) + bytes(39) + b"01234567"
query = lambda version: bytes([version << 3 | 6, 2, 0, 1]) + bytes(8)
for _ in range(50):
    if answered(client(4)): break
    time.sleep(0.2)
print("client 4", answered(client(4)), "client 3", answered(client(3)), "query 2", answered(query(2)), "query 4", answered(query(4)))
PY
run='ip link set lo up
LD_LIBRARY_PATH=$1/tree/usr/lib/x86_64-linux-gnu setpriv --bounding-set -sys_time --inh-caps -sys_time "$1/tree/usr/sbin/ntpd" -n -c "$1/ntp.conf" -p "$1/pid" > "$1/log" 2>&1 & ntpd=$!
python3 "$1/ask.py"; kill $ntpd; wait $ntpd || true'
seen=$(unshare -n bash -c "$run" run "$work" | tail -1)
"$work/tree/usr/sbin/ntpd" --version 2>/dev/null | head -1 || true
echo "seen: $seen"
[ "$seen" = "client 4 True client 3 False query 2 True query 4 True" ] || { echo "this has changed"; exit 1; }
