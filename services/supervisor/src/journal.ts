/**
 * What happens to a node, as lines of its log: synchronised and not, whom it follows, sources that come and go, keys, clients
 * over their limits. Read from the pictures that the supervisor takes. One line each, and of each kind one a minute: what
 * came meanwhile is counted, and how it ended is said.
 */
import type { SourceReport, TrackingReport } from "@meridian/ipc/discipline-report"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { sourcePlace } from "@meridian/ipc/source-place"
import type { KeyStatus } from "@meridian/ipc"

interface JournalSink {
  readonly inform: (message: string) => void
  readonly warn: (message: string) => void
}

/** Between two lines of one kind about one thing, seconds. */
const REST_SECONDS = 60
/** Things that a kind of lines is about, each of which rests by itself: a pool's sources come and go for years. */
const MOST_THINGS = 1_000
/** Requests that got no time, by the names of their replies and drops, and what is said of so many. */
const REFUSED: Readonly<
  Record<string, { readonly reasons: readonly string[]; readonly words: (count: number) => string }>
> = {
  limited: {
    reasons: ["rate-limited", "rate-kiss-sent"],
    words: (count) =>
      `clients over their limits: ${count} requests not answered with time since the last such line; \`meridian clients\` names them`
  },
  crowded: {
    reasons: ["crowded-out"],
    words: (count) =>
      `more requests than can be answered: ${count} from addresses not known from before were passed over since the last such line`
  }
}

interface Line {
  readonly level: "inform" | "warn"
  readonly text: string
}

interface Told {
  at: number
  /** What was said last: a thing that is again as it was said to be is not said again. */
  text: string
  waiting: Line | undefined
  passedOver: number
}

const milliseconds = (seconds: number): string => `${(seconds * 1e3).toFixed(3)} ms`

export class Journal {
  readonly #sink: JournalSink
  readonly #told = new Map<string, Told>()
  #synchronised: boolean | undefined
  #followed: string | undefined
  #reached = new Map<string, boolean>()
  #keys: string | undefined
  /** Of what {@link REFUSED} names, as it was counted when it was said last. */
  readonly #refused = new Map<string, number>()

  constructor(sink: JournalSink) {
    this.#sink = sink
  }

  /** Says what is new in a picture. */
  look({ at, monotonic, status, tracking, sources }: NodeSnapshot): void {
    this.#lookAtClock(monotonic, status.clock.synchronised, status.clock.stratum, tracking, sources)
    for (const source of sources) this.#lookAtSource(monotonic, source)
    this.#reached = new Map(sources.map((source) => [nameOf(source), isReached(source)]))
    // Keys are minted in any case; where NTS is not served nobody asks about them.
    if (status.ntsKe.length > 0) this.#lookAtKeys(monotonic, at, status.keys)
    this.#lookAtRefused(monotonic, status.totals)
    this.#sayWaiting(monotonic)
  }

  #lookAtClock(
    now: number,
    synchronised: boolean,
    stratum: number,
    tracking: TrackingReport | null,
    sources: readonly SourceReport[]
  ): void {
    const source = sourceFollowed(tracking, sources)
    const followed =
      (source === undefined ? tracking?.systemPeer : sourcePlace(source)) ??
      (tracking?.state === "local" ? "this machine's own clock" : undefined) ??
      undefined
    if (synchronised !== this.#synchronised) {
      if (synchronised) this.#say(now, "synchronised", "inform", `synchronised, stratum ${stratum}`)
      else if (this.#synchronised === true)
        this.#say(now, "synchronised", "warn", `no longer synchronised${reasonsOf(tracking)}`)
      this.#synchronised = synchronised
    }
    if (tracking === null || followed === this.#followed) return
    const before = this.#followed
    this.#followed = followed
    if (followed === undefined) {
      this.#say(now, "followed", "warn", `follows nobody any more; it was ${before}${reasonsOf(tracking)}`)
      return
    }
    const figures =
      source?.rootDistance === undefined || source.rootDistance === null
        ? ""
        : `, stratum ${source.stratum}, offset ${milliseconds(source.offset ?? 0)}, root distance ${milliseconds(source.rootDistance)}`
    this.#say(
      now,
      "followed",
      "inform",
      `follows ${followed}${before === undefined ? "" : ` in place of ${before}`}${figures}`
    )
  }

  #lookAtSource(now: number, source: SourceReport): void {
    const name = nameOf(source)
    const before = this.#reached.get(name)
    const reached = isReached(source)
    if (before === undefined || before === reached) return
    if (reached) this.#say(now, `source ${name}`, "inform", `source ${name} answers again`)
    else
      this.#say(now, `source ${name}`, "warn", `source ${name} is lost: ${source.reason || "no answer to eight polls"}`)
  }

  #lookAtKeys(now: number, unix: number, { masterKeyGenerations }: KeyStatus): void {
    const active = masterKeyGenerations
      .filter(({ activation, retirement }) => activation <= unix && unix < retirement)
      .reduce((newest, { id }) => Math.max(newest, id), 0)
    const next = masterKeyGenerations.filter(({ activation }) => activation > unix).map(({ id }) => id)
    const keys = `${active} ${next.join(",")}`
    if (keys === this.#keys || active === 0) return
    const [before = ""] = this.#keys?.split(" ") ?? []
    this.#keys = keys
    const waiting = next.length === 0 ? "" : `; ${next.join(", ")} is handed out and comes next`
    const how =
      before === "" ? "is active" : before === String(active) ? "stays active" : `is active in place of ${before}`
    this.#say(now, "keys", "inform", `NTS key generation ${active} ${how}${waiting}`)
  }

  #lookAtRefused(now: number, { dropped, served }: NodeSnapshot["status"]["totals"]): void {
    for (const [about, { reasons, words }] of Object.entries(REFUSED)) {
      const count = reasons.reduce((sum, name) => sum + (dropped[name] ?? 0) + (served[name] ?? 0), 0)
      const before = this.#refused.get(about) ?? count
      const told = this.#told.get(about)
      // Counted over the rest, so that one line says how many they were.
      if (count > before && told !== undefined && now - told.at < REST_SECONDS) continue
      this.#refused.set(about, count)
      if (count > before) this.#say(now, about, "inform", words(count - before))
    }
  }

  #say(now: number, about: string, level: Line["level"], text: string): void {
    const told = this.#told.get(about)
    if (told === undefined || now - told.at >= REST_SECONDS) {
      if (this.#told.size >= MOST_THINGS) this.#told.clear()
      this.#told.set(about, { at: now, text, waiting: undefined, passedOver: 0 })
      this.#sink[level](text)
      return
    }
    told.waiting = { level, text }
    told.passedOver += 1
  }

  /** How those ended that changed more than once within their rest. */
  #sayWaiting(now: number): void {
    for (const told of this.#told.values()) {
      const { waiting, passedOver } = told
      if (waiting === undefined || now - told.at < REST_SECONDS) continue
      told.at = now
      told.waiting = undefined
      told.passedOver = 0
      if (waiting.text === told.text) continue
      told.text = waiting.text
      this.#sink[waiting.level](
        passedOver > 1 ? `${waiting.text} (after ${passedOver} changes in a minute)` : waiting.text
      )
    }
  }
}

/** Whom tracking names. Two servers may be on one address, of which the selection's word tells the one. */
const sourceFollowed = (
  tracking: TrackingReport | null,
  sources: readonly SourceReport[]
): SourceReport | undefined => {
  const peer = tracking?.systemPeer ?? undefined
  if (peer === undefined) return undefined
  const named = sources.filter((source) => source.address === peer || sourcePlace(source) === peer)
  return named.find(({ verdict }) => verdict === "system-peer") ?? named[0]
}

const nameOf = (source: SourceReport): string => {
  const place = sourcePlace(source)
  return source.name === null || source.name === source.address ? place : `${place} (${source.name})`
}

/** The register is octal. */
const isReached = ({ reach }: SourceReport): boolean => Number.parseInt(reach, 8) > 0

const reasonsOf = (tracking: TrackingReport | null): string =>
  tracking === null || tracking.waitingFor.length === 0 ? "" : `; waiting for ${tracking.waitingFor.join("; ")}`
