#!/bin/bash
# fetch-debian.sh DIR: real NTP peers for tests, as unmodified Debian packages unpacked below DIR. Nothing is installed, no daemon is started.
#   DIR/bookworm  chrony 4.3, ntpsec 1.2.2 (ntpd, ntpq, ntpdig, ntpkeygen, ntpmon), gnutls-cli, nats-server 2.9
#   DIR/bullseye  classic ntp 4.2.8p15 (Autokey, ntp_signd), sntp, ntpdate, with its own OpenSSL 1.1
#   DIR/trixie    chrony 4.6.1 (AES-128-GCM-SIV), ntpsec 1.2.3, ntpd-rs 1.4.0, nats-server 2.10, with their own libc
#   DIR/openntpd  OpenNTPD 6.2p3 of bookworm; its ntpd goes by the name of NTPsec's, so it has a folder of its own
#   DIR/timesyncd  systemd-timesyncd 252 of bookworm
#   DIR/monitoring  monitoring-plugins 2.3.3 of bookworm (check_ntp_peer, check_ntp_time)
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
suite trixie nats-server chrony ntpd-rs ntpsec python3-ntp ntpsec-ntpdig libc6 libcap2 libedit2 libgnutls30t64 libnettle8t64 libhogweed6t64 libseccomp2 libgcc-s1 libbsd0 libssl3t64 libtinfo6 libgmp10 libidn2-0 libp11-kit0 libtasn1-6 libunistring5 libmd0 libzstd1 zlib1g libffi8 libstdc++6
suite routing=bookworm bird2 exabgp python3-exabgp frr libssh-gcrypt-4 libreadline8 libtinfo6 libgcrypt20 libgpg-error0 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libcom-err2 libkeyutils1 libyang2 libjson-c5 libc-ares2 libpcre2-8-0 libcap2 libcrypt1 libpam0g libprotobuf-c1
suite openntpd=bookworm openntpd
suite timesyncd=bookworm systemd-timesyncd libsystemd-shared libacl1 libblkid1 libcap2 libcrypt1 libgcrypt20 libip4tc2 libkmod2 liblz4-1 libmount1 libssl3 libpam0g libseccomp2 libselinux1 libzstd1 liblzma5 libgpg-error0 libaudit1 libpcre2-8-0 libcap-ng0
suite monitoring=bookworm monitoring-plugins-basic
newest='nats-server chrony ntpd-rs libc6 libcap2 libedit2 libgnutls30t64 libnettle8t64 libhogweed6t64 libseccomp2 libgcc-s1 libbsd0 libtinfo6 libgmp10 libidn2-0 libp11-kit0 libtasn1-6 libunistring5 libmd0 libffi8'
(suite sid $newest) || echo "fetch-debian: warning: the packages of sid could not be had; the older peers serve" >&2
