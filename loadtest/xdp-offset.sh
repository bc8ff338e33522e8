#!/bin/bash
# loadtest/xdp-offset.sh [ROUNDS]
# How wrong a chronyd client measures a node over a cable while others ask too: by XDP, and by a worker without and with gathering.
# Both ends have one clock, so every offset is an error. Of each round's 300 measurements the median and p99; shown is the median of the rounds, in
# brackets the lowest and the highest. Three minutes a round (three rounds unless told otherwise), as root; nothing is left behind. Run
# "npm run bench -- plain --rounds 1" once before: it builds the generator.
set -u
rounds=${1:-3}
cd "$(dirname "$0")/.." || exit 1
export PATH=$PWD/node_modules/.bin:$PATH
chronyd=.meridian/peers/bookworm/usr/sbin/chronyd generator=loadtest/build/udpload
for file in $chronyd $generator; do [ -e $file ] || { echo "expected $file, found none"; exit 1; }; done
server=mo$$s client=mo$$c folder=$(mktemp -d)
cleanup() {
  exec 9>&-
  for pid in $(jobs -p); do kill "$pid" 2>/dev/null; done
  wait
  ip netns delete $server; ip netns delete $client
  rm -rf "$folder"
}
trap cleanup EXIT
ip netns add $server && ip netns add $client || exit 1
ip link add s0 netns $server type veth peer name c0 netns $client
ip -n $server address add 192.0.2.1/24 dev s0; ip -n $client address add 192.0.2.2/24 dev c0
for end in "$server s0" "$server lo" "$client c0" "$client lo"; do set -- $end; ip -n $1 link set $2 up; done
# A veth delivers what a program sends back only to a peer that has a program itself.
mkfifo "$folder/hold"
ip netns exec $client node libs/xdp/test/pass-program.ts c0 <"$folder/hold" >"$folder/mode" &
exec 9>"$folder/hold"
for round in $(seq "$rounds"); do for line in "xdp s0 native" "gather 0" "gather 500"; do
  state=$(mktemp -d "$folder/node.XXXX")
  printf '%s\nserver 127.127.1.0\nnts disable\n' "$line" >"$state/ntp.conf"
  ip netns exec $server node services/cli/bin/meridian.mjs up --port 123 --state "$state" --config "$state/ntp.conf" --workers 1 >"$state/said" 2>&1 &
  node=$!
  sleep 6
  for rate in 0 1000 10000 40000; do
    place=$(mktemp -d "$folder/chrony.XXXX") load=
    printf 'server 192.0.2.1 minpoll -5 maxpoll -5\nlogdir %s\nlog rawmeasurements\ncmdport 0\nbindcmdaddress /\npidfile %s/pid\n' "$place" "$place" >"$place/conf"
    if [ $rate != 0 ]; then
      ip netns exec $client $generator --target 192.0.2.1 --port 123 --mode open --rate $rate --seconds 12 >"$place/load" 2>&1 &
      load=$!
    fi
    # -x and without CAP_SYS_TIME: it sets no clock.
    ip netns exec $client setpriv --bounding-set -sys_time --inh-caps -sys_time $chronyd -u root -x -d -f "$place/conf" >"$place/said" 2>&1 &
    asking=$!
    sleep 12
    kill $asking; wait $asking
    [ -n "$load" ] && wait $load
    awk '$3 == "192.0.2.1" { offset = $12 < 0 ? -$12 : $12; print offset * 1e6 }' "$place/measurements.log" | tail -n +11 | head -300 | sort -g |
      awk -v what="$line, $rate/s" '{ at[NR] = $1 } END { print what "\t" NR "\t" at[int(NR / 2) + 1] "\t" at[int(NR * 0.99) + 1] }' >>"$folder/rows"
    [ -t 1 ] && printf '\rround %d of %d: %s, %s/s   ' "$round" "$rounds" "$line" $rate >&2
  done
  kill $node; wait $node
done; done
[ -t 1 ] && printf '\r\033[K' >&2
of() { # of WHAT COLUMN: that column's median over the rounds, and its range
  awk -F '\t' -v what="$1" -v column="$2" '$1 == what { print $column }' "$folder/rows" | sort -g |
    awk '{ at[NR] = $1 } END { printf "%.1f (%.1f–%.1f)", at[int((NR + 1) / 2)], at[1], at[NR] }'
}
cut -f 1 "$folder/rows" | awk '!seen[$0]++' | while read -r what; do
  printf '%-24s median %-18s p99 %s µs\n' "$what" "$(of "$what" 3)" "$(of "$what" 4)"
done
awk -F '\t' '$2 < 290 { print $1 ": " $2 " measurements only" }' "$folder/rows"
