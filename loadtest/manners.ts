/**
 * Who gets what under a rate limit: a client that asks once in 64 seconds, one that never stops, five hundred behind one address, and a probe
 * that sends four packets at once. Each law beside the daemon that it comes from, one after the other, since a daemon's answer to a full
 * socket looks like its answer to a full limit.
 */
import { missingCable } from "./cabled.ts"
import {
  askSteadily,
  type Limited,
  limitedChronyd,
  limitedClassic,
  limitedMeridian,
  limitedNtpsec,
  startLimited
} from "./limited-servers.ts"
import { atMost, type BenchOptions, type BenchResult, type Check, type Figure } from "./results.ts"
import { summary } from "./statistics.ts"
import type { ClientGroup, Fate } from "./steady-clients.ts"

/** Two bursts of the probe, two requests of who asks once in 64 seconds. */
const SECONDS = 65
/** Who asks whether the server is there yet is not limited. */
const TOLD = ["restrict default kod limited noquery", "restrict 192.0.2.2"]

/** The probe's minute stands for its hour: by then each law has forgotten the burst before. */
const GROUPS: readonly ClientGroup[] = [
  { name: "one at 1/64 s", addresses: ["192.0.2.10"], ports: 1, everyMs: 64_000, burst: 1 },
  { name: "one at 1/s", addresses: ["192.0.2.11"], ports: 1, everyMs: 1_000, burst: 1 },
  { name: "one at 2,000/s", addresses: ["192.0.2.12"], ports: 1, everyMs: 0.5, burst: 1 },
  { name: "500 at 1/64 s behind one address", addresses: ["192.0.2.13"], ports: 500, everyMs: 64_000, burst: 1 },
  { name: "probe, 4 packets at once", addresses: ["192.0.2.14"], ports: 1, everyMs: 60_000, burst: 4 }
]

/** What a public server is told where it wants to be kind to networks and hard on who never stops. */
const FOR_A_POOL = [...TOLD, "limit average 50 burst 100"]

const competitors: readonly Limited[] = [
  limitedChronyd(["ratelimit"]),
  limitedMeridian("Meridian, ratelimit", ["ratelimit"]),
  limitedNtpsec(TOLD),
  limitedMeridian("Meridian, limit", TOLD),
  limitedClassic(TOLD),
  limitedMeridian("Meridian, discard", ["dialect classic", ...TOLD]),
  limitedMeridian("Meridian, for a pool", FOR_A_POOL),
  limitedMeridian("Meridian, no limit", [])
]

const shareOf = ({ sent, times }: Fate): number => (100 * times) / sent
const kissesOf = ({ sent, kisses }: Fate): number => (100 * kisses) / sent

/** Of one law, how far apart two may be by chance, in standard deviations; and points beside that, for the moment at which a packet comes. */
const DEVIATIONS = 3
const POINTS = 1

/** How far apart two shares are, of what chance allows. */
const apartBy = (one: Fate, other: Fate): number => {
  const share = (one.times + other.times) / (one.sent + other.sent)
  const deviation = 100 * Math.sqrt(share * (1 - share) * (1 / one.sent + 1 / other.sent))
  return Math.abs(shareOf(one) - shareOf(other)) / (DEVIATIONS * deviation + POINTS)
}

type Fates = Readonly<Record<string, Fate>>

const rows = (found: ReadonlyMap<string, Fates>): readonly Figure[] =>
  GROUPS.flatMap(({ name }) =>
    (
      [
        [`${name}: answered, %`, shareOf],
        [`${name}: kisses, %`, kissesOf]
      ] as const
    ).map(([title, value]) => ({
      name: title,
      digits: 1,
      of: Object.fromEntries([...found].map(([label, fates]) => [label, summary([value(fates[name]!)])]))
    }))
  ).filter(({ name, of }) => !name.includes("kisses") || Object.values(of).some(({ median }) => median > 0))

const alike = (found: ReadonlyMap<string, Fates>, own: string, other: string): readonly Check[] => {
  const [ours, theirs] = [found.get(own), [...found].find(([label]) => label.startsWith(other))?.[1]]
  if (ours === undefined || theirs === undefined) return []
  const apart = Math.max(...GROUPS.map(({ name }) => apartBy(ours[name]!, theirs[name]!)))
  return [atMost(`${own} / ${other}: answered, farthest apart, of what chance allows`, summary([apart]), 1, 2)]
}

export const manners = async ({ layout, progress }: BenchOptions): Promise<BenchResult> => {
  const lacking = missingCable()
  if (lacking !== undefined) throw new Error(`networks of its own are needed, and cannot be made here: ${lacking}`)
  const addresses = GROUPS.flatMap((group) => group.addresses)
  const found = new Map<string, Fates>()
  for (const each of competitors.filter(({ lacks }) => lacks === undefined)) {
    progress(`manners: ${each.label}`)
    const server = await startLimited(each, addresses, layout.one, layout.generator)
    try {
      found.set(each.label, await askSteadily(server, GROUPS, SECONDS, layout.generator))
    } finally {
      await server.stop()
    }
  }
  return {
    name: "manners",
    title: `who gets what under a rate limit, ${SECONDS} s each`,
    figures: rows(found),
    checks: [
      ...alike(found, "Meridian, ratelimit", "chronyd"),
      ...alike(found, "Meridian, limit", "NTPsec"),
      ...alike(found, "Meridian, discard", "ntpd")
    ],
    notes: competitors.flatMap(({ label, lacks }) => (lacks === undefined ? [] : [`${label} is left out: ${lacks}`]))
  }
}
