/** The first screen: what runs, where it listens, where its state lives, what to try next. */
import { join, relative } from "node:path"
import { NTP_PORT } from "@meridian/config"
import { DEVELOPMENT_CERTIFICATE_NAME } from "@meridian/ipc/nts-ke-report"
import type { NodePlan } from "./node-plan.ts"
import { formatListen } from "./sockets.ts"

export interface Screen {
  readonly version: string
  readonly listening: readonly string[]
  readonly workers: number
  readonly io: "native" | "fallback"
  /** Why the fallback is used; undefined with the addon. */
  readonly ioReason: string | undefined
  /** undefined: this machine's own clock is not served */
  readonly localStratum: number | undefined
  /** Configured upstreams, as written. */
  readonly sources: readonly string[]
  /** How the start is bridged until a source is followed, and whether nobody is answered meanwhile; null: not. */
  readonly starting: string | null
  /** Whether this kernel has IPv6. */
  readonly ipv6: boolean
  /** Who may ask what, in a line. */
  readonly access: string
  readonly stateDirectory: string
  /** Whether the state directory is this node's to write: there the commands find it. */
  readonly stateKept: boolean
  /** What the commands are called here: `meridian`, or how it is reached where it is not on the path. */
  readonly command: string
  /** --state DIR as the next commands need it, empty for the default directory */
  readonly stateFlag: string
  readonly port: number
  /** The file means NTP's own port, which this user may not bind. */
  readonly ntpPortDenied: boolean
  readonly mayBindNtpPort: boolean
  /** The interface whose plain requests a BPF program answers. */
  readonly xdp: { readonly interface: string; readonly mode: string } | undefined
  readonly nts: { readonly port: number; readonly developmentCertificate: boolean } | undefined
  readonly user: string | undefined
  readonly root: boolean
  /** Of the terminal; undefined elsewhere, where lines are as long as they are. */
  readonly columns: number | undefined
}

/** How to try NTS with the certificate that no client trusts by itself; nothing where there is a real one, or none. */
const ntsTrials = (screen: Screen, host: string): readonly string[] => {
  const { nts, stateDirectory } = screen
  if (nts?.developmentCertificate !== true || !screen.stateKept) return []
  const certificate = join(stateDirectory, DEVELOPMENT_CERTIFICATE_NAME)
  return [
    trial(screen, `${screen.command} query --nts --ca ${certificate}`, `${host}:${nts.port}`),
    trial(
      screen,
      `${chronyd(screen)} 'server 127.0.0.1 nts ntsport ${nts.port} iburst'`,
      `'ntstrustedcerts ${certificate}'`
    )
  ]
}

/** A command to copy; its end is on a line of its own where the terminal is too narrow for both. */
const trial = ({ columns = Infinity }: Screen, command: string, end: string): string =>
  `  ${command} ${end}`.length <= columns ? `  ${command} ${end}` : `  ${command} \\\n    ${end}`

/** A path that can be typed wherever one is; in the checkout it is relative to that. */
export const nearestName = (path: string, programRoot: string, working: string): string => {
  const below = relative(programRoot, path)
  return working !== programRoot || below.startsWith("..") ? path : below || "."
}

/** The sources of a clock as they were written. */
export const askedSources = ({ sources, referenceClocks }: NodePlan["discipline"]): readonly string[] => [
  ...sources.map(({ host, port }) => (port === NTP_PORT ? host : formatListen(host, port))),
  ...referenceClocks.map(({ driver, unit }) => `${driver.toUpperCase()}(${unit})`)
]

const INDENT = 13

/** A name and what it is, on as many lines as the terminal needs; a word that is longer than a line stays whole. */
const row = (name: string, value: string, columns: number | undefined): string => {
  const room = (columns ?? Infinity) - INDENT
  const lines: string[] = []
  for (const word of value.split(" ")) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > room) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return `  ${name.padEnd(10)} ${lines.join(`\n${" ".repeat(INDENT)}`)}`
}

/** Started by others than root, chronyd ends at once unless it is told not to look. */
const chronyd = ({ root }: Screen): string => `chronyd -Q -x${root ? "" : " -U"}`

const clockLine = ({ sources, localStratum, starting }: Screen): string => {
  const own = `this system's own clock as a local reference, stratum ${localStratum}`
  if (sources.length === 0) return `${own}: no upstream is asked`
  const asked = `asking ${sources.join(", ")}`
  return localStratum === undefined
    ? `${asked}; ${starting ?? "unsynchronised until they answer"}`
    : `${asked}; else ${own}`
}

/** Where nobody is answered before a source is, a question that came too early would be in vain. */
const firstQuestion = (screen: Screen, host: string): string => {
  const { command, stateFlag, starting, stateKept, port } = screen
  const query = `${command} query ${host}:${port}`
  return starting?.startsWith("answers nobody") === true && stateKept
    ? trial(screen, `${command} waitsync 60${stateFlag} &&`, query)
    : `  ${query}`
}

/** Where a client on this machine finds what listens on an address: the wildcards listen on loopback, too. */
const reachableAt = (address: string): string =>
  address === "0.0.0.0" ? "127.0.0.1" : address === "[::]" ? "[::1]" : address

export const firstScreen = (screen: Screen): string => {
  const notes = [
    ...(screen.io === "fallback"
      ? [
          `the C addon is not in use (${screen.ioReason ?? "unknown reason"}): slower, time stamps are taken in user space, and chronyc cannot ask`
        ]
      : []),
    ...(screen.nts?.developmentCertificate === true
      ? ["name a certificate that clients trust by nts cert and nts key"]
      : []),
    ...(screen.ipv6 ? [] : ["this kernel has no IPv6: IPv4 alone is served"]),
    ...(screen.ntpPortDenied
      ? [
          `port ${screen.port}, since this user may not bind 123, which the file means; start as root with --user NAME, or give CAP_NET_BIND_SERVICE`
        ]
      : []),
    ...(screen.sources.length === 0
      ? [
          "nobody checks this clock; --config FILE names servers to follow",
          `--config infra/packaging/ntp.conf${screen.mayBindNtpPort ? "" : ` --port ${screen.port}`} follows those of the NTP pool`
        ]
      : []),
    ...(screen.root && screen.user === undefined
      ? ["running as root; --user NAME gives the privilege up after the sockets are open"]
      : [])
  ]
  const [first] = screen.listening
  const host = reachableAt((first ?? "127.0.0.1").replace(/:\d+$/, ""))
  const line = (name: string, value: string): string => row(name, value, screen.columns)
  return [
    `Meridian ${screen.version} serves NTP`,
    line(
      "addresses",
      first === undefined ? "none yet" : screen.listening.map((address) => `udp ${address}`).join("  ")
    ),
    line("workers", `${screen.workers}, one SO_REUSEPORT socket each for every address (${screen.io})`),
    ...(screen.xdp === undefined
      ? []
      : [
          line(
            "xdp",
            `${screen.xdp.interface}, ${screen.xdp.mode}: plain requests are answered before they reach a worker`
          )
        ]),
    ...(screen.nts === undefined
      ? []
      : [
          line(
            "nts",
            `key exchange on tcp ${screen.nts.port}${screen.nts.developmentCertificate ? ", with a DEVELOPMENT certificate that no client trusts by itself" : ""}`
          )
        ]),
    line("clock", clockLine(screen)),
    line("access", screen.access),
    line("state", screen.stateDirectory),
    ...notes.map((note) => line("note", note)),
    "",
    "Try next",
    firstQuestion(screen, host),
    ...(screen.stateKept ? [`  ${screen.command} status${screen.stateFlag}`] : []),
    `  ${chronyd(screen)} 'server ${host.replace(/^\[|\]$/g, "")} port ${screen.port} iburst'`,
    ...ntsTrials(screen, host),
    "Ctrl-C ends it.",
    ""
  ].join("\n")
}
