/** One run: a cluster, its load, faults one upon another until the time is up, and what came of it. */
import { fork } from "node:child_process"
import { once } from "node:events"
import { availableParallelism, cpus } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { askState } from "../../infra/dev/cluster-state.ts"
import { seeded } from "@meridian/testkit/sim-random"
import { type FaultCluster, type FaultNode, startCluster } from "./fault-cluster.ts"
import { type Begun, type Chance, type FaultKind, faultKinds, pickKind } from "./faults-catalogue.ts"
import { addUp, emptySlice, type Slice } from "./judgement.ts"
import type { FromLoad, LoadPlan, SliceMessage } from "./load.ts"
import type { FaultReport } from "./report.ts"
import { type Span, Watch } from "./watch.ts"

interface RunOptions {
  readonly folder: string
  readonly seed: number
  readonly seconds: number
  readonly rate: number
  readonly say: (line: string) => void
}

const SLICE_MS = 250
const NTS_PERCENT = 10
/** Between the beginnings of two faults. */
const MEAN_PAUSE_MS = 6_000
const MOST_AT_ONCE = 3
const HEAL_LIMIT_MS = 180_000
const PROGRESS_MS = 30_000
/** After a fault that took a node or NATS away has been undone, it is given so long to be back. */
const BACK_MS = 20_000

interface Active {
  readonly kind: FaultKind
  readonly begun: Begun
  readonly until: number
}

interface Away extends Span {
  readonly node: string
}

export class FaultRun {
  readonly #options: RunOptions
  readonly #chance: Chance
  readonly #counts: Record<string, number> = {}
  readonly #slices: SliceMessage[] = []
  readonly #wrong: string[] = []
  readonly #away: Away[] = []
  readonly #ends: string[] = []
  #natsAway: { readonly names: readonly string[]; until: number }[] = []
  #active: Active[] = []
  #started = 0
  #done: Extract<FromLoad, { type: "done" }> | undefined

  constructor(options: RunOptions) {
    this.#options = options
    this.#chance = seeded(options.seed)
  }

  async run(): Promise<FaultReport> {
    const { folder, say } = this.#options
    say("starting three NATS servers, three nodes and four sources of time")
    const cluster = await startCluster(folder, say)
    const watch = new Watch(cluster)
    try {
      const stopLoad = await this.#load(cluster)
      watch.begin(() => this.#hasNats())
      await this.#faults(cluster, watch)
      const healedFrom = performance.now()
      const unhealed = await this.#untilHealed(cluster)
      const healedS = unhealed === undefined ? (performance.now() - healedFrom) / 1_000 : null
      await stopLoad()
      await watch.end()
      const states = await Promise.all(cluster.nodes.map(({ disk }) => askState(disk.folder)))
      const missing = watch.missing(states.filter((it) => it !== undefined))
      return this.#report(watch, { healedS, unhealed: unhealed ?? "", missing })
    } finally {
      await cluster.end()
    }
  }

  async #load({ nodes }: FaultCluster): Promise<() => Promise<void>> {
    const plan: LoadPlan = {
      targets: nodes.map(({ name, machine, disk }) => ({
        node: name,
        address: machine.address,
        certificate: join(disk.folder, "nts-development-certificate.pem")
      })),
      rate: this.#options.rate,
      ntsPercent: NTS_PERCENT,
      sliceMs: SLICE_MS
    }
    const child = fork(join(import.meta.dirname, "load.ts"), [JSON.stringify(plan)])
    const began = new Promise<void>((done, failed) => {
      child.once("exit", (code) => failed(new Error(`the load ended with ${code}`)))
      child.on("message", (message: FromLoad) => {
        if (message.type === "started") {
          this.#started = performance.now()
          done()
        } else if (message.type === "slice") this.#slices.push(message)
        else if (message.type === "wrong") this.#blame(message.node, message.why)
        else this.#done = message
      })
    })
    await began
    return async () => {
      const ended = once(child, "exit")
      child.send("stop")
      await ended
    }
  }

  #blame(node: string, why: string): void {
    const under = this.#active.map(({ begun }) => begun.words).join(" and ")
    const line = `${this.#elapsed()} ${node} ${why}${under === "" ? "" : `, under: ${under}`}`
    if (this.#wrong.length < 20) this.#options.say(`WRONG ${line}`)
    if (this.#wrong.length < 100) this.#wrong.push(line)
  }

  #elapsed(): string {
    return `${((performance.now() - this.#started) / 1_000).toFixed(1)} s`
  }

  async #faults(cluster: FaultCluster, watch: Watch): Promise<void> {
    const { seconds, say } = this.#options
    const kinds = faultKinds(cluster)
    const end = performance.now() + seconds * 1_000
    let next = performance.now()
    let progress = performance.now() + PROGRESS_MS
    for (; performance.now() < end; await sleep(100)) {
      await this.#heal((it) => it.until <= performance.now())
      this.#noteEnds(cluster.nodes)
      if (performance.now() >= next) {
        next = performance.now() + this.#chance() * 2 * MEAN_PAUSE_MS
        if (this.#active.length < MOST_AT_ONCE) this.#beginOne(kinds, cluster, end)
      }
      if (performance.now() < progress) continue
      progress += PROGRESS_MS
      const sum = addUp(this.#slices.flatMap(({ plain, nts }) => [plain, nts]))
      say(
        `${this.#elapsed()}: ${sum.sent} sent, ${sum.lost} lost, ${sum.late} late, ${sum.wrong} wrong, ${watch.generations} generations`
      )
    }
    await this.#heal(() => true)
  }

  #beginOne(kinds: readonly FaultKind[], cluster: FaultCluster, end: number): void {
    const kind = pickKind(kinds, this.#chance)
    const length = 1_000 * (0.5 + this.#chance() * (kind.longest - 0.5))
    // One of a kind at a time: what the first undoes is not to be the second's.
    if (this.#active.some((it) => it.kind === kind)) return
    const begun = kind.begin(cluster, this.#chance)
    if (begun === undefined) return
    const until = Math.min(end, performance.now() + length)
    this.#active.push({ kind, begun, until })
    this.#counts[kind.name] = (this.#counts[kind.name] ?? 0) + 1
    if (begun.takes !== undefined) this.#away.push({ node: begun.takes, from: performance.now(), to: until + BACK_MS })
    if (begun.nats !== undefined) this.#natsAway.push({ names: begun.nats, until: until + BACK_MS })
    this.#options.say(`${this.#elapsed()}: ${begun.words}, for ${(length / 1_000).toFixed(1)} s`)
  }

  async #heal(which: (it: Active) => boolean): Promise<void> {
    for (const it of this.#active.filter(which)) {
      this.#active = this.#active.filter((other) => other !== it)
      await it.begun.heal()
    }
  }

  /** A supervisor or server that nobody ended is a finding; it is started again, as systemd would. */
  #noteEnds(nodes: readonly FaultNode[]): void {
    for (const { program, nats } of nodes)
      for (const it of [program, nats]) {
        if (it.ends === 0) continue
        it.ends = 0
        const under = this.#active.map(({ begun }) => begun.words).join(" and ")
        this.#ends.push(`${this.#elapsed()} ${it.command.name} ended by itself, under: ${under}`)
        this.#options.say(`ENDED ${this.#ends.at(-1)}`)
        it.start()
      }
  }

  #hasNats(): boolean {
    this.#natsAway = this.#natsAway.filter(({ until }) => until > performance.now())
    return new Set(this.#natsAway.flatMap(({ names }) => names)).size < 2
  }

  /** Why they do not agree within the limit, undefined where they do. */
  async #untilHealed({ disagreement, nodes }: FaultCluster): Promise<string | undefined> {
    const limit = performance.now() + HEAL_LIMIT_MS
    for (let why = await disagreement(); ; why = await disagreement()) {
      this.#noteEnds(nodes)
      if (why === undefined || performance.now() > limit) return why
      await sleep(500)
    }
  }

  #isAway(node: string, at: number): boolean {
    return this.#away.some((it) => it.node === node && it.from - SLICE_MS <= at && at <= it.to)
  }

  /** Times in which a node said that it is ready, and served less than a share of its requests. */
  #falselyReady(watch: Watch, share: number): readonly { readonly node: string; readonly span: Span }[] {
    const found: { node: string; span: Span }[] = []
    for (const { node, index, plain, nts } of this.#slices.toSorted((a, b) => a.index - b.index)) {
      const { sent, good } = addUp([plain, nts])
      const from = this.#started + index * SLICE_MS
      const span = { from, to: from + SLICE_MS }
      if (sent === 0 || good > sent * share || !watch.saidReady(node, span)) continue
      const before = found.find((it) => it.node === node && it.span.to === from)
      if (before === undefined) found.push({ node, span })
      else before.span = { from: before.span.from, to: span.to }
    }
    return found
  }

  #report(
    watch: Watch,
    {
      healedS,
      unhealed,
      missing
    }: { readonly healedS: number | null; readonly unhealed: string; readonly missing: readonly string[] }
  ): FaultReport {
    const { seed, seconds, rate } = this.#options
    const sumOf = (which: "plain" | "nts"): Slice => addUp(this.#slices.map((it) => it[which]))
    const lost = { away: emptySlice(), else: emptySlice() }
    for (const { node, index, plain, nts } of this.#slices) {
      const which = this.#isAway(node, this.#started + index * SLICE_MS) ? lost.away : lost.else
      which.lost += plain.lost + nts.lost
    }
    const longest = (spans: readonly Span[]): number => Math.max(0, ...spans.map(({ from, to }) => to - from)) / 1_000
    const [dark, half] = [this.#falselyReady(watch, 0), this.#falselyReady(watch, 0.5)]
    const at = ({ from, to }: Span): string =>
      `at ${((from - this.#started) / 1_000).toFixed(2)} s for ${((to - from) / 1_000).toFixed(2)} s`
    return {
      seed,
      seconds,
      rate,
      ranS: (performance.now() - this.#started) / 1_000,
      machine: `${availableParallelism()} × ${cpus()[0]?.model ?? "unknown"}`,
      faults: this.#counts,
      plain: sumOf("plain"),
      nts: sumOf("nts"),
      lostAway: lost.away.lost,
      lostElse: lost.else.lost,
      wrongReplies: this.#wrong,
      keyExchanges: { done: this.#done?.exchanges ?? 0, failed: this.#done?.failedExchanges ?? 0 },
      generations: watch.generations,
      generationsLost: [...new Set([...watch.lost, ...missing])],
      longestWithoutLeaderS: longest(watch.leaderless),
      longestWithoutLeaderWithNatsS: longest(watch.leaderless.filter(({ hadNats }) => hadNats)),
      longestFalselyReadyS: longest(dark.map(({ span }) => span)),
      longestHalfReadyS: longest(half.map(({ span }) => span)),
      falselyReady: half.map(({ node, span }) => `${node} said that it is ready and served half or less, ${at(span)}`),
      endedByThemselves: this.#ends,
      healedS,
      unhealed,
      loadHeldUpMs: this.#done?.heldUpMs ?? 0
    }
  }
}
