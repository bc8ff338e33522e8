#!/bin/bash
# fetch-observers.sh DIR: what looks at a node in tests, as Debian packages unpacked below DIR. Nothing is installed, nothing is started.
#   DIR/prometheus  prometheus and promtool, about 20 MB to fetch
#   DIR/chromium    headless Chromium with what it needs, about 130 MB; not where this machine has a Chromium
# The suite is this machine's own, so that its libc fits; the mirror is the one that its apt already uses.
set -euo pipefail
dest=$(realpath -m "${1:?usage: fetch-observers.sh DIR}")
. /etc/os-release
[ "${ID:-}" = debian ] || { echo "fetch-observers: this system is no Debian" >&2; exit 1; }
base=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | grep -v security | grep debian | head -1)
[ -n "$base" ] || base=$(awk '/^URIs:/{print $2; exit} /^deb /{print $2; exit}' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null)
[ -n "$base" ] || { echo "fetch-observers: this machine's apt knows no Debian mirror" >&2; exit 1; }
observer() { # observer NAME download|install package...
  local name=$1 how=$2; shift 2; local d=$dest/$name a=$dest/.apt/$name
  [ -e "$d/.complete" ] && [ "$(cat "$d/.complete")" = "$*" ] && return
  rm -rf "$d" "$a"; mkdir -p "$d" "$a"/{lists/partial,cache/archives/partial}; : > "$a/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $base $VERSION_CODENAME main" > "$a/sources.list"
  local o=(-qq -o "Dir::State=$a" -o "Dir::State::lists=$a/lists" -o "Dir::State::status=$a/status" -o "Dir::Cache=$a/cache" -o "Dir::Etc::sourcelist=$a/sources.list" -o Dir::Etc::sourceparts=- -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root -o Acquire::Languages=none -o Debug::NoLocking=1)
  apt-get "${o[@]}" update
  if [ "$how" = download ]; then (cd "$a/cache/archives" && apt-get "${o[@]}" download "$@")
  else apt-get "${o[@]}" install --yes --download-only --no-install-recommends "$@" >/dev/null; fi
  for p in "$a"/cache/archives/*.deb; do
    case $(basename "$p") in
      # The machine's own libc is used, nothing is drawn by a graphics card, and no package is set up.
      libc6_*|libc-bin_*|debconf_*|dpkg_*|perl-base_*|adduser_*|passwd_*|libllvm*|libgl1-mesa-dri_*|libz3-*) ;;
      *) dpkg-deb -x "$p" "$d" ;;
    esac
  done
  rm -rf "$a" "$d"/usr/share/{doc,man,locale,icons,lintian}; echo "$*" > "$d/.complete"; echo "fetch-observers: $name: $*"
}
observer prometheus download prometheus
[ -x /usr/bin/chromium ] || [ -x /usr/bin/chromium-headless-shell ] || observer chromium install chromium-headless-shell fonts-dejavu-core fontconfig-config
