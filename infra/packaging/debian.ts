/** The Debian package `meridian-time`, made of a laid-out tree with dpkg-deb. */
import { execFileSync } from "node:child_process"
import { chmodSync, cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

interface DebianOptions {
  /** The laid-out program. */
  readonly tree: string
  /** A folder for what lies between. */
  readonly work: string
  readonly version: string
  readonly arch: "amd64" | "arm64"
  readonly out: string
  /** `-6` and the like. */
  readonly compress: string
}

const here = import.meta.dirname

/** What belongs to the administrator: dpkg asks before it replaces one that was changed. */
const CONFFILES = {
  "etc/meridian/ntp.conf": "starters/client.conf",
  "etc/default/meridian": "debian/default",
  "etc/apparmor.d/meridian": "debian/apparmor"
}

const UNITS = {
  "usr/lib/systemd/system/meridian.service": "systemd/meridian.service",
  "usr/lib/systemd/system/meridian-wait-sync.service": "systemd/meridian-wait-sync.service",
  "usr/lib/sysusers.d/meridian.conf": "systemd/meridian.sysusers",
  "usr/lib/tmpfiles.d/meridian.conf": "systemd/meridian.tmpfiles",
  "usr/share/doc/meridian-time/examples/kernel.conf": "systemd/kernel.conf",
  "usr/share/doc/meridian-time/examples/xdp.conf": "systemd/xdp.conf",
  "usr/share/doc/meridian-time/examples/cluster.conf": "systemd/cluster.conf"
}

const control = (version: string, arch: string, kilobytes: number): string => `Package: meridian-time
Version: ${version}
Architecture: ${arch}
Maintainer: Meridian <meridian@localhost>
Installed-Size: ${kilobytes}
Depends: libc6 (>= 2.34), libstdc++6 (>= 11), libgcc-s1, libatomic1
Recommends: ca-certificates, systemd
Provides: time-daemon
Conflicts: time-daemon
Replaces: time-daemon
Section: net
Priority: optional
Description: NTP and NTS time service for public pool nodes and fleets
 Meridian serves time by NTP and NTS from one process a core, follows other
 servers and reference clocks, and shares keys within a cluster. It reads
 ntp.conf and ntp.keys of NTPsec and classic ntpd.
`

/** @returns the package's path */
export const buildDebianPackage = ({ tree, work, version, arch, out, compress }: DebianOptions): string => {
  const place = join(work, "debian")
  const put = (source: string, target: string): void => {
    mkdirSync(dirname(join(place, target)), { recursive: true })
    cpSync(source, join(place, target), { recursive: true, verbatimSymlinks: true })
  }
  put(tree, "usr/lib/meridian")
  rmSync(join(place, "usr/lib/meridian/share"), { recursive: true })
  put(join(tree, "share/man"), "usr/share/man")
  put(join(tree, "share/bash-completion"), "usr/share/bash-completion")
  put(join(tree, "share/zsh"), "usr/share/zsh")
  put(join(tree, "share/fish"), "usr/share/fish")
  put(join(tree, "share/starters"), "usr/share/doc/meridian-time/examples")
  put(join(tree, "LICENSE"), "usr/share/doc/meridian-time/copyright")
  for (const [target, source] of Object.entries({ ...CONFFILES, ...UNITS })) put(join(here, source), target)
  mkdirSync(join(place, "usr/bin"), { recursive: true })
  // Names of their own: the alternatives of postinst give the short ones, and fight with no package of ntp's.
  for (const name of ["meridian", "ntpkeygen", "ntp-keygen"])
    symlinkSync("../lib/meridian/bin/meridian", join(place, "usr/bin", name === "meridian" ? name : `meridian-${name}`))
  execFileSync("chmod", ["-R", "u=rwX,go=rX", place])
  const kilobytes = Number(execFileSync("du", ["-sk", place], { encoding: "utf8" }).split("\t")[0])
  mkdirSync(join(place, "DEBIAN"))
  writeFileSync(join(place, "DEBIAN/control"), control(version, arch, kilobytes))
  writeFileSync(
    join(place, "DEBIAN/conffiles"),
    Object.keys(CONFFILES)
      .map((path) => `/${path}\n`)
      .join("")
  )
  for (const script of readdirSync(join(here, "debian")).filter((name) => /^(?:post|pre)/.test(name))) {
    cpSync(join(here, "debian", script), join(place, "DEBIAN", script))
    chmodSync(join(place, "DEBIAN", script), 0o755)
  }
  const file = join(out, `meridian-time_${version}_${arch}.deb`)
  execFileSync("dpkg-deb", ["--root-owner-group", "-Zxz", `-z${compress.slice(1)}`, "--build", place, file], {
    stdio: "ignore"
  })
  return file
}
