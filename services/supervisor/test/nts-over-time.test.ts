/**
 * chronyd and NTPsec's ntpd, unchanged, keep their time by NTS from one node while its master key is rotated, its
 * certificate replaced and its workers exchanged. ntpd has no option for its own port 123, so they have a network of their own.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { makeCertificate } from "@meridian/testkit/certificates"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, type PeerName, peersAvailable } from "@meridian/testkit/real-peers"
import { meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"

const SUITE = "NTS over time"
const peers = ["chronyd-4.3", "chronyc-4.3", "ntpsec-ntpd", "ntpsec-ntpq"] as const
const available = canMakeNamespaces(SUITE) && peersAvailable(SUITE, peers)

const folder = available ? mkdtempSync(join(tmpdir(), "meridian-nts-")) : ""
const file = (name: string): string => join(folder, name)
/** A certificate of the test's authority under this subject, over the node's one. */
const certify = (subject: string): void =>
  makeCertificate({
    key: file("node.key"),
    certificate: file("node.pem"),
    subject: `/CN=${subject}`,
    names: "DNS:localhost,IP:127.0.0.1",
    more: ["-addext", "basicConstraints=critical,CA:false", "-CA", file("ca.pem"), "-CAkey", file("ca.key")]
  })

let network: NetworkNamespace
let node: RunningNode
const running: { readonly child: ChildProcess; readonly ended: Promise<unknown> }[] = []

const start = (name: PeerName, args: readonly string[]): void => {
  const { command, args: before, env } = peer(name)!
  const [program = "", ...rest] = [...network.within, command, ...before, ...args]
  const child = spawn(program, rest, { env, stdio: "ignore" })
  running.push({ child, ended: once(child, "exit") })
}
const run = (program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<string> =>
  new Promise((done) => {
    const [first = "", ...rest] = [...network.within, program, ...args]
    execFile(first, rest, { env, timeout: PATIENCE_MS }, (_error, stdout, stderr) => done(stdout + stderr))
  })
const ask = (name: PeerName, args: readonly string[]): Promise<string> => {
  const { command, args: before, env } = peer(name)!
  return run(command, [...before, ...args], env)
}
const chronyc = (...args: readonly string[]): Promise<string> =>
  ask("chronyc-4.3", ["-n", "-h", file("chrony.sock"), ...args])
const ntpq = (...args: readonly string[]): Promise<string> => ask("ntpsec-ntpq", [...args, "127.0.0.1"])

const number = (pattern: RegExp, text: string): number => Number(pattern.exec(text)?.[1] ?? Number.NaN)
/** Answers that each client has taken for good so far. */
const taken = async (): Promise<{ readonly chronyd: number; readonly ntpd: number }> => ({
  chronyd: number(/Total valid RX\s+: (\d+)/, await chronyc("ntpdata")),
  ntpd: number(/NTS client recvs good:\s+(\d+)/, await ntpq("-c", "ntsinfo"))
})

/** The generation that cookies are sealed under now. */
const active = async (): Promise<number> => {
  const { stdout } = await meridian(["keys", "list", "--json", "--state", node.state])
  const { nts } = JSON.parse(stdout) as { nts: readonly { readonly generation: number; readonly status: string }[] }
  return nts.find((key) => key.status === "active")?.generation ?? Number.NaN
}

interface Status {
  readonly totals: { readonly served: Record<string, number> }
  readonly ntsKe: readonly { readonly outcomes: Record<string, number>; readonly certificates: readonly object[] }[]
}
const status = async (): Promise<Status> => (await node.status()) as unknown as Status
const agreed = ({ ntsKe }: Status): number => ntsKe.reduce((sum, { outcomes }) => sum + (outcomes["agreed"] ?? 0), 0)

beforeAll(async () => {
  if (!available) return
  network = new NetworkNamespace()
  chmodSync(folder, 0o750)
  makeCertificate({ key: file("ca.key"), certificate: file("ca.pem"), subject: "/CN=authority" })
  certify("first")
  const lines = ["listen 127.0.0.1", "workers 2", `nts enable cert ${file("node.pem")} key ${file("node.key")}`]
  writeFileSync(file("node.conf"), `${lines.join("\n")}\n`)
  node = await startNode({ port: 11_123, args: ["--config", file("node.conf")], within: network.within })
  const source = (ca: string) => `server localhost nts iburst minpoll 0 maxpoll 0 ${ca}\n`
  const chrony = ["cmdport 0", `bindcmdaddress ${file("chrony.sock")}`, `pidfile ${file("pid")}`, "rtconutc"]
  writeFileSync(file("chrony"), `${source("")}ntstrustedcerts ${file("ca.pem")}\n${chrony.join("\n")}\n`)
  const ntpsec = ["tos minsane 1 minclock 1", "restrict default", "restrict 127.0.0.1", `nts cookie ${file("cookies")}`]
  writeFileSync(file("ntpsec"), `${source(`ca ${file("ca.pem")}`)}driftfile ${file("drift")}\n${ntpsec.join("\n")}\n`)
  writeFileSync(file("drift"), "0.0\n")
  start("chronyd-4.3", ["-x", "-d", "-f", file("chrony")])
  start("ntpsec-ntpd", ["-n", "-g", "-c", file("ntpsec"), "-l", file("ntpsec.log")])
})
afterAll(async () => {
  if (!available) return
  for (const { child, ended } of running) {
    child.kill("SIGTERM")
    await Promise.race([ended, sleep(PATIENCE_MS, undefined, { ref: false }).then(() => child.kill("SIGKILL"))])
    await ended
  }
  await node.stop()
  network.remove()
  rmSync(folder, { recursive: true, force: true })
})

describe.runIf(available)("chronyd and NTPsec's ntpd over NTS", () => {
  it("choose the node and are authenticated", async () => {
    await vi.waitFor(
      async () => {
        expect(await chronyc("sources")).toMatch(/^\^\*/m)
        expect(await ntpq("-c", "as")).toMatch(/ok\s+sys\.peer/)
      },
      { timeout: 2 * PATIENCE_MS, interval: 500 }
    )
    await vi.waitFor(async () => expect(agreed(await status())).toBe(2), { timeout: PATIENCE_MS, interval: 500 })
  })

  it("go on for ten polls across a rotation, another certificate and new workers", { timeout: 400_000 }, async () => {
    const before = { active: await active(), taken: await taken(), status: await status() }
    const rotated = await meridian(["keys", "rotate", "--state", node.state])
    expect(rotated).toMatchObject({ code: 0, stderr: "" })
    await vi.waitFor(async () => expect(await active()).toBe(before.active + 1), {
      timeout: PATIENCE_MS,
      interval: 200
    })
    certify("second")
    node.process.kill("SIGHUP")
    await vi.waitFor(
      async () => expect((await status()).ntsKe[0]?.certificates).not.toEqual(before.status.ntsKe[0]?.certificates),
      { timeout: PATIENCE_MS, interval: 300 }
    )
    const cli = resolve(import.meta.dirname, "../../cli/bin/meridian.mjs")
    const query = [cli, "query", "--nts", "--ca", file("ca.pem"), "localhost"]
    expect(await run(process.execPath, query)).toMatch(/certificate CN=second [^]*authenticated/)

    await vi.waitFor(
      async () => {
        const now = await taken()
        expect(now.chronyd - before.taken.chronyd).toBeGreaterThanOrEqual(10)
        expect(now.ntpd - before.taken.ntpd).toBeGreaterThanOrEqual(10)
      },
      { timeout: 2 * PATIENCE_MS, interval: 500 }
    )
    // While a request is under way its cookie is gone, and its poll not yet answered: one look of several finds them whole.
    await vi.waitFor(
      async () => {
        // Mode, key id, type, length, last exchange, attempts, NAKs, cookies: one exchange, no NAK, a full jar.
        expect(await chronyc("-N", "authdata")).toMatch(/NTS\s+1\s+15\s+256\s+\S+\s+0\s+0\s+8\s+\d+/)
        // Reach 377: the last eight polls were answered.
        expect(await chronyc("sources")).toMatch(/^\^\*.*\s377\s/m)
        // Column t is the cookies in the jar.
        expect(await ntpq("-np")).toMatch(/^\*127\.0\.0\.1\s+127\.127\.1\.0\s+10\s+8\s+\S+\s+\S+\s+377\s/m)
      },
      { timeout: PATIENCE_MS, interval: 300 }
    )
    const info = await ntpq("-c", "ntsinfo")
    expect(number(/NTS client recvs w error:\s+(\d+)/, info)).toBe(0)
    const after = await status()
    // Theirs, and the query's.
    expect(agreed(after)).toBe(3)
    expect(after.totals.served["nts-nak-sent"]).toBe(0)
  })
})
