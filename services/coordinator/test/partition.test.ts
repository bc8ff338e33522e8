/** Three machines, a NATS server and a coordinator on each, and the leader's machine cut off from the other two. */
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest"
import type { AnyEvent } from "@meridian/events"
import { ClusterFold } from "../src/cluster-fold.ts"
import { natsBinary, type RunningNats, startNats } from "./nats-cluster.ts"
import { makePartitionNetwork } from "./partition-network.ts"
import {
  agreement,
  eventsOf,
  holesIn,
  leaderOf,
  makeCluster,
  nameOf,
  NODES,
  oneLeads,
  outOfTerm,
  type RunningCluster,
  sameKeys
} from "./running-cluster.ts"
import { type Answer, ids, type RunningCoordinator, until } from "./running-coordinator.ts"

const binary = natsBinary()
const network = binary === undefined ? "no nats-server of Debian trixie (set PEERS)" : await makePartitionNetwork(3)
const machines = typeof network === "string" ? [] : network.machines
afterAll(() => (typeof network === "string" ? undefined : network.remove()))

describe.runIf(machines.length > 0)(
  `a partition of the network${typeof network === "string" ? ` NOT RUN: ${network}` : ""}`,
  () => {
    let nats: RunningNats
    let cluster: RunningCluster
    beforeEach(async () => {
      nats = await startNats(binary ?? [], machines)
      cluster = makeCluster(() => nats.urls)
    })
    afterEach(async () => {
      for (const machine of machines) machine.heal()
      await cluster.stop()
      await nats.stop()
    })

    /** Asks over and over until told to stop; what was answered. */
    const insist = (node: RunningCoordinator): { readonly stop: () => Promise<Array<Answer>> } => {
      let stopped = false
      const answers: Array<Answer> = []
      const asking = (async () => {
        while (!stopped) {
          answers.push(await node.ask("POST", "/keys/rotate", { kind: "nts" }).catch(() => ({ status: 0, text: "" })))
          await sleep(100)
        }
      })()
      return {
        stop: async () => {
          stopped = true
          await asking
          return answers
        }
      }
    }

    const foldOf = (events: ReadonlyArray<AnyEvent>): string => {
      const fold = new ClusterFold()
      for (const event of events) expect(fold.fold(event)).toBeUndefined()
      return fold.toText()
    }

    it("leaves one leader: the fenced one appends nothing and steps down, and all folds are equal once it is healed", async () => {
      const nodes = NODES.map((node, index) => cluster.start(node, ["--rotate", "4"], machines[index]?.how))
      await agreement(nodes, ({ leader, ntsKeys }) => leader !== null && ntsKeys.length >= 2)
      const old = await leaderOf(nodes)
      const { term } = await old.state()
      const others = nodes.filter((it) => it !== old)
      const machine = machines[nodes.indexOf(old)]
      const oldName = NODES[nodes.indexOf(old)] ?? ""

      const held = ids(await old.keys())
      machine?.cut()
      const cutAt = performance.now()
      const insisting = insist(old)
      const successor = await until(
        async () => {
          const states = await Promise.all(others.map((it) => it.state()))
          return others[states.findIndex((it) => it.leading && it.term > term)]
        },
        () => "a new leader on the larger side"
      )
      process.stdout.write(`a new leader ${Math.round(performance.now() - cutAt)} ms after the cut\n`)
      // It rotates there; the old leader believes no longer, carries nothing out, and serves on with what it has.
      const { ntsKeys } = await successor.state()
      const newest = Math.max(...ntsKeys.map(({ generation }) => generation))
      await successor.stateWhen((state) => state.ntsKeys.some(({ generation }) => generation > newest))
      await old.report(({ leading }) => !leading)
      const answers = await insisting.stop()
      expect(answers.length).toBeGreaterThan(0)
      // Until its lease has run out it may also refuse by the rules: a generation that a node did not confirm before the cut.
      expect(answers.filter(({ status }) => status !== 503 && status !== 409)).toEqual([])
      expect((await old.ask("POST", "/keys/rotate", { kind: "nts" })).status).toBe(503)
      expect(Math.max(...ids(await old.keys()))).toBeGreaterThanOrEqual(Math.max(...held))
      await oneLeads(nodes)
      const fencedAt = await successor.state()

      machine?.heal()
      await agreement(nodes, (state) => state.term >= fencedAt.term && state.ntsKeys.length >= 2)
      await old.report(({ adapter, leader, leading }) => adapter === "jetstream" && leading === (leader === oldName))
      const events = await eventsOf(successor)
      expect(holesIn(events)).toEqual([])
      // Of the leader that was cut off, nothing under a term that was over.
      const keyEvents = events.filter(({ subject }) => subject === "keys.nts")
      expect(outOfTerm(keyEvents)).toEqual([])
      const next = keyEvents.find((it) => it.type === "NtsLeaderTookOver" && it.data.term > term)
      expect(others.map(nameOf)).toContain(next?.node)

      // Every node reads the same log as far as it has read it, and in the end serves with the same keys.
      const logs = await until(
        async () => {
          const read = await Promise.all(nodes.map((it) => eventsOf(it)))
          return read.every((it) => it.length >= events.length) ? read : undefined
        },
        () => "what was appended while one node was cut off, on every node"
      )
      const common = Math.min(...logs.map((it) => it.length))
      expect(new Set(logs.map((it) => foldOf(it.slice(0, common)))).size).toBe(1)
      await sameKeys(nodes)
    })
  }
)
