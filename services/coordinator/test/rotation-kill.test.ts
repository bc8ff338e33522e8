/**
 * The leader is killed in the middle of a rotation, over and over: as the key comes onto the shelf and before its event,
 * as the event is on its way, and at moments of chance. Whatever it left behind, no generation is lost, doubled or torn.
 */
import { connect } from "@nats-io/transport-node"
import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { AnyEvent } from "@meridian/events/catalogue"
import { PREFIX, SHELF_PREFIX } from "../src/cluster.ts"
import { natsBinary, type RunningNats, startNats } from "./nats-cluster.ts"
import {
  agreement,
  eventsOf,
  holesIn,
  keysText,
  leaderOf,
  makeCluster,
  NODES,
  type RunningCluster
} from "./running-cluster.ts"
import { ids, type RunningCoordinator, until } from "./running-coordinator.ts"

const binary = natsBinary()
const why =
  binary === undefined ? " NOT RUN: no nats-server of Debian trixie (set PEERS, or let infra/peers fetch it)" : ""

/** Events of one decision have one command's id before their last dot. */
const decisions = (events: ReadonlyArray<AnyEvent>): ReadonlyArray<ReadonlyArray<AnyEvent>> => [
  ...Map.groupBy(events, ({ id }) => id.slice(0, id.lastIndexOf("."))).values()
]

describe.runIf(binary !== undefined)(`a leader killed while it rotates${why}`, () => {
  let nats: RunningNats
  let cluster: RunningCluster
  beforeEach(async () => {
    nats = await startNats(binary ?? [])
    cluster = makeCluster(() => nats.urls)
  })
  afterEach(async () => {
    await cluster.stop()
    await nats.stop()
  })

  /** Resolves when something is published to the subject; not later than a moment, in case the leader was too slow for it. */
  const published = async (subject: string): Promise<() => Promise<void>> => {
    const watcher = await connect({ servers: [...nats.urls] })
    let seen = (): void => {}
    const first = new Promise<void>((done) => (seen = done))
    watcher.subscribe(subject, { callback: () => seen() })
    await watcher.flush()
    return async () => {
      await Promise.race([first, sleep(2_000)])
      void watcher.close()
    }
  }

  it("leaves every generation whole, on all nodes, once", async () => {
    const byName = new Map(NODES.map((node) => [node, cluster.start(node)]))
    const nodes = (): ReadonlyArray<RunningCoordinator> => [...byName.values()]
    await agreement(nodes(), ({ leader, ntsKeys }) => leader !== null && ntsKeys.length === 2)
    const policy = { changes: { ntsLeadMs: 200, ntsRotationMs: 600_000 } }
    expect((await (nodes()[0] as RunningCoordinator).ask("POST", "/policy", policy)).status).toBe(200)
    await agreement(nodes(), (state) => state.policy.ntsLeadMs === 200)

    const chance = Math.random() * 40
    const moments: ReadonlyArray<{ readonly name: string; readonly wait: () => Promise<() => Promise<unknown>> }> = [
      { name: "its key on the shelf", wait: () => published(`${SHELF_PREFIX}.nts.>`) },
      { name: "its event on its way", wait: () => published(`${PREFIX}.keys.nts`) },
      { name: `${chance} ms`, wait: async () => () => sleep(chance) }
    ]
    const unanswered: Array<string> = []
    for (const { name, wait } of moments) {
      const leader = await leaderOf(nodes())
      // Ready for a rotation: the one before has become active, and every node says that it holds the next.
      const { ntsKeys } = await agreement(nodes(), (state) => {
        const [next, ...more] = state.ntsKeys.filter(({ status }) => status === "pending")
        const held = state.members.every(({ health }) => (health?.ntsGeneration ?? 0) >= (next?.generation ?? 0))
        return next !== undefined && more.length === 0 && held
      })
      const next = ntsKeys.length + 1
      const comes = await wait()
      const answer = leader.ask("POST", "/keys/rotate", { kind: "nts" }).catch(() => undefined)
      await comes()
      await leader.kill()
      if ((await answer) === undefined) unanswered.push(name)

      const node = leader.directory.slice(-1)
      const others = nodes().filter((it) => it !== leader)
      await leaderOf(others)
      byName.set(node, cluster.start(node))
      // What the dead leader had not done is done on command; what it had done is not done twice.
      await until(
        async () => {
          const state = await (others[0] as RunningCoordinator).state()
          if (state.ntsKeys.length >= next) return true
          await (others[0] as RunningCoordinator).ask("POST", "/keys/rotate", { kind: "nts" })
          return undefined
        },
        () => `generation ${next} after a kill at ${name}`
      )
      const after = await agreement(nodes(), (state) => state.ntsKeys.length === next)
      expect(after.ntsKeys.map(({ generation }) => generation)).toEqual(Array.from({ length: next }, (_, i) => i + 1))
      await until(
        () => {
          const keys = nodes().map((it) => it.allKeys.at(-1))
          const texts = new Set(keys.map((it) => (it === undefined ? "" : keysText(it))))
          return texts.size === 1 && keys[0] !== undefined && ids(keys[0]).length === next ? true : undefined
        },
        () => `the same ${next} keys on every node after a kill at ${name}`
      )
      const events = await eventsOf(others[0] as RunningCoordinator, "keys.nts")
      expect(holesIn(events)).toEqual([])
      const numbers = events.flatMap((it) => (it.type === "NtsGenerationPublished" ? [it.data.generation] : []))
      expect(numbers).toEqual(Array.from({ length: next }, (_, index) => index + 1))
      // A rotation brings one generation forward and publishes another, in one decision.
      for (const decision of decisions(events).filter(([head]) => head?.type === "NtsGenerationBroughtForward"))
        expect(decision.map(({ type }) => type)).toContain("NtsGenerationPublished")
    }
    // The first was killed before it could answer, or the test would not be in the middle of anything.
    expect(unanswered).toContain("its key on the shelf")
  }, 240_000)
})
