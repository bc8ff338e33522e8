/**
 * A log that loses what it is to keep for ever, under running nodes: purged, cut at its beginning, deleted and made anew while a
 * node is cut off, its settings changed. It is noticed and said on every node, and laid in again with no generation lost.
 */
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream"
import { connect, type NatsConnection } from "@nats-io/transport-node"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { NATS_SUITES, natsBinary, type RunningNats, startNats } from "./nats-cluster.ts"
import { agreement, eventsOf, makeCluster, NODES, type RunningCluster, sameKeys } from "./running-cluster.ts"
import { ids, type RunningCoordinator, until } from "./running-coordinator.ts"

const suites = (["trixie", "sid"] as const).map((suite) => ({ suite, binary: natsBinary(suite) }))
const STREAM = "MERIDIAN"
/** These wait for looks at the log, seconds apart. */
const isLong = process.env["MERIDIAN_LONG"] === "1"

/** The keys that were there are there still. */
const holds = (keys: ServingKeys, before: ServingKeys): boolean =>
  before.generations.every(({ id, key }) =>
    keys.generations.some((it) => it.id === id && Buffer.from(it.key).equals(Buffer.from(key)))
  )

for (const { suite, binary } of suites)
  describe.runIf(binary !== undefined)(
    `a log in nats-server ${NATS_SUITES[suite]} that loses something${binary === undefined ? ` NOT RUN: none of ${suite}` : ""}`,
    { timeout: 300_000 },
    () => {
      const isNewest = suite === "sid"
      let nats: RunningNats
      let cluster: RunningCluster
      let nodes: Array<RunningCoordinator>
      let connection: NatsConnection
      let manager: JetStreamManager
      let before: ServingKeys
      beforeEach(async () => {
        nats = await startNats(binary ?? [])
        cluster = makeCluster(() => nats.urls)
        nodes = NODES.map((node) => cluster.start(node))
        await agreement(nodes, ({ leader, ntsKeys }) => leader !== null && ntsKeys.length === 2)
        for (const node of nodes) node.send({ type: "health", workers: 1, synchronised: true, stratum: 2 })
        connection = await connect({ servers: [...nats.urls] })
        manager = await jetstreamManager(connection, { timeout: 5_000 })
        // Something to be lost: a revocation, a policy.
        const [first] = nodes as [RunningCoordinator]
        await first.command("/keys/revoke", { generation: 2, reason: "a test" })
        await first.command("/policy", { changes: { ntsLeadMs: 500 } })
        await agreement(nodes, ({ ntsKeys, policy }) => ntsKeys.length === 3 && policy["ntsLeadMs"] === 500)
        await sameKeys(nodes, 2)
        before = await first.keys((keys) => ids(keys).join() === "1,3")
      })
      afterEach(async () => {
        await connection.close()
        await cluster.stop()
        await nats.stop()
      })

      /** What was there is there, for the nodes that run and for one that knows nothing yet; and it can be gone on with. */
      const isWhole = async (running: ReadonlyArray<RunningCoordinator>): Promise<void> => {
        const fresh = cluster.start("d")
        const all = [...running, fresh]
        const state = await agreement(all, ({ ntsKeys, leader }) => leader !== null && ntsKeys.length >= 3)
        expect(state.policy["ntsLeadMs"]).toBe(500)
        expect(state.ntsKeys.find(({ generation }) => generation === 2)?.status).toBe("revoked")
        await sameKeys(all, 2)
        for (const node of all) expect(holds(await node.keys(), before)).toBe(true)
        const rotated = await (all[0] as RunningCoordinator).command("/keys/revoke", { generation: 3, reason: "again" })
        expect(rotated).toMatchObject({ status: 200 })
        await agreement(all, ({ ntsKeys }) => ntsKeys.some(({ generation }) => generation === 4))
      }

      it("is purged: every node says so, and it is laid in again", async () => {
        await manager.streams.purge(STREAM)
        for (const node of nodes) await node.warning(/the log ha[sd] lost .*keys\.nts/)
        for (const node of nodes) await node.warning(/the log has again what it had lost/)
        await isWhole(nodes)
        const events = await eventsOf(nodes[0] as RunningCoordinator, "keys")
        expect(events.map(({ type }) => type)).toEqual(
          expect.arrayContaining(["NtsKeysRestored", "SymmetricKeysRestored", "ClusterKeyRestored"])
        )
      })

      it.runIf(isNewest && isLong)(
        "loses the beginning of its keys: a node that comes later knows all the same",
        async () => {
          const last = await manager.streams.getMessage(STREAM, { last_by_subj: "meridian.keys.nts" })
          await manager.streams.purge(STREAM, { filter: "meridian.keys.nts", seq: last?.seq ?? 0 })
          for (const node of nodes) await node.warning(/the log ha[sd] lost .*keys\.nts/)
          await isWhole(nodes)
          const [first] = await eventsOf(nodes[0] as RunningCoordinator, "keys.nts")
          expect(first?.version).toBeGreaterThan(1)
        }
      )

      it.runIf(isNewest)(
        "is deleted and made anew while one node is cut off: none asks for its old place in it",
        async () => {
          const [a, b, c] = nodes as [RunningCoordinator, RunningCoordinator, RunningCoordinator]
          c.process.kill("SIGSTOP")
          const { config } = await manager.streams.info(STREAM)
          await manager.streams.delete(STREAM)
          await manager.streams.add(config)
          for (const node of [a, b]) expect(await node.exited).toBe(1)
          const again = ["a", "b"].map((node) => cluster.start(node))
          for (const node of again)
            expect(await node.warning(/it has been replaced, and lacks/)).toContain("laid in again")
          await agreement(again, ({ leader, ntsKeys }) => leader !== null && ntsKeys.length === 3)
          // Longer than what c had read: its old place is one of the new log.
          await until(
            async () =>
              (await manager.streams.info(STREAM)).state.last_seq > 40 ? true : grow(again[0] as RunningCoordinator),
            () => "a long log"
          )
          c.process.kill("SIGCONT")
          expect(await c.exited).toBe(1)
          expect(c.said()).toMatch(/was made anew at|the log was made at|the log ends at|has another event at/)
          const last = cluster.start("c")
          await isWhole([...again, last])
        }
      )

      it.runIf(isNewest)(
        "is purged while nobody runs: a node that knows nothing neither leads nor shreds, until others have laid it in",
        async () => {
          for (const node of nodes) await node.drain()
          await manager.streams.purge(STREAM)
          const storedKeys = async (): Promise<number> =>
            (await manager.streams.info("MERIDIAN_SHELF")).state.num_subjects ?? 0
          const slots = await storedKeys()
          const stranger = cluster.start("d")
          await stranger.warning(/it has lost what was in it\. This node knows none of it/)
          await stranger.report(({ adapter, leading }) => adapter === "jetstream" && !leading)
          expect(await storedKeys()).toBe(slots)
          const again = NODES.map((node) => cluster.start(node))
          const all = [...again, stranger]
          await agreement(all, ({ leader, ntsKeys }) => leader !== null && ntsKeys.length >= 3)
          await sameKeys(all, 2)
          for (const node of all) expect(holds(await node.keys(), before)).toBe(true)
        }
      )

      it.runIf(isNewest && isLong)(
        "is purged and nobody knows any more what was in it: a node leads after a minute, and says so",
        async () => {
          for (const node of nodes) await node.kill()
          await manager.streams.purge(STREAM)
          const stranger = cluster.start("d")
          await stranger.warning(/leaves leading to those that do/)
          await stranger.warning(/no node has laid in again what the log has lost/)
          const begun = await stranger.keys((keys) => keys.generations.length >= 2)
          expect(holds(begun, before)).toBe(false)
        }
      )

      it.runIf(isNewest && isLong)(
        "has other settings: every node says which, and when they are right again",
        async () => {
          const { config } = await manager.streams.info(STREAM)
          await manager.streams.update(STREAM, { ...config, max_age: 86_400_000_000_000, num_replicas: 1 })
          for (const node of nodes)
            expect(await node.warning(/stream MERIDIAN has copies: 1, and should be 3/)).toContain("longest age")
          await manager.streams.update(STREAM, config)
          for (const node of nodes) await node.warning(/settings are as they should be again/)
        }
      )
    }
  )

const grow = async (node: RunningCoordinator): Promise<undefined> => {
  for (const bytes of [1_000_000, 2_000_000]) await node.command("/policy", { changes: { clockRetentionBytes: bytes } })
  return undefined
}
