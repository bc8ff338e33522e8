/** Looks at all nodes, now and then: whether each says that it is ready, who leads, and which key generations there are. */
import { request } from "node:http"
import { performance } from "node:perf_hooks"
import type { ClusterState } from "@meridian/ipc"
import { askState } from "../../infra/dev/cluster-state.ts"
import type { FaultCluster, FaultNode } from "./fault-cluster.ts"

const LOOK_MS = 250
const ANSWER_MS = 1_000

/** Milliseconds of performance.now(). */
export interface Span {
  readonly from: number
  readonly to: number
}

/** Whether a node answered that it is ready, and when that was. */
interface Said {
  readonly at: number
  readonly ready: boolean
}

const isReady = ({ http }: FaultNode): Promise<boolean> =>
  new Promise((done) => {
    const asking = request({ ...http, path: "/readyz", agent: false, timeout: ANSWER_MS }, (response) => {
      response.resume()
      done(response.statusCode === 200)
    })
    asking.on("timeout", () => asking.destroy())
    asking.on("error", () => done(false))
    asking.end()
  })

/** What was seen of a generation. */
interface Generation {
  readonly event: string
  readonly retirement: string | null
  status: string
}

export class Watch {
  readonly #cluster: FaultCluster
  readonly #said = new Map<string, Said[]>()
  readonly #generations = new Map<number, Generation>()
  /** Generations that a node has told otherwise of than before, in words. */
  readonly lost: string[] = []
  /** Times at which nobody led, and whether most NATS servers could be reached throughout. */
  readonly leaderless: (Span & { readonly hadNats: boolean })[] = []
  #nobodySince: { readonly at: number; hadNats: boolean } | undefined
  #looking: Promise<unknown> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  looks = 0

  constructor(cluster: FaultCluster) {
    this.#cluster = cluster
  }

  /** @param hasNats whether most NATS servers can be reached, and could for a while */
  begin(hasNats: () => boolean): void {
    const look = (): void => {
      this.#looking = this.#look(hasNats()).finally(() => {
        this.#timer = setTimeout(look, LOOK_MS)
      })
    }
    look()
  }

  async end(): Promise<void> {
    await this.#looking
    clearTimeout(this.#timer)
    this.#noteLeader(true, true)
  }

  get generations(): number {
    return this.#generations.size
  }

  async #look(hasNats: boolean): Promise<void> {
    const { nodes } = this.#cluster
    const states = await Promise.all(
      nodes.map(async (node) => {
        const [ready, state] = await Promise.all([isReady(node), askState(node.disk.folder)])
        const said = this.#said.get(node.name) ?? []
        said.push({ at: performance.now(), ready })
        this.#said.set(node.name, said)
        return state
      })
    )
    this.looks += 1
    for (const state of states) if (state !== undefined) this.#takeKeys(state)
    this.#noteLeader(
      states.some((it) => it?.leading === true),
      hasNats
    )
  }

  #noteLeader(somebodyLeads: boolean, hasNats: boolean): void {
    const at = performance.now()
    if (!somebodyLeads) {
      this.#nobodySince ??= { at, hadNats: true }
      if (!hasNats) this.#nobodySince.hadNats = false
      return
    }
    if (this.#nobodySince !== undefined)
      this.leaderless.push({ from: this.#nobodySince.at, to: at, hadNats: this.#nobodySince.hadNats })
    this.#nobodySince = undefined
  }

  /** A generation goes its way, and nobody here revokes one: what has been told of it holds. */
  #takeKeys({ node, ntsKeys }: ClusterState): void {
    for (const { generation, event, status, retirement } of ntsKeys) {
      const known = this.#generations.get(generation)
      if (status === "revoked" && known?.status !== "revoked")
        this.lost.push(`generation ${generation} is revoked, as ${node} says`)
      this.#generations.set(generation, { event, status, retirement: retirement ?? known?.retirement ?? null })
    }
  }

  /** What was there before and no node knows at the end. */
  missing(last: readonly ClusterState[]): readonly string[] {
    if (last.length === 0) return ["no node tells of its keys at the end"]
    const there = new Set(last.flatMap(({ ntsKeys }) => ntsKeys.map(({ generation }) => generation)))
    const oldest = Math.min(...there)
    return [...this.#generations.keys()]
      .filter((generation) => generation >= oldest && !there.has(generation))
      .map((generation) => `generation ${generation} is gone`)
  }

  /** Whether a node said that it is ready all through a span, and just before and after it. */
  saidReady(node: string, { from, to }: Span): boolean {
    const said = this.#said.get(node) ?? []
    const first = said.findLastIndex(({ at }) => at <= from)
    const last = said.findIndex(({ at }) => at >= to)
    return first >= 0 && last >= 0 && said.slice(first, last + 1).every(({ ready }) => ready)
  }
}
