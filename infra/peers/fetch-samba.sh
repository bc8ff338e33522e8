#!/bin/bash
# fetch-samba.sh DIR: a Samba 4.17 domain controller for tests below DIR/samba: Debian 12's packages with all that they need, unpacked into a
# folder of their own (DIR/samba/root, entered by chroot), a domain X.TEST in it and the accounts of accounts.json. Nothing is installed; nothing is
# left running. Needs root. Run again, it does nothing when the domain is there. libs/testkit/src/samba.ts starts it.
set -euo pipefail
dest=$(realpath -m "${1:?usage: fetch-samba.sh DIR}")/samba; root=$dest/root; apt=$dest/.apt
here=$(dirname "$(realpath "$0")")
version=$(sha256sum "$0" "$here/samba-accounts.py" | sha256sum)
[ -e "$dest/.complete" ] && [ "$(cat "$dest/.complete")" = "$version" ] && exit 0
base=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | grep -v security | grep debian | head -1)
[ -n "$base" ] || base=$(awk '/^URIs:/{print $2; exit} /^deb /{print $2; exit}' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null)
[ -n "$base" ] || { echo "fetch-samba: this machine's apt knows no Debian mirror" >&2; exit 1; }
rm -rf "$dest"; mkdir -p "$root" "$apt"/{lists/partial,cache/archives/partial}; : > "$apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $base bookworm main" > "$apt/sources.list"
# An empty status: apt resolves the dependencies for a machine that has nothing.
o=(-qq -y -o "Dir::State=$apt" -o "Dir::State::lists=$apt/lists" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt/cache" -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=- -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root -o Acquire::Languages=none -o APT::Install-Recommends=false)
apt-get "${o[@]}" update
apt-get "${o[@]}" --download-only install samba samba-dsdb-modules samba-vfs-modules samba-ad-provision python3-samba bash coreutils
for p in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$p" "$root"; done
rm -rf "$apt" "$root"/usr/share/{doc,man,locale,info}
mkdir -p "$root"/{proc,dev,tmp,run,etc/samba} "$root"/var/{lib/samba/private,cache/samba,log/samba}
for device in 'null 1 3' 'zero 1 5' 'random 1 8' 'urandom 1 9'; do read -r name major minor <<< "$device"; mknod -m 666 "$root/dev/$name" c "$major" "$minor"; done
printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' > "$root/etc/passwd"
printf 'root:x:0:\nusers:x:100:\nnogroup:x:65534:\n' > "$root/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files\n' > "$root/etc/nsswitch.conf"
printf '127.0.0.1 localhost dc1\n' > "$root/etc/hosts"
cp "$here/samba-accounts.py" "$root/tmp/"
# A network and a host name of its own.
unshare -n -u -m bash -c '
  hostname dc1; ip link set lo up
  inside() { chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "${@:2}"; }
  inside "$0" ldconfig
  inside "$0" samba-tool domain provision --realm=X.TEST --domain=X --server-role=dc --adminpass=Passw0rd-of-a-test --dns-backend=NONE \
    --host-name=dc1 --host-ip=127.0.0.1 --option="interfaces=lo" --option="bind interfaces only=yes"
  inside "$0" python3 /tmp/samba-accounts.py > "$1/accounts.json"' "$root" "$dest" > "$dest/provision.log" 2>&1 ||
  { tail -5 "$dest/provision.log" >&2; exit 1; }
echo "$version" > "$dest/.complete"; echo "fetch-samba: $(cat "$dest/accounts.json")"
