/** Rate limits by the three laws beside the daemons that they come from: what of a burst is answered, and what of an hour and of weeks. */
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { accessRules, parseText, effectiveSettings } from "@meridian/config"
import { compileAccess } from "@meridian/protocol/access/access-list"
import { type AccessPlan, gateOf } from "@meridian/protocol/access/access-plan"
import { clientTableBytes } from "@meridian/protocol/access/client-layout"
import type { AccessGate } from "@meridian/protocol/access/gate"
import { noBatch } from "@meridian/protocol"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { type PeerName, peer, peersAvailable } from "@meridian/testkit/real-peers"
import { SOURCE_STRIDE, sourceAddressAt } from "@meridian/wire/source-address"
import type { Heard } from "./asking-bursts.ts"

const SUITE = "rate limits beside real daemons"
const CLIENT = (4 << 3) | 3
const SERVER = "10.9.0.1"
/** What chrony's law lets through at once. */
const TOKENS = 8

interface Law {
  readonly name: string
  readonly peer: PeerName
  /** What both read. */
  readonly limit: readonly string[]
  /** What Meridian alone is told, and the daemon alone. */
  readonly own: readonly string[]
  readonly daemon: (folder: string) => readonly string[]
  readonly args: (file: string, folder: string) => readonly string[]
  /** Packets more than the law's eight that chance may let through, of 40 and 200; undefined where nothing is left to chance. */
  readonly chance?: readonly [number, number]
  /** How many more or fewer there may be: the last one of a burst is right on the limit, and falls by the milliseconds that the burst took. */
  readonly edge: number
}

const ntpdArgs = (file: string, folder: string): readonly string[] => ["-n", "-c", file, "-l", join(folder, "log")]

const LAWS: readonly Law[] = [
  {
    name: "chrony's ratelimit",
    peer: "chronyd-newest",
    limit: ["ratelimit interval 10 burst 8 leak 4"],
    own: [],
    daemon: (folder) => [
      "local stratum 10",
      "allow",
      "cmdport 0",
      `pidfile ${join(folder, "pid")}`,
      "bindcmdaddress /"
    ],
    args: (file) => ["-x", "-d", "-f", file],
    // One in sixteen of the rest, 2 and 12 in the mean: more than these come once in 10^12 and 10^10 bursts.
    chance: [16, 40],
    edge: 0
  },
  {
    name: "NTPsec's limit",
    peer: "ntpsec-ntpd",
    limit: ["restrict default limited kod noquery"],
    own: [],
    daemon: () => [],
    args: ntpdArgs,
    edge: 1
  },
  {
    name: "the classic ntpd's discard",
    peer: "classic-ntpd",
    limit: ["restrict default limited kod noquery"],
    own: ["dialect classic"],
    daemon: () => [],
    args: ntpdArgs,
    edge: 0
  }
]

const gateBy = (lines: readonly string[]): AccessGate => {
  const { statements, diagnostics } = parseText("ntp.conf", lines.join("\n"))
  expect(diagnostics.filter(({ severity }) => severity === "error")).toEqual([])
  const { access } = effectiveSettings(statements, {}, { cores: 1, interfaces: [] }).settings
  const limit = access.rateLimit.value
  const isForAll = limit.law === "tokens"
  const plan: AccessPlan = {
    layers: accessRules(access, { addressesOf: () => [], sources: [] }).map(compileAccess),
    limit,
    manners: { limited: isForAll, kod: isForAll && limit.kod > 0, queriesOfAnyVersion: false },
    clients: { ipv6Prefix: 64, maxAge: 3600, minAge: 64 }
  }
  return gateOf(plan, new ArrayBuffer(clientTableBytes(1_000)), 3, 1)
}

/** What packets from one address at these moments get, seconds. */
const hear = (gate: AccessGate, last: number, moments: Iterable<number>): Heard => {
  const addresses = new Uint8Array(SOURCE_STRIDE)
  addresses.set([10, 9, 7, last], sourceAddressAt(0, 4))
  const batch = { ...noBatch, family: 4 as const, addresses }
  const heard = { times: 0, kisses: 0 }
  for (const moment of moments) {
    gate.begin(batch, moment)
    const refusal = gate.judge(0, CLIENT, 48)
    if (refusal === undefined) heard.times += 1
    else if (refusal._tag === "Respond") heard.kisses += 1
  }
  return heard
}

const every = function* (seconds: number, count: number, from = 1_000): Generator<number> {
  for (let packet = 0; packet < count; packet += 1) yield from + packet * seconds
}

const gateOfLaw = ({ own, limit }: Law): AccessGate => gateBy([...own, ...limit])

/** Packets at once: a probe's four, an impatient client's eight, and two that are no clients any more. */
const BURSTS = [4, 8, 40, 200] as const

describe.runIf(
  canMakeNamespaces(SUITE) &&
    peersAvailable(
      SUITE,
      LAWS.map((law) => law.peer)
    )
)("of a burst", () => {
  it.each(LAWS)("as many get the time and a kiss by $name as by the daemon", async (law) => {
    const folder = mkdtempSync(join(tmpdir(), "meridian-bursts-"))
    const file = join(folder, "daemon.conf")
    writeFileSync(file, [...law.daemon(folder), ...law.limit, ""].join("\n"))
    const [server, client] = [new NetworkNamespace(), new NetworkNamespace()]
    const sources = BURSTS.map((_, index) => `10.9.7.${index + 1}`)
    const { command, args, env } = peer(law.peer)!
    try {
      client.connect(server, ["10.9.7.99/16", ...sources.map((address) => `${address}/16`)], [`${SERVER}/16`])
      const within = server.within.slice(1)
      const daemon = spawn("ip", [...within, command, ...args, ...law.args(file, folder)], { env, stdio: "ignore" })
      try {
        const asked = async (bursts: readonly (readonly [string, number])[]): Promise<readonly Heard[]> => {
          const words = [
            process.execPath,
            join(import.meta.dirname, "asking-bursts.ts"),
            SERVER,
            JSON.stringify(bursts)
          ]
          const { stdout } = await promisify(execFile)("ip", [...client.within.slice(1), ...words])
          return JSON.parse(stdout) as readonly Heard[]
        }
        for (let isThere = false; !isThere;) isThere = (await asked([["10.9.7.99", 1]]))[0]!.times > 0
        const found = await asked(BURSTS.map((packets, index) => [sources[index]!, packets]))
        const gate = gateOfLaw(law)
        for (const [index, packets] of BURSTS.entries()) {
          const own = hear(gate, index, every(0, packets))
          const theirs = found[index]!
          const chance = packets < 40 ? undefined : law.chance?.[packets === 40 ? 0 : 1]
          const [fewest, most] =
            chance === undefined ? [own.times - law.edge, own.times + law.edge] : [TOKENS, TOKENS + chance]
          for (const { times } of [theirs, own]) {
            expect(times).toBeGreaterThanOrEqual(fewest)
            expect(times).toBeLessThanOrEqual(most)
          }
          expect(Math.abs(theirs.kisses - own.kisses)).toBeLessThanOrEqual(law.edge)
        }
      } finally {
        daemon.kill("SIGKILL")
        if (daemon.exitCode === null && daemon.signalCode === null) await once(daemon, "exit")
      }
    } finally {
      client.remove()
      server.remove()
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

describe("over time", () => {
  const [tokens, score, headway] = [gateBy(["ratelimit"]), gateOfLaw(LAWS[1]!), gateOfLaw(LAWS[2]!)] as const
  const open = gateBy(["restrict default limited kod noquery", "limit average 50 burst 100"])

  it("a probe of four packets each hour gets all four by NTPsec's and chrony's, one and a kiss by the classic's, a day long", () => {
    const day = (gate: AccessGate, last: number): Heard => {
      const sum = { times: 0, kisses: 0 }
      for (let hour = 0; hour < 24; hour += 1) {
        const { times, kisses } = hear(gate, last, every(0, 4, 1_000 + hour * 3_600))
        sum.times += times
        sum.kisses += kisses
      }
      return sum
    }
    for (const gate of [tokens, score, open]) expect(day(gate, 10)).toEqual({ times: 96, kisses: 0 })
    expect(day(headway, 10)).toMatchObject({ times: 24 })
  })

  it("one who asks 2,000 times a second gets nothing after his first burst, but what chrony's leaks", () => {
    const minutes = 2
    const flood = (gate: AccessGate): Heard => hear(gate, 11, every(1 / 2_000, minutes * 60 * 2_000))
    expect(flood(score).times).toBe(20)
    expect(flood(open).times).toBeLessThan(6_000)
    expect(flood(headway).times).toBe(1)
    const leaked = flood(tokens).times / (minutes * 60 * 2_000)
    expect(leaked).toBeGreaterThan(0.24)
    expect(leaked).toBeLessThan(0.26)
  })

  it("five hundred well-behaved clients behind one address are all served where the limit is made for networks", () => {
    const network = (gate: AccessGate): number =>
      hear(gate, 12, every(64 / 500, 3_600 * (500 / 64))).times / (3_600 * (500 / 64))
    expect(network(open)).toBe(1)
    expect(network(score)).toBeLessThan(0.01)
    expect(network(headway)).toBeLessThan(0.01)
    expect(network(tokens)).toBeGreaterThan(0.24)
  })

  it("who asks within the limit never loses a packet", () => {
    for (const gate of [tokens, score, headway, open]) expect(hear(gate, 13, every(64, 10_000)).times).toBe(10_000)
  })
})
