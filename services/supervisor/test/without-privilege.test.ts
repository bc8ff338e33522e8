/** Which port a node takes by itself, and what it says of a state directory that it cannot use: as root, and as somebody without privilege. */
import { spawn } from "node:child_process"
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { once } from "node:events"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, describe, expect, it } from "vitest"

const cli = resolve(import.meta.dirname, "../../cli/bin/meridian.mjs")
const folder = mkdtempSync(join(tmpdir(), "meridian-privilege-"))
chmodSync(folder, 0o755)
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const configuration = join(folder, "ntp.conf")
writeFileSync(configuration, "listen 127.0.0.1\n")
const NOBODY = 65_534
const state = (name: string, owner: number): string => {
  const path = join(folder, name)
  mkdirSync(path, { mode: 0o755 })
  chownSync(path, owner, owner)
  return path
}
const stripped = [
  "setpriv",
  `--reuid=${NOBODY}`,
  `--regid=${NOBODY}`,
  "--clear-groups",
  "--inh-caps=-all",
  "--bounding-set=-all"
]

/** All that a node says from its start to its end, in a network where nobody else is. It is ended when it serves. */
const screenOf = async (as: readonly string[], ...flags: readonly string[]): Promise<string> => {
  const command = [...as, process.execPath, cli, "up", "--workers", "1", ...flags]
  const node = spawn("unshare", ["--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", ...command], {
    stdio: ["ignore", "pipe", "pipe"]
  })
  let text = ""
  for (const stream of [node.stdout, node.stderr])
    stream.setEncoding("utf8").on("data", (part: string) => {
      text += part
      if (text.includes("Ctrl-C ends it")) node.kill("SIGTERM")
    })
  await once(node, "close")
  return text
}

describe.runIf(process.getuid?.() === 0).concurrent("a configuration file", () => {
  it("means port 123, and without the privilege for it the screen says why it is another", async () => {
    const [root, nobody] = await Promise.all([
      screenOf([], "--config", configuration, "--state", state("root", 0)),
      screenOf(stripped, "--config", configuration, "--state", state("nobody", NOBODY))
    ])
    expect(root).toContain("udp 127.0.0.1:123\n")
    expect(nobody).toContain("udp 127.0.0.1:11123\n")
    expect(nobody).toMatch(/port 11123, since this user may not bind 123, which the file means; start as root with/)
  })
})

describe.runIf(process.getuid?.() === 0).concurrent("a state directory that root made before", () => {
  it("is told of in one line, with the command that mends it, and nothing is started in vain", async () => {
    const made = state("root-before", 0)
    await screenOf([], "--config", configuration, "--state", made, "--nts")
    const said = await screenOf(stripped, "--config", configuration, "--state", made, "--nts")
    expect(said).toContain(`this user may not write in ${made} (0755, root:root), the state directory: `)
    expect(said).toContain(
      `as root, type \`chown -R nobody ${made}\`, or name another with --state DIR; time is served all the same`
    )
    expect(said).not.toMatch(/coordinator|nts-ke|ended by itself|meridian status/)
    expect(said).toContain("serves NTP")
  })
})

describe.runIf(process.getuid?.() === 0).concurrent("a state directory that cannot be had", () => {
  it.each([
    ["in a directory of root's", stripped, join(state("closed", 0), "state"), "permission denied"],
    ["where none can be made by anybody", [], "/proc/meridian", "it is not there"]
  ])("%s is said, and time is served all the same", async (_where, as, path, why) => {
    const said = await screenOf(as, "--config", configuration, "--state", path)
    expect(said).toContain(`there is no state directory ${path} and none can be made: ${why}`)
    expect(said).toContain("time is served all the same")
    expect(said).toContain("serves NTP")
    expect(said).not.toMatch(/\bE(ACCES|NOENT|ROFS)\b/)
  })
})
