#!/bin/bash
# fetch-debian.sh DIR: real NTP peers for tests, as unmodified Debian packages unpacked below DIR. Nothing is installed, no daemon is started.
#   DIR/bookworm  chrony 4.3, ntpsec 1.2.2 (ntpd, ntpq, ntpdig, ntpkeygen, ntpmon), gnutls-cli, nats-server 2.9
#   DIR/bullseye  classic ntp 4.2.8p15 (Autokey, ntp_signd), sntp, ntpdate, with its own OpenSSL 1.1
#   DIR/trixie    chrony 4.6.1 (AES-128-GCM-SIV), ntpsec 1.2.3, ntpd-rs 1.4.0, nats-server 2.10, with their own libc
#   DIR/routing   BIRD 2.0.12, ExaBGP 4.2.21 and FRR 8.4.4 of bookworm
#   DIR/sid       the newest: chrony 4.9, ntpd-rs 1.9, nats-server 2.15 (2026-11). It moves, so its absence is a warning, not a failure
# The mirror is the one that this machine's apt already uses. Run again, it fetches a suite only when
# it is not there or the list of its packages below has changed. libs/testkit/src/real-peers.ts starts them.
set -euo pipefail
dest=$(realpath -m "${1:?usage: fetch-debian.sh DIR}"); mkdir -p "$dest"
base=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | grep -v security | grep debian | head -1)
[ -n "$base" ] || base=$(awk '/^URIs:/{print $2; exit} /^deb /{print $2; exit}' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null)
[ -n "$base" ] || { echo "fetch-debian: this machine's apt knows no Debian mirror" >&2; exit 1; }
suite() { # suite [FOLDER=]NAME package...
  local f=${1%%=*} s=${1##*=}; shift; local d=$dest/$f a=$dest/.apt/$f
  [ -e "$d/.complete" ] && [ "$(cat "$d/.complete")" = "$*" ] && return
  mkdir -p "$d" "$a"/{lists/partial,cache/archives/partial,deb}; : > "$a/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $base $s main" > "$a/sources.list"
  local o=(-qq -o "Dir::State=$a" -o "Dir::State::lists=$a/lists" -o "Dir::State::status=$a/status" -o "Dir::Cache=$a/cache" -o "Dir::Etc::sourcelist=$a/sources.list" -o Dir::Etc::sourceparts=- -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root -o Acquire::Languages=none)
  apt-get "${o[@]}" update
  (cd "$a/deb" && apt-get "${o[@]}" download "$@")
  for p in "$a"/deb/*.deb; do dpkg-deb -x "$p" "$d"; done
  rm -rf "$a"; echo "$*" > "$d/.complete"; echo "fetch-debian: $f: $*"
}
suite bookworm chrony ntpsec ntpsec-ntpdate ntpsec-ntpdig ntpsec-ntpviz python3-ntp nats-server libedit2 libbsd0 libmd0 libseccomp2 libgnutls30 libnettle8 libhogweed6 libidn2-0 libunistring2 libtasn1-6 libp11-kit0 libffi8 libgmp10 libcap2 libssl3 gnutls-bin libgnutls-dane0 libunbound8 libevent-2.1-7
suite bullseye ntp ntpdate sntp libssl1.1 libopts25 openssl
 libstdc++6
