#!/bin/bash
# Guess, written before the run: a publish that JetStream refuses (Nats-Expected-Last-Subject-Sequence does not match) leaves nothing behind, so that the same
# Nats-Msg-Id with the right expectation is stored a moment later.
# Found: nats-server 2.10.27 (Debian 2.10.27-1+b2) with a stream of three replicas acknowledges the second publish as a duplicate of sequence 0, and stores nothing:
# it notes the id before it looks at the expectation. With one replica, and with 2.15.1, the message is stored.
# What follows for us: libs/event-log looks at what is stored whenever an acknowledgement says duplicate, and publishes again under another id.
# Needs root, unshare, ip, python3, apt-get and a Debian mirror. Works in a temp folder and in a network of its own, for about ten seconds.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; chmod 755 "$work"
base=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | grep -v security | grep debian | head -1)
mkdir -p "$work"/{lists/partial,cache/archives/partial,deb,tree}; : > "$work/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $base trixie main" > "$work/sources.list"
options=(-qq -o "Dir::State=$work" -o "Dir::State::lists=$work/lists" -o "Dir::State::status=$work/status" -o "Dir::Cache=$work/cache" -o "Dir::Etc::sourcelist=$work/sources.list"
  -o Dir::Etc::sourceparts=- -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root -o Acquire::Languages=none)
apt-get "${options[@]}" update
(cd "$work/deb" && apt-get "${options[@]}" download nats-server=2.10.27-1+b2)
dpkg-deb -x "$work"/deb/nats-server_*.deb "$work/tree"
cat > "$work/ask.py" <<'PY'
import json, socket, sys, time
for attempt in range(100):
    try: wire = socket.create_connection(("127.0.0.1", 1501)).makefile("rwb"); break
    except OSError: time.sleep(0.1)
wire.readline(); wire.write(b'CONNECT {"verbose":false,"headers":true}\r\nSUB in.> 1\r\n')
asked = 0
def ask(subject, body="", **headers):
    global asked; asked += 1
    lines = "".join(f"Nats-{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head, body = f"NATS/1.0\r\n{lines}\r\n".encode(), body.encode()
    wire.write(f"HPUB {subject} in.{asked} {len(head)} {len(head) + len(body)}\r\n".encode() + head + body + b"\r\n"); wire.flush()
    while True:
        words = wire.readline().decode().split()
        if words[0] == "PING": wire.write(b"PONG\r\n"); wire.flush()
        elif words[0] == "MSG" and words[1] == f"in.{asked}": return json.loads(wire.read(int(words[-1]) + 2))
        elif words[0] in ("MSG", "HMSG"): wire.read(int(words[-1]) + 2)
stream = {"name": "log", "subjects": ["log.>"], "storage": "file", "duplicate_window": 120_000_000_000, "num_replicas": 3}
for attempt in range(100):
    if "error" not in ask("$JS.API.STREAM.CREATE.log", json.dumps(stream)): break
    time.sleep(0.1)
ask("log.a", "first", Msg_Id=1)
refused = ask("log.a", "second", Msg_Id=2, Expected_Last_Subject_Sequence=7)
again = ask("log.a", "second", Msg_Id=2, Expected_Last_Subject_Sequence=1)
held = ask("$JS.API.STREAM.INFO.log")["state"]["messages"]
print(refused["error"]["description"], "|", again.get("duplicate", False), again["seq"], "|", held)
PY
for i in 1 2 3; do
  cat > "$work/$i.conf" <<CONF
server_name: n$i
listen: 127.0.0.1:150$i
jetstream { store_dir: "$work/store$i" }
cluster { name: c, listen: 127.0.0.1:160$i, routes: [nats://127.0.0.1:1601, nats://127.0.0.1:1602, nats://127.0.0.1:1603] }
CONF
done
run='ip link set lo up
for i in 1 2 3; do "$1/tree/usr/sbin/nats-server" -c "$1/$i.conf" > "$1/log$i" 2>&1 & servers="${servers-} $!"; done
timeout 60 python3 "$1/ask.py"; kill $servers; wait || true'
seen=$(unshare -n bash -c "$run" run "$work" | tail -1)
"$work/tree/usr/sbin/nats-server" --version
echo "seen: $seen"
[ "$seen" = "wrong last sequence: 1 | True 0 | 1" ] || { echo "this has changed"; exit 1; }
