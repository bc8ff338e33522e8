/**
 * The leader is killed in the middle of a rotation, over and over: as the key comes into the key store and before its event,
 * as the event is on its way, and at moments of chance. Whatever it left behind, no generation is lost, doubled or torn.
 */
import { connect } from "@nats-io/transport-node"
import { existsSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { expect, it } from "vitest"
import type { AnyEvent } from "@meridian/events"
import { PREFIX, KEY_STORE_PREFIX } from "../src/cluster.ts"
import {
  agreement,
  eventsOf,
  holesIn,
  leaderOf,
  describeOverNats,
  nameOf,
  NODES,
  outOfTerm,
  readyToRotate,
  sameKeys
} from "./running-cluster.ts"
import { type RunningCoordinator, until } from "./running-coordinator.ts"

const FREEZE_AT = new URL("freeze-at.ts", import.meta.url).href
/** Events of one decision have one command's id before their last dot. */
const decisions = (events: ReadonlyArray<AnyEvent>): ReadonlyArray<ReadonlyArray<AnyEvent>> => [
  ...Map.groupBy(events, ({ id }) => id.slice(0, id.lastIndexOf("."))).values()
]

describeOverNats("a leader killed while it rotates", (stage) => {
  const fileOf = (node: string): string => join(stage.cluster.place.path, `${node}.freeze-at`)
  const frozenFile = (node: string): string => `${fileOf(node)}.frozen`
  /** A node that can be stopped at a moment; see freeze-at.ts. */
  const start = (node: string): RunningCoordinator =>
    stage.cluster.start(node, [], ["env", `MERIDIAN_FREEZE_AT=${fileOf(node)}`, `NODE_OPTIONS=--import=${FREEZE_AT}`])

  /** Commands a rotation and stops the leader as it publishes to the subject; the leader once others have what it published. */
  const frozenAt = async (
    subject: string,
    nodes: ReadonlyArray<RunningCoordinator>,
    command: (leader: RunningCoordinator) => Promise<unknown>
  ): Promise<RunningCoordinator> => {
    const watcher = await connect({ servers: [...stage.nats.urls] })
    let seen: true | undefined
    watcher.subscribe(subject, { callback: () => void (seen = true) })
    await watcher.flush()
    for (const node of NODES) writeFileSync(fileOf(node), subject.replace(">", ""))
    const frozen = (): RunningCoordinator | undefined => nodes.find((it) => existsSync(frozenFile(nameOf(it))))
    let answers = 0
    const leader = await until(
      async () => {
        if (frozen() === undefined) {
          const asking = command(await leaderOf(nodes)).then(() => (answers += 1))
          await Promise.race([asking, until(frozen, () => `a leader stopped at ${subject}`)])
        }
        return frozen()
      },
      () => `a leader stopped at ${subject}; ${answers} answers instead`
    )
    await until(
      () => seen,
      () => `what the leader published to ${subject}`
    )
    await watcher.close()
    for (const node of NODES) for (const file of [fileOf(node), frozenFile(node)]) rmSync(file, { force: true })
    return leader
  }

  it("leaves every generation whole, on all nodes, once", async () => {
    const byName = new Map(NODES.map((node) => [node, start(node)]))
    const nodes = (): ReadonlyArray<RunningCoordinator> => [...byName.values()]
    await agreement(nodes(), ({ leader, ntsKeys }) => leader !== null && ntsKeys.length === 2)
    const policy = { changes: { ntsLeadMs: 200, ntsRotationMs: 3_600_000 } }
    expect((await (nodes()[0] as RunningCoordinator).command("/policy", policy)).status).toBe(200)
    await agreement(nodes(), (state) => state.policy.ntsLeadMs === 200)

    const chance = Math.random() * 40
    const unanswered: Array<string> = []
    const command = (name: string) => async (leader: RunningCoordinator) => {
      const answer = await leader.ask("POST", "/keys/rotate", { kind: "nts" }).catch(() => undefined)
      if (answer === undefined) unanswered.push(name)
    }
    type Moment = readonly [name: string, leaderAt: (name: string) => Promise<RunningCoordinator>]
    const moments: ReadonlyArray<Moment> = [
      ["its key in the key store", (name) => frozenAt(`${KEY_STORE_PREFIX}.nts.>`, nodes(), command(name))],
      ["its event on its way", (name) => frozenAt(`${PREFIX}.keys.nts`, nodes(), command(name))],
      [
        `${chance} ms`,
        async (name) => {
          const leader = await leaderOf(nodes())
          void command(name)(leader)
          await sleep(chance)
          return leader
        }
      ]
    ]
    for (const [name, leaderAt] of moments) {
      // Ready for a rotation: the one before has become active, and every node says that it holds the next.
      const { ntsKeys } = await agreement(nodes(), readyToRotate)
      const next = ntsKeys.length + 1
      const leader = await leaderAt(name)
      await leader.kill()

      const node = nameOf(leader)
      byName.set(node, start(node))
      // What the dead leader had not done is done on command; what it had done is not done twice. Asked is the new leader,
      // who has read all that was before it.
      let refusal = ""
      await until(
        async () => {
          const successor = await leaderOf(nodes())
          const state = await successor.state()
          if (!state.leading) return undefined
          if (state.ntsKeys.length >= next) return true
          refusal = (await successor.ask("POST", "/keys/rotate", { kind: "nts" })).text
          return undefined
        },
        () => `generation ${next} after a kill at ${name}: ${refusal}`
      )
      const after = await agreement(nodes(), (state) => state.ntsKeys.length === next)
      expect(after.ntsKeys.map(({ generation }) => generation)).toEqual(Array.from({ length: next }, (_, i) => i + 1))
      await sameKeys(nodes(), next)
      const events = await eventsOf(nodes()[0] as RunningCoordinator, "keys.nts")
      expect(holesIn(events)).toEqual([])
      expect(outOfTerm(events)).toEqual([])
      const numbers = events.flatMap((it) => (it.type === "NtsGenerationPublished" ? [it.data.generation] : []))
      expect(numbers).toEqual(Array.from({ length: next }, (_, index) => index + 1))
      // A rotation brings one generation forward and publishes another, in one decision.
      for (const decision of decisions(events).filter(([head]) => head?.type === "NtsGenerationBroughtForward"))
        expect(decision.map(({ type }) => type)).toContain("NtsGenerationPublished")
    }
    // They were killed before they could answer, or the test would not be in the middle of anything.
    expect(unanswered).toEqual(expect.arrayContaining(["its key in the key store", "its event on its way"]))
  })
})
