/**
 * A flood from two million addresses that nobody has, at saturation, beside clients that ask once a second: what the clients lose, what
 * one that asks too often gets meanwhile, and what memory the server takes, for each server in turn.
 */
import { execFileSync } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"
import { missingCable } from "./cabled.ts"
import { compiled, launchAndRead } from "./children.ts"
import {
  askSteadily,
  type Limited,
  limitedChronyd,
  limitedMeridian,
  limitedNtpsec,
  type LimitedServer,
  startLimited
} from "./limited-servers.ts"
import { cpuTime, proportionalBytes } from "./process-figures.ts"
import type { BenchOptions, BenchResult, Check, Figure } from "./results.ts"
import { compared } from "./results.ts"
import { type Summary, summary } from "./statistics.ts"
import type { ClientGroup, Fate } from "./steady-clients.ts"

const ADDRESSES = 2_000_000
/** How long a round is: the clients ask so many times. */
const FLOOD_SECONDS = 60
const MEGABYTE = 1e6
/** The share of their requests that the clients may lose, and that they may lose beyond what chronyd's do. */
const MOST_LOSS = 0.001

const behind = (first: number, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `192.0.2.${first + index}`)

/** A hundred of them, so that a loss of a thousandth can be seen. */
const STEADY: ClientGroup = {
  name: "steady",
  addresses: behind(100, 100),
  ports: 1,
  everyMs: 1_000,
  burst: 1
}
const GREEDY: ClientGroup = { name: "greedy", addresses: behind(20, 1), ports: 1, everyMs: 10, burst: 1 }

/** Once a second is well within it. */
const TOKENS = "ratelimit interval -2 burst 16 leak 2"

const competitors: readonly Limited[] = [
  limitedChronyd([TOKENS]),
  limitedMeridian("Meridian, ratelimit", [TOKENS]),
  limitedMeridian("Meridian, limit", ["restrict default kod limited noquery", "limit average 4 burst 16"]),
  limitedNtpsec(["restrict default kod limited noquery", "limit average 4 burst 16"])
]

interface Flood {
  readonly steady: Fate
  readonly greedy: Fate
  readonly alone: Fate
  readonly floodPerSecond: number
  /** Of all that came to the server's socket, what its queue had no room for. */
  readonly overflowed: number
  readonly busy: number
  readonly disturbed: number
  readonly memoryBefore: number
  readonly memoryMost: number
}

/** The far end answers to one name only: everything goes back through it, as through a router. */
const routeBack = ({ cable: { here, there } }: LimitedServer): string => {
  execFileSync("ip", ["-n", here, "route", "add", "default", "via", "192.0.2.2"])
  const [, hardware] =
    /link\/ether (\S+)/.exec(execFileSync("ip", ["-n", here, "link", "show", here], { encoding: "utf8" })) ?? []
  if (hardware === undefined)
    throw new Error(`expected a hardware address of ${here} (the other end is ${there}), found none`)
  return hardware
}

/** Datagrams that came to a network's sockets, and those among them that a full queue had no room for. */
const arrivals = (network: string): { readonly came: number; readonly overflowed: number } => {
  const counted = execFileSync("ip", ["netns", "exec", network, "cat", "/proc/net/snmp"], { encoding: "utf8" })
  const [names = [], values = []] = counted
    .split("\n")
    .filter((line) => line.startsWith("Udp:"))
    .map((line) => line.split(" "))
  const of = (name: string): number => Number(values[names.indexOf(name)])
  const overflowed = of("RcvbufErrors")
  return { came: of("InDatagrams") + overflowed, overflowed }
}

const floodOnce = async (server: LimitedServer, seconds: number, core: number): Promise<Flood> => {
  const hardware = routeBack(server)
  const memoryBefore = proportionalBytes(server.pids())
  const alone = (await askSteadily(server, [STEADY], 5, core))["steady"]!
  const flags = [
    "--device",
    server.cable.there,
    "--hardware",
    hardware,
    "--target",
    server.address,
    "--port",
    String(server.port)
  ]
  const bounds = ["--addresses", String(ADDRESSES), "--seconds", String(seconds + 3)]
  const flooding = launchAndRead(
    { command: "ip", args: ["netns", "exec", server.cable.there, compiled("generator/spoof.c"), ...flags, ...bounds] },
    [core]
  )
  await sleep(1_000)
  const pids = server.pids()
  const [before, arrived] = [cpuTime(pids), arrivals(server.cable.here)]
  let memoryMost = 0
  const watch = setInterval(() => (memoryMost = Math.max(memoryMost, proportionalBytes(pids))), 2_000)
  const fates = await askSteadily(server, [STEADY, GREEDY], seconds, core)
  clearInterval(watch)
  const [after, arrivedByNow] = [cpuTime(pids), arrivals(server.cable.here)]
  const { sent, seconds: took } = JSON.parse(await flooding) as { readonly sent: number; readonly seconds: number }
  return {
    steady: fates["steady"]!,
    greedy: fates["greedy"]!,
    alone,
    floodPerSecond: sent / took,
    overflowed: (arrivedByNow.overflowed - arrived.overflowed) / (arrivedByNow.came - arrived.came),
    busy: (after.used - before.used) / seconds,
    disturbed: (after.waited - before.waited) / seconds,
    memoryBefore,
    memoryMost
  }
}

const lossOf = ({ sent, times }: Fate): number => 1 - times / sent

export const flood = async ({ layout, rounds, progress }: BenchOptions): Promise<BenchResult> => {
  const lacking = missingCable()
  if (lacking !== undefined) throw new Error(`the flood needs networks of its own, and cannot be run here: ${lacking}`)
  const found = new Map<string, Flood[]>()
  for (let round = 0; round < rounds; round += 1)
    for (const each of competitors.filter(({ lacks }) => lacks === undefined)) {
      progress(`flood: round ${round + 1} of ${rounds}, ${each.label}`)
      const server = await startLimited(each, [...STEADY.addresses, ...GREEDY.addresses], layout.one, layout.generator)
      try {
        found.set(each.label, [
          ...(found.get(each.label) ?? []),
          await floodOnce(server, FLOOD_SECONDS, layout.generator)
        ])
      } finally {
        await server.stop()
      }
    }
  const row = (name: string, digits: number, value: (flood: Flood) => number): Figure => ({
    name,
    digits,
    of: Object.fromEntries([...found].map(([label, floods]) => [label, summary(floods.map(value))]))
  })
  return {
    name: "flood",
    title: `requests from ${ADDRESSES.toLocaleString("en")} addresses at saturation for ${FLOOD_SECONDS} s, one core for the server`,
    figures: [
      row("flood, requests/s", 0, ({ floodPerSecond }) => floodPerSecond),
      row("lost in the receive queue, %", 1, ({ overflowed }) => 100 * overflowed),
      row("100 clients at 1/s: lost, %", 2, ({ steady }) => 100 * lossOf(steady)),
      row("the same without a flood, %", 2, ({ alone }) => 100 * lossOf(alone)),
      row("their delay p50, ms", 1, ({ steady }) => steady.p50 ?? Number.NaN),
      row("a client at 100/s: answered, %", 1, ({ greedy }) => 100 * (1 - lossOf(greedy))),
      row("server's share of its core, %", 0, ({ busy }) => 100 * busy),
      row("ready and waiting for it, %", 0, ({ disturbed }) => 100 * disturbed),
      row("memory before, MB", 1, ({ memoryBefore }) => memoryBefore / MEGABYTE),
      row("memory, most, MB", 1, ({ memoryMost }) => memoryMost / MEGABYTE)
    ],
    checks: checksOf(found),
    notes: competitors.flatMap(({ label, lacks }) => (lacks === undefined ? [] : [`${label} is left out: ${lacks}`]))
  }
}

const checksOf = (found: ReadonlyMap<string, readonly Flood[]>): readonly Check[] => {
  const chronyd = [...found].find(([label]) => label.startsWith("chronyd"))?.[1]
  return [...found]
    .filter(([label]) => label.startsWith("Meridian"))
    .flatMap(([label, floods]) => {
      const grown = summary(floods.map(({ memoryBefore, memoryMost }) => (memoryMost - memoryBefore) / MEGABYTE))
      const memory = compared(`${label}: memory grew by`, grown, 1)
      const most = 100 * MOST_LOSS
      const losses = (name: string, found: Summary, unit: string): Check => ({
        name: `${label}: ${name}`,
        found,
        digits: 2,
        target: `at most ${most}${unit}`,
        met: found.median <= most
      })
      const own = losses("clients' loss", summary(floods.map(({ steady }) => 100 * lossOf(steady))), " %")
      if (chronyd === undefined) return [own, memory]
      const more = summary(floods.map(({ steady }, round) => 100 * (lossOf(steady) - lossOf(chronyd[round]!.steady))))
      return [own, losses("clients' loss less chronyd's", more, " points"), memory]
    })
}
