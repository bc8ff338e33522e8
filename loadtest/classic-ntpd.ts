/** Classic ntpd beside Meridian, on its own clock. It has port 123 and no other. */
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import {
  answers,
  missingPeer,
  peerCommand,
  type RunningServer,
  startCommands,
  type StartOptions,
  withoutClock
} from "./servers.ts"

const CLASSIC = { suite: "bullseye", program: "usr/sbin/ntpd" } as const
const NTP_PORT = 123

/** @param own lines of its configuration, beside those that make it a server of its own clock */
export const startClassic = async (options: StartOptions, own: readonly string[]): Promise<RunningServer> => {
  const server = await startCommands(
    "chronyd43",
    "classic ntpd",
    options,
    (_port, folder) => {
      const lines = [
        "server 127.127.1.0 prefer minpoll 3 maxpoll 3",
        "fudge 127.127.1.0 stratum 5",
        "tos orphanwait 0",
        "interface ignore wildcard",
        "interface ignore all",
        `interface listen ${options.address}`,
        ...own
      ]
      writeFileSync(join(folder, "ntp.conf"), `${lines.join("\n")}\n`)
      const args = ["-n", "-g", "-c", join(folder, "ntp.conf"), "-l", join(folder, "log")]
      return [withoutClock(peerCommand(CLASSIC.suite, CLASSIC.program, args))]
    },
    (address, _port, ended) => answers(address, NTP_PORT, ended)
  )
  return { ...server, port: NTP_PORT }
}

/** Whether nobody has the port, so that classic ntpd can have it. */
const isPortFree = (): boolean => spawnSync("ss", ["-Hlun", `sport = :${NTP_PORT}`], { encoding: "utf8" }).stdout === ""

/** Why it cannot be started here, or nothing when it can. */
export const missingClassic = (): string | undefined =>
  missingPeer(CLASSIC.suite, CLASSIC.program) ?? (isPortFree() ? undefined : "port 123 is in use")
