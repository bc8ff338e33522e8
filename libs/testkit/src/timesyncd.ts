/** systemd-timesyncd as a command for tests. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { peer, type PeerCommand } from "./real-peers.ts"

/**
 * systemd-timesyncd asking one server, saying what it finds. Its configuration is where it always is, in a mount namespace of its own, and it is
 * nobody, who may set no clock.
 * @param folder for its files; made where it is missing
 */
export const timesyncdCommand = (folder: string, server: string): PeerCommand => {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, "meridian.conf"), `[Time]\nNTP=${server}\nFallbackNTP=\n`)
  const { command, args, env, program } = peer("systemd-timesyncd")!
  const alone = [
    "mount -t tmpfs none /run",
    "mkdir -p /run/systemd/timesyncd.conf.d",
    'cp "$0/meridian.conf" /run/systemd/timesyncd.conf.d',
    'exec "$@"'
  ].join(" && ")
  const nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"]
  return {
    command: "unshare",
    args: ["--mount", "sh", "-c", alone, folder, command, ...nobody, ...args],
    env: { ...env, SYSTEMD_LOG_LEVEL: "debug", SYSTEMD_LOG_TARGET: "console" },
    program
  }
}
