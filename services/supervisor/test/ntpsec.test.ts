/** NTPsec's ntpd, unchanged, takes its time from a node over NTS. */
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { peer, type PeerCommand, peersAvailable } from "@meridian/testkit/real-peers"
import { describe, expect, it } from "vitest"

const isRoot = process.getuid?.() === 0
const available = isRoot && peersAvailable("NTPsec over NTS", ["ntpsec-ntpd", "ntpsec-ntpq"])
if (!isRoot) process.stderr.write("NTPsec over NTS: skipped, a network namespace of its own needs root\n")

const root = resolve(import.meta.dirname, "../../..")
/** A peer as one word of a shell: `env NAME=VALUE … command arguments`. */
const asWord = ({ command, args, env }: PeerCommand): string =>
  [
    "env",
    `LD_LIBRARY_PATH=${env["LD_LIBRARY_PATH"] ?? ""}`,
    `PYTHONPATH=${env["PYTHONPATH"] ?? ""}`,
    command,
    ...args
  ].join(" ")

describe.runIf(available)("NTPsec's ntpd", () => {
  it("is authenticated, chooses the node, and keeps eight cookies", { timeout: 90_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "meridian-ntpsec-"))
    const script = join(import.meta.dirname, "ntpsec-client.sh")
    const meridian = join(root, "services/cli/bin/meridian.mjs")
    const words = [folder, process.execPath, meridian, asWord(peer("ntpsec-ntpd")!), asWord(peer("ntpsec-ntpq")!)]
    const output = await new Promise<string>((done) => {
      execFile("unshare", ["--net", "bash", script, ...words], { timeout: 85_000 }, (_error, stdout, stderr) =>
        done(stdout + stderr)
      )
    })
    rmSync(folder, { recursive: true, force: true })
    expect(output).toMatch(/ok\s+sys\.peer/)
    // ntpq's column t shows the cookies in the jar.
    expect(output).toMatch(/^\*127\.0\.0\.1\s+127\.127\.1\.0\s+10\s+8\s/m)
    expect(output).toMatch(/NTS client recvs w error:\s+0/)
    expect(Number(/"served-nts": (\d+)/.exec(output)?.[1])).toBeGreaterThanOrEqual(4)
    expect(output).toMatch(/"nts-nak-sent": 0/)
  })
})
