/** ntpd-rs among the servers that are measured. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Command, compiled } from "./children.ts"
import { missingPeer, peerCommand, peerVersion, withoutClock } from "./servers.ts"

const PROGRAM = "usr/bin/ntp-daemon"

/** Why it cannot be started here, or nothing when it can. */
export const missingNtpdRs = (): string | undefined => missingPeer("sid", PROGRAM)

/** Its name and version. */
export const ntpdRsLabel = (): string => `ntpd-rs ${peerVersion("sid", PROGRAM, "--version")}`

/**
 * It follows one source and serves what the tables say. It ends when it may not set the clock, so those calls are replaced by ones that do
 * nothing.
 * @param source ADDRESS:PORT
 * @param serving tables of its configuration
 */
export const ntpdRsCommand = (folder: string, source: string, serving: string): Command => {
  const shim = compiled("../infra/peers/noclock.c", ["-shared", "-fPIC"], "noclock.so")
  const file = join(folder, "ntp.toml")
  writeFileSync(
    file,
    `[observability]
log-level = "warn"
[[source]]
mode = "server"
address = "${source}"
${serving}
[synchronization]
minimum-agreeing-sources = 1
`
  )
  const { args, ...started } = peerCommand("sid", PROGRAM, ["-c", file])
  return withoutClock({ ...started, args: ["--preload", shim, ...args] })
}
