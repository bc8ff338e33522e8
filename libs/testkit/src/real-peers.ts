/**
 * Starts the real peers that infra/peers/fetch.ts unpacked: each as one command line. Every one runs without CAP_SYS_TIME, so nothing
 * a test does can touch this machine's clock; chronyd gets -x from its callers besides.
 */
import { existsSync } from "node:fs"
import { userInfo } from "node:os"
import { join, resolve } from "node:path"

/** Where the packages were unpacked: env PEERS, or .meridian/peers below the checkout. */
export const peersFolder = (): string =>
  process.env["PEERS"] ?? join(resolve(import.meta.dirname, "../../.."), ".meridian/peers")

export type PeerName =
  | "chronyd-4.3"
  | "chronyc-4.3"
  | "chronyd-4.6"
  | "chronyc-4.6"
  | "chronyd-newest"
  | "chronyc-newest"
  | "ntpsec-ntpd"
  | "ntpsec-ntpd-1.2.3"
  | "ntpsec-ntpq"
  | "ntpsec-ntpq-1.2.3"
  | "ntpsec-ntpmon"
  | "ntpsec-ntpdig"
  | "ntpsec-ntpviz"
  | "classic-ntpd"
  | "classic-ntp-keygen"
  | "classic-ntpq"
  | "classic-sntp"
  | "check_ntp_peer"
  | "check_ntp_time"
  | "openntpd"
  | "ntpd-rs"
  | "systemd-timesyncd"
  | "gnutls-cli"
  | "nats-server-2.9"
  | "nats-server-2.10"
  | "nats-server-newest"
  | "bird"
  | "birdc"
  | "exabgp"
  | "frr-zebra"
  | "frr-bgpd"
  | "frr-vtysh"

/** A program with the arguments that come before its own, and its environment. */
export interface PeerCommand {
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  /** The file whose absence means that this peer was not fetched. */
  readonly program: string
}

interface Place {
  readonly suite: "bookworm" | "bullseye" | "trixie" | "sid" | "routing" | "openntpd" | "timesyncd" | "monitoring"
  readonly program: string
  /** how: with the machine's own libc, with the suite's own, or as a Python script with either */
  readonly how: "system" | "own-libc" | "python" | "python-own-libc"
  readonly before?: readonly string[]
}

const isRoot = process.getuid?.() === 0
/** Where a container's user has no name, any other does: nobody but root can become somebody else. */
const ownName = (): string => {
  try {
    return userInfo().username
  } catch {
    return "nobody"
  }
}
/** chrony's programs stay whoever they are. */
const SAME_USER = ["-u", ownName()]
/** Started by others than root, chronyd ends at once unless it is told not to look. */
const CHRONYD = isRoot ? SAME_USER : ["-U", ...SAME_USER]

const PLACES: Record<PeerName, Place> = {
  "chronyd-4.3": { suite: "bookworm", program: "usr/sbin/chronyd", how: "system", before: CHRONYD },
  "chronyc-4.3": { suite: "bookworm", program: "usr/bin/chronyc", how: "system" },
  "chronyd-4.6": { suite: "trixie", program: "usr/sbin/chronyd", how: "own-libc", before: [...CHRONYD, "-F", "0"] },
  "chronyc-4.6": { suite: "trixie", program: "usr/bin/chronyc", how: "own-libc" },
  "chronyd-newest": { suite: "sid", program: "usr/sbin/chronyd", how: "own-libc", before: [...CHRONYD, "-F", "0"] },
  "chronyc-newest": { suite: "sid", program: "usr/bin/chronyc", how: "own-libc", before: SAME_USER },
  "ntpsec-ntpd": { suite: "bookworm", program: "usr/sbin/ntpd", how: "system" },
  "ntpsec-ntpd-1.2.3": { suite: "trixie", program: "usr/sbin/ntpd", how: "own-libc" },
  "ntpsec-ntpq": { suite: "bookworm", program: "usr/bin/ntpq", how: "python" },
  "ntpsec-ntpq-1.2.3": { suite: "trixie", program: "usr/bin/ntpq", how: "python-own-libc" },
  "ntpsec-ntpmon": { suite: "bookworm", program: "usr/bin/ntpmon", how: "python" },
  "ntpsec-ntpdig": { suite: "bookworm", program: "usr/bin/ntpdig", how: "python" },
  "ntpsec-ntpviz": { suite: "bookworm", program: "usr/bin/ntpviz", how: "python" },
  "classic-ntpd": { suite: "bullseye", program: "usr/sbin/ntpd", how: "system" },
  "classic-ntp-keygen": { suite: "bullseye", program: "usr/sbin/ntp-keygen", how: "system" },
  "classic-ntpq": { suite: "bullseye", program: "usr/bin/ntpq", how: "system" },
  "classic-sntp": { suite: "bullseye", program: "usr/bin/sntp", how: "system" },
  check_ntp_peer: { suite: "monitoring", program: "usr/lib/nagios/plugins/check_ntp_peer", how: "system" },
  check_ntp_time: { suite: "monitoring", program: "usr/lib/nagios/plugins/check_ntp_time", how: "system" },
  openntpd: { suite: "openntpd", program: "usr/sbin/ntpd", how: "system" },
  "ntpd-rs": { suite: "sid", program: "usr/bin/ntp-daemon", how: "own-libc" },
  "systemd-timesyncd": { suite: "timesyncd", program: "lib/systemd/systemd-timesyncd", how: "system" },
  "gnutls-cli": { suite: "bookworm", program: "usr/bin/gnutls-cli", how: "system" },
  "nats-server-2.9": { suite: "bookworm", program: "usr/sbin/nats-server", how: "system" },
  "nats-server-2.10": { suite: "trixie", program: "usr/sbin/nats-server", how: "own-libc" },
  "nats-server-newest": { suite: "sid", program: "usr/sbin/nats-server", how: "own-libc" },
  bird: { suite: "routing", program: "usr/sbin/bird", how: "system" },
  birdc: { suite: "routing", program: "usr/sbin/birdc", how: "system" },
  exabgp: { suite: "routing", program: "usr/sbin/python3-exabgp", how: "python" },
  "frr-zebra": { suite: "routing", program: "usr/lib/frr/zebra", how: "system" },
  "frr-bgpd": { suite: "routing", program: "usr/lib/frr/bgpd", how: "system" },
  "frr-vtysh": { suite: "routing", program: "usr/bin/vtysh", how: "system" }
}

const LIBRARIES = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" } as Record<string, string>
const LOADERS = { x64: "ld-linux-x86-64.so.2", arm64: "ld-linux-aarch64.so.1" } as Record<string, string>
/** Root alone could take it, and may drop it; everybody else is kept from getting it. */
const WITHOUT_CLOCK = isRoot ? ["--bounding-set", "-sys_time", "--inh-caps", "-sys_time"] : ["--no-new-privs"]

/** The command line of a peer; undefined when it was not fetched. */
export const peer = (name: PeerName): PeerCommand | undefined => {
  const { suite, program, how, before = [] } = PLACES[name]
  const folder = join(peersFolder(), suite)
  const path = join(folder, program)
  const libraries = join(folder, "usr/lib", LIBRARIES[process.arch] ?? "")
  if (!existsSync(path)) return undefined
  const base = { command: "setpriv", program: path }
  const loader = join(libraries, LOADERS[process.arch] ?? "")
  if (how === "python-own-libc") {
    const python = [loader, "--library-path", `${join(libraries, "ntp")}:${libraries}`, "/usr/bin/python3", path]
    const modules = join(folder, "usr/lib/python3/dist-packages")
    return {
      ...base,
      args: [...WITHOUT_CLOCK, ...python],
      env: { ...process.env, PYTHONPATH: modules, LD_LIBRARY_PATH: join(libraries, "ntp") }
    }
  }
  if (how === "own-libc") {
    return { ...base, args: [...WITHOUT_CLOCK, loader, "--library-path", libraries, path, ...before], env: process.env }
  }
  const env = {
    ...process.env,
    LD_LIBRARY_PATH:
      how === "python"
        ? `${join(libraries, "ntp")}:${libraries}`
        : [
            libraries,
            join(libraries, "frr"),
            join(libraries, "systemd"),
            join(folder, "lib", LIBRARIES[process.arch] ?? "")
          ].join(":")
  }
  if (how === "system") return { ...base, args: [...WITHOUT_CLOCK, path, ...before], env }
  return {
    ...base,
    args: [...WITHOUT_CLOCK, "/usr/bin/python3", path],
    env: { ...env, PYTHONPATH: join(folder, "usr/lib/python3/dist-packages") }
  }
}

/** Whether all of these were fetched; otherwise says on standard error which suite is skipped and why. */
export const peersAvailable = (suite: string, names: readonly PeerName[]): boolean => {
  const missing = names.filter((name) => peer(name) === undefined)
  if (missing.length > 0)
    process.stderr.write(
      `${suite}: skipped, ${missing.join(", ")} not found below ${peersFolder()} (npx node infra/peers/fetch.ts)\n`
    )
  return missing.length === 0
}

/**
 * NTPsec's ntpdig with another destination port: it has no option for one, so its name look-up is handed the port instead of 123.
 * Everything else is the client as packaged.
 */
export const ntpdigOnPort = (port: number): PeerCommand | undefined => {
  const found = peer("ntpsec-ntpdig")
  if (found === undefined) return undefined
  const redirect = [
    "import socket, sys",
    "look_up = socket.getaddrinfo",
    `socket.getaddrinfo = lambda host, port, *a, **k: look_up(host, ${port} if port == 123 else port, *a, **k)`,
    "program = sys.argv[1]; sys.argv = sys.argv[1:]",
    "exec(compile(open(program).read(), program, 'exec'), {'__name__': '__main__', '__file__': program})"
  ].join("\n")
  return { ...found, args: [...found.args.slice(0, -1), "-c", redirect, found.program] }
}
