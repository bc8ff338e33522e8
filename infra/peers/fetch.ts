/**
 * Fetches the real peers that the tests talk to (chrony, NTPsec, classic ntp, OpenNTPD, ntpd-rs, systemd-timesyncd, nats-server, Samba, BIRD, ExaBGP,
 * FRR, monitoring-plugins), Prometheus and a headless Chromium as Debian packages, unpacked below .meridian/peers. Nothing is installed and no daemon
 * starts. On a system without Debian's tools it says
 * so and succeeds: the interop suites then skip themselves and say why.
 */
import { spawnSync } from "node:child_process"
import { accessSync, constants, existsSync } from "node:fs"
import { delimiter, join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")
const target = process.env["PEERS"] ?? join(root, ".meridian/peers")

const onPath = (program: string): boolean =>
  (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })

const needed = ["bash", "apt-get", "dpkg-deb", "setpriv"]
const missing = needed.filter((program) => !onPath(program))
if (missing.length > 0) {
  console.error(`peers: ${missing.join(", ")} not found: the tests with real peers will be skipped`)
} else {
  if (!existsSync(join(target, "bookworm/.complete")))
    console.error("peers: fetching real NTP peers from Debian, about 25 s …")
  const result = spawnSync("bash", [join(import.meta.dirname, "fetch-debian.sh"), target], {
    stdio: ["ignore", "inherit", "inherit"]
  })
  if (result.status !== 0) console.error("peers: could not fetch them: the tests with real peers will be skipped")
  fetchSamba()
  fetchObservers()
}

/** A domain controller, in a folder that only root can enter as its own root. */
function fetchSamba(): void {
  if (process.getuid?.() !== 0) return console.error("peers: Samba needs root: its tests will be skipped")
  if (!existsSync(join(target, "samba/.complete")))
    console.error("peers: fetching Samba and making a domain, about a minute …")
  const { status } = spawnSync("bash", [join(import.meta.dirname, "fetch-samba.sh"), target], {
    stdio: ["ignore", "inherit", "inherit"]
  })
  if (status !== 0) console.error("peers: Samba could not be had: its tests will be skipped")
}

/** Prometheus, and a Chromium where the machine has none. */
function fetchObservers(): void {
  if (!existsSync(join(target, "prometheus/.complete")))
    console.error("peers: fetching Prometheus, and Chromium where there is none, up to a minute …")
  const { status } = spawnSync("bash", [join(import.meta.dirname, "fetch-observers.sh"), target], {
    stdio: ["ignore", "inherit", "inherit"]
  })
  if (status !== 0) console.error("peers: Prometheus or Chromium could not be had: their tests will be skipped")
}
