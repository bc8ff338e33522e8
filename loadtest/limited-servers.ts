/** Servers with a rate limit, each in a network of its own behind a cable, where as many addresses as are wished ask it. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { answersBehind, type Cable, inNetwork, layCable, SERVER } from "./cabled.ts"
import { type Command, launchAndRead } from "./children.ts"
import {
  chronydCommand,
  chronydLabel,
  configuredMeridian,
  missing,
  missingPeer,
  peerCommand,
  peerVersion,
  type RunningServer,
  startCommands,
  withoutClock
} from "./servers.ts"
import type { ClientGroup, Fate } from "./steady-clients.ts"

const NTPD = "usr/sbin/ntpd"
const NTP_PORT = 123

export interface LimitedServer extends RunningServer {
  readonly cable: Cable
}

/** A server by the words of its own configuration. */
export interface Limited {
  readonly label: string
  /** Why it cannot be started here. */
  readonly lacks: string | undefined
  readonly commands: (port: number, folder: string) => readonly Command[]
  /** What it listens on, where it cannot be told. */
  readonly port?: number
}

const file = (folder: string, lines: readonly string[]): string => {
  const path = join(folder, "bench.conf")
  writeFileSync(path, `${lines.join("\n")}\n`)
  return path
}

export const limitedMeridian = (label: string, lines: readonly string[]): Limited => ({
  label,
  lacks: missing("meridian"),
  commands: (port, folder) => [configuredMeridian({ address: SERVER, workers: 1, cores: [] }, port, folder, lines)]
})

export const limitedChronyd = (lines: readonly string[]): Limited => ({
  label: chronydLabel("chronyd-new"),
  lacks: missing("chronyd-new"),
  commands: (port, folder) => [chronydCommand("chronyd-new", SERVER, port, folder, lines)]
})

/** They serve their own clock, which they may never touch, at once. */
const ntpd = (label: string, suite: string, own: readonly string[], lines: readonly string[]): Limited => ({
  label,
  lacks: missingPeer(suite, NTPD),
  port: NTP_PORT,
  commands: (_port, folder) => [
    withoutClock(
      peerCommand(suite, NTPD, ["-n", "-g", "-c", file(folder, [...own, ...lines]), "-l", join(folder, "log")])
    )
  ]
})

export const limitedNtpsec = (lines: readonly string[]): Limited =>
  ntpd(
    `NTPsec ${missingPeer("bookworm", NTPD) === undefined ? peerVersion("bookworm", NTPD, "--version") : ""}`,
    "bookworm",
    ["refclock local stratum 9 minpoll 3 maxpoll 3", "tos orphan 9 orphanwait 1", "disable ntp"],
    lines
  )

export const limitedClassic = (lines: readonly string[]): Limited =>
  ntpd(
    "ntpd 4.2.8",
    "bullseye",
    ["server 127.127.1.0 prefer minpoll 3 maxpoll 3", "fudge 127.127.1.0 stratum 5", "tos orphanwait 0"],
    lines
  )

/** @param clients addresses behind the cable */
export const startLimited = async (
  { label, commands, port }: Limited,
  clients: readonly string[],
  cores: readonly number[],
  generatorCore: number
): Promise<LimitedServer> => {
  const cable = layCable(clients)
  const within = ["ip", "netns", "exec", cable.there]
  try {
    const server = await startCommands(
      "other",
      label,
      { address: SERVER, workers: 1, cores },
      (given, folder) => commands(given, folder).map((command) => inNetwork(cable.here, command)),
      answersBehind(within, generatorCore, port)
    )
    return {
      ...server,
      port: port ?? server.port,
      cable,
      within: () => within,
      stop: async () => {
        await server.stop()
        cable.remove()
      }
    }
  } catch (error) {
    cable.remove()
    throw error
  }
}

const clientsProgram = join(import.meta.dirname, "steady-clients.ts")

/** Has groups of clients ask a server, all at once. */
export const askSteadily = async (
  server: LimitedServer,
  groups: readonly ClientGroup[],
  seconds: number,
  core: number
): Promise<Readonly<Record<string, Fate>>> => {
  const args = [clientsProgram, server.address, String(server.port), String(seconds), JSON.stringify(groups)]
  const command = inNetwork(server.cable.there, { command: process.execPath, args })
  return JSON.parse(await launchAndRead(command, [core])) as Readonly<Record<string, Fate>>
}
