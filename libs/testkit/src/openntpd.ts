/** OpenNTPD as a command for tests. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { peer, type PeerCommand } from "./real-peers.ts"

/**
 * OpenNTPD following these servers. It looks for a user and for two folders that only its package makes: both are there for it alone, in a mount
 * namespace of its own.
 * @param folder for its files; made where it is missing
 */
export const openntpdCommand = (folder: string, servers: readonly string[]): PeerCommand => {
  const jail = join(folder, "jail")
  mkdirSync(jail, { recursive: true, mode: 0o755 })
  const file = join(folder, "openntpd.conf")
  writeFileSync(file, servers.map((address) => `server ${address}\n`).join(""))
  writeFileSync(join(folder, "passwd"), `root:x:0:0::/:/bin/sh\nntpd:x:65533:65533::${jail}:/bin/false\n`)
  const { command, args, ...rest } = peer("openntpd")!
  const alone = [
    'mount --bind "$0/passwd" /etc/passwd',
    "mount -t tmpfs none /var/lib",
    "mkdir -p /var/lib/openntpd/run /var/lib/openntpd/db",
    'exec "$@"'
  ].join(" && ")
  return {
    command: "unshare",
    args: ["--mount", "sh", "-c", alone, folder, command, ...args, "-d", "-v", "-f", file],
    ...rest
  }
}
