#!/bin/bash
# NTPsec's ntpd as an NTS client of a node, both alone in a network namespace: ntpd has no option for its own port 123.
# ntpsec-client.sh FOLDER NODE MERIDIAN NTPD NTPQ   runs below `unshare --net`; FOLDER is the caller's to remove.
set -u
folder=$1 node=$2 meridian=$3 ntpd=$4 ntpq=$5
ip link set lo up
"$node" "$meridian" up --workers 1 --state "$folder/state" --nts > "$folder/up.log" 2>&1 & server=$!
trap 'kill $client $server 2>/dev/null; wait' EXIT
client=
for _ in $(seq 100); do grep -q 'Try next' "$folder/up.log" && break; sleep 0.1; done
echo 0.0 > "$folder/drift"
cat > "$folder/conf" <<CONF
server localhost:4460 nts ca $folder/state/nts-development-certificate.pem iburst minpoll 3 maxpoll 3
driftfile $folder/drift
tos minsane 1 minclock 1
restrict default
restrict 127.0.0.1
nts cookie $folder/cookies
statsdir $folder/
CONF
$ntpd -n -g -c "$folder/conf" -l "$folder/log" > "$folder/out" 2>&1 & client=$!
for _ in $(seq 50); do sleep 1; $ntpq -c as 127.0.0.1 2>/dev/null | grep -q sys.peer && break; done
# A poll after the initial volley: the answer must have brought a cookie for the one it used.
sleep 9
$ntpq -c as -c ntsinfo -np 127.0.0.1
"$node" "$meridian" status --state "$folder/state" --json
