/** One node, asked by strangers, whom the BPF program answers, and by an address with a rule of its own, whom a worker answers: both get the same. */
import { execFile, execFileSync, spawnSync } from "node:child_process"
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { makeCertificate } from "@meridian/testkit/certificates"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, type PeerCommand, peersAvailable } from "@meridian/testkit/real-peers"
import type { RunningNode } from "@meridian/testkit/running-node"
import { SteppedRealtime } from "@meridian/testkit/stepped-realtime"
import { canUseXdp, CLIENT_ADDRESSES, SERVER_ADDRESSES, XdpStage } from "@meridian/testkit/xdp-stage"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"

const SUITE = "XDP beside workers"
const canUse = await canUseXdp(SUITE)
const clients = ["chronyd-4.3", "ntpsec-ntpdig", "ntpsec-ntpq", "classic-sntp"] as const
const available = canUse && peersAvailable(SUITE, clients)

/** They have a rule of their own, which says what the one about everybody says. */
const KNOWN = ["192.0.2.3", "2001:db8::3"] as const
const SANE_OFFSET = 0.05

const hasProgram = (program: string): boolean => {
  try {
    execFileSync("which", [program], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

/** It wants a library that is not everywhere. */
const sntp = peer("classic-sntp")
const canRunSntp =
  sntp !== undefined && spawnSync(sntp.command, [...sntp.args, "--version"], { env: sntp.env }).status === 0

interface XdpView {
  readonly mode: string
  readonly replied: number
  readonly passed: Readonly<Record<string, number>>
}
const xdpOf = async (node: RunningNode): Promise<XdpView> => (await node.status())["xdp"] as XdpView

/** Octets of recordings of real peers, each once, whole and their header alone. */
const corpus = (): readonly string[] => {
  const files = [
    "auth/test/fixtures/nts-exchanges.json",
    "auth/test/fixtures/symmetric-exchanges.json",
    "protocol/test/fixtures/association-exchanges.json",
    "wire/test/fixtures/mssntp-chronyd.json",
    "wire/test/fixtures/mssntp-classic-ntpd.json"
  ]
  const found = files.flatMap((file) => {
    const text = readFileSync(resolve(import.meta.dirname, "../../../libs", file), "utf8")
    return [...text.matchAll(/"((?:[0-9a-fA-F]{2}){24,600})"/g)].map(([, hex = ""]) => hex)
  })
  return [...new Set(found.flatMap((hex) => [hex, hex.slice(0, 96)]))].slice(0, 400)
}

const DISPERSION = [8, 12] as const
const TIMES = [
  [16, 24],
  [32, 40],
  [40, 48]
] as const

const secondsAt = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at) +
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + 4) / 2 ** 32

/** What is not alike in two answers to one question; undefined where all is but for the moment. */
const unlike = (one: Uint8Array | undefined, other: Uint8Array | undefined): string | undefined => {
  if (one === undefined || other === undefined) return one === other ? undefined : "one was answered"
  const [a, b] = [one, other].map((bytes) => {
    const copy = Uint8Array.from(bytes)
    for (const [from, to] of [DISPERSION, ...TIMES]) copy.fill(0, from, to)
    return Buffer.from(copy).toString("hex")
  })
  if (a !== b) return `${a}, not ${b}`
  // The two were asked within seconds.
  return Math.abs(secondsAt(one, 40) - secondsAt(other, 40)) < 60 ? undefined : "another time"
}

describe.runIf(available)("XDP and workers", () => {
  const stepped = new SteppedRealtime()
  const folder = mkdtempSync(join(tmpdir(), "meridian-xdp-keys-"))
  let stage: XdpStage
  let node: RunningNode
  beforeAll(async () => {
    stage = new XdpStage()
    for (const address of KNOWN) {
      const length = address.includes(":") ? "64 nodad preferred_lft 0" : "24"
      stage.configure("client", `address add ${address}/${length} dev ${stage.clientDevice}`)
    }
    await stage.open()
    chmodSync(folder, 0o750)
    writeFileSync(join(folder, "ntp.keys"), "11 SHA1 a-key-in-ascii\n", { mode: 0o600 })
    const files = { key: join(folder, "key.pem"), certificate: join(folder, "cert.pem") }
    const nts = hasProgram("openssl")
      ? ["nts enable", `nts cert ${files.certificate} key ${files.key}`]
      : ["nts disable"]
    if (hasProgram("openssl")) makeCertificate({ ...files, names: "IP:192.0.2.1,IP:2001:db8::1" })
    const lines = [
      "server 127.127.1.0",
      "fudge 127.127.1.0 stratum 3",
      "dialect classic",
      "restrict default nomodify",
      `keys ${join(folder, "ntp.keys")}`,
      "trustedkey 11"
    ]
    node = await stage.start([...lines, ...KNOWN.map((address) => `restrict ${address} nomodify`), ...nts], {
      env: stepped.environment
    })
  })
  afterAll(async () => {
    await stage.close()
    stepped.close()
    rmSync(folder, { recursive: true })
  })

  const run = (command: PeerCommand, args: readonly string[]): Promise<{ code: number | null; output: string }> =>
    new Promise((done) => {
      const [program = "", ...rest] = [...stage.client.within, command.command, ...command.args, ...args]
      execFile(program, rest, { env: command.env, timeout: 2 * PATIENCE_MS }, (error, stdout, stderr) =>
        done({ code: error === null ? 0 : typeof error.code === "number" ? error.code : null, output: stdout + stderr })
      )
    })
  const offsetBy = async (lines: readonly string[]): Promise<number> => {
    const { output } = await run(peer("chronyd-4.3")!, ["-Q", "-x", "-t", "60", ...lines])
    return Math.abs(Number(/wrong by (-?[0-9.]+) seconds/.exec(output)?.[1]))
  }

  /** Clients that stamp by themselves: what they wait for a processor is in their offset, and of several one finds it free. */
  const patiently = (isRight: () => Promise<void>): Promise<void> =>
    vi.waitFor(isRight, { timeout: PATIENCE_MS, interval: 100 })

  /** Workers report each second. */
  const servedAtLeast = (reason: string, least: number): Promise<void> =>
    vi.waitFor(
      async () => {
        const { totals } = (await node.status()) as unknown as { totals: { served: Record<string, number> } }
        expect(totals.served[reason]).toBeGreaterThanOrEqual(least)
      },
      { timeout: PATIENCE_MS, interval: 300 }
    )

  it("answers the packets of recordings octet for octet alike, over IPv4 and IPv6", async () => {
    const before = await xdpOf(node)
    for (const family of [0, 1] as const) {
      const packets = corpus()
      const ask = (from: string) => stage.ask(packets.map((hex) => ({ from, to: SERVER_ADDRESSES[family], hex })))
      const [stranger, known] = [await ask(CLIENT_ADDRESSES[family]), await ask(KNOWN[family])]
      const problems = packets.flatMap((hex, at) => {
        const problem = unlike(stranger[at], known[at])
        return problem === undefined ? [] : [`${hex}: ${problem}`]
      })
      expect(problems).toEqual([])
      expect(stranger.filter((answer) => answer !== undefined).length).toBeGreaterThan(20)
    }
    const after = await xdpOf(node)
    expect(after.replied).toBeGreaterThan(before.replied + 40)
    expect(after.passed["rule"]).toBeGreaterThan(40)
    expect(after.passed["kind"]).toBeGreaterThan(40)
  })

  it("serves both the same time when somebody sets CLOCK_REALTIME by an hour", async () => {
    const hex = `23${"00".repeat(39)}${"0123456789abcdef"}`
    const both = SERVER_ADDRESSES.flatMap((to, at) =>
      [CLIENT_ADDRESSES[at]!, KNOWN[at]!].map((from) => ({ from, to, hex }))
    )
    const transmits = async (): Promise<readonly number[]> =>
      (await stage.ask(both)).map((bytes) => (bytes === undefined ? NaN : secondsAt(bytes, 40)))
    const began = performance.now()
    const first = (await transmits())[0] ?? NaN
    for (const step of [3_600, -7_200, 3_600]) {
      stepped.step(step)
      for (const seconds of await transmits())
        expect(seconds - first).toBeLessThan((performance.now() - began) / 1e3 + 1)
    }
  })

  it("gives NTPsec's client right time over IPv4 and IPv6", async () => {
    for (const address of SERVER_ADDRESSES) {
      const before = await xdpOf(node)
      await patiently(async () => {
        const { output } = await run(peer("ntpsec-ntpdig")!, ["-j", address])
        expect(Math.abs((JSON.parse(output) as { offset: number }).offset)).toBeLessThan(SANE_OFFSET)
      })
      expect((await xdpOf(node)).replied).toBeGreaterThan(before.replied)
    }
  })

  it.runIf(canRunSntp)("gives classic ntp's client right time over IPv4 and IPv6", async () => {
    for (const address of SERVER_ADDRESSES) {
      await patiently(async () =>
        expect((await run(peer("classic-sntp")!, [address])).output).toMatch(/ [+-]0\.0[0-9]+ /)
      )
    }
  })

  it("leaves keyed requests and mode 6 to the sockets meanwhile", async () => {
    const load = await stage.load(SERVER_ADDRESSES[0], 500)
    const keyed = SERVER_ADDRESSES.map((address) =>
      offsetBy([`keyfile ${join(folder, "ntp.keys")}`, `server ${address} iburst key 11`])
    )
    for (const offset of await Promise.all(keyed)) expect(offset).toBeLessThan(SANE_OFFSET)
    const { output } = await run(peer("ntpsec-ntpq")!, ["-c", "rv 0 stratum", SERVER_ADDRESSES[0]])
    expect(output).toContain("stratum=3")
    const { lost, wrong, sent } = await load.finish()
    expect([lost, wrong]).toEqual([[], 0])
    expect(sent).toBeGreaterThan(500)
    await servedAtLeast("served-keyed", 6)
  })

  it.runIf(hasProgram("openssl"))("leaves NTS to the sockets", async () => {
    const certificates = ["nosystemcert", `ntstrustedcerts ${join(folder, "cert.pem")}`]
    const offsets = SERVER_ADDRESSES.map((address) => offsetBy([...certificates, `server ${address} iburst nts`]))
    for (const offset of await Promise.all(offsets)) expect(offset).toBeLessThan(SANE_OFFSET)
    await servedAtLeast("served-nts", 6)
  })

  it("shows whom it answered in the list of clients, and what in the counters", async () => {
    const status = (await node.status()) as unknown as {
      readonly totals: { readonly received: number; readonly replied: number; readonly served: Record<string, number> }
      readonly xdp: XdpView
      readonly workers: readonly { readonly replied: number }[]
    }
    const byWorkers = status.workers.reduce((sum, { replied }) => sum + replied, 0)
    expect(status.totals.replied).toBe(byWorkers + status.xdp.replied)
    expect(status.totals.served["served"]).toBeGreaterThanOrEqual(status.xdp.replied)
  })
})
