/**
 * Somebody who may write to the stream, as one node's nkey lets him, and who has no cluster key: nothing that he writes is
 * believed, and nothing that he writes stays in anybody's way. Then somebody who has the key and a generation that nobody
 * can open.
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { Kvm } from "@nats-io/kv"
import { connect, type NatsConnection } from "@nats-io/transport-node"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { fingerprint } from "@meridian/event-log"
import { type AnyEvent, toIso } from "@meridian/events"
import type { ClusterState } from "@meridian/ipc"
import { LEASE_BUCKET } from "../src/cluster.ts"
import { STREAM } from "../src/log-names.ts"
import { NATS_SUITES, natsBinary, type RunningNats, startNats } from "./nats-cluster.ts"
import { agreement, eventsOf, leaderOf, makeCluster, nameOf, type RunningCluster, sameKeys } from "./running-cluster.ts"
import { ids, type RunningCoordinator, until } from "./running-coordinator.ts"
import { keyIn, signerWith } from "./signing.ts"

const suites = (["trixie", "sid"] as const).map((suite) => ({ suite, binary: natsBinary(suite) }))

const eventOf = (subject: string, version: number, type: string, data: unknown, schema = 1): AnyEvent =>
  ({
    type,
    schema,
    id: `forged-${version}-${type}`,
    time: toIso(Date.now()),
    node: "a",
    cause: "forged",
    subject,
    version,
    data
  }) as AnyEvent

const SEALED = { slot: "nts.99.0123456789abcdef", box: "A".repeat(100) }

/** Due at once, and accepted for a long time. */
const generationOf = (generation: number): unknown => ({
  generation,
  aead: 15,
  notBefore: toIso(Date.now()),
  activation: toIso(Date.now() + 172_800_000),
  retirement: toIso(Date.now() + 999_999_999),
  predecessorUntil: toIso(Date.now() + 999_999_999),
  sealed: { ...SEALED, slot: `nts.${generation}.0123456789abcdef` }
})

const liveOf = ({ ntsKeys }: ClusterState): ReadonlyArray<number> =>
  ntsKeys.filter(({ status }) => status === "active" || status === "pending").map(({ generation }) => generation)

for (const { suite, binary } of suites)
  describe.runIf(binary !== undefined)(
    `a log in nats-server ${NATS_SUITES[suite]} that others write to${binary === undefined ? ` NOT RUN: none of ${suite}` : ""}`,
    { timeout: 300_000 },
    () => {
      const isNewest = suite === "sid"
      let nats: RunningNats
      let cluster: RunningCluster
      let nodes: ReadonlyArray<RunningCoordinator>
      let connection: NatsConnection
      beforeEach(async () => {
        nats = await startNats(binary ?? [])
        cluster = makeCluster(() => nats.urls)
        nodes = ["a", "b"].map((node) => cluster.start(node))
        await agreement(nodes, ({ leader, ntsKeys }) => leader !== null && ntsKeys.length === 2)
        for (const node of nodes) node.send({ type: "health", workers: 1, synchronised: true, stratum: 2 })
        connection = await connect({ servers: [...nats.urls] })
      })
      afterEach(async () => {
        await connection.close()
        await cluster.stop()
        await nats.stop()
      })

      /** With the message id that a node would give it. */
      const publish = async (event: AnyEvent): Promise<void> => {
        const body = JSON.stringify([event])
        const msgID = `${event.subject}:${event.version}`
        await jetstream(connection).publish(`meridian.${event.subject}`, body, { msgID })
      }
      const versionOf = async (subject: string): Promise<number> =>
        (await eventsOf(nodes[0] as RunningCoordinator, subject)).at(-1)?.version ?? 0

      it("believes nothing of it: leadership, keys, policy and members go on", async () => {
        const before = await agreement(nodes, ({ ntsKeys }) => ntsKeys.length === 2)
        // The log is sealed by now: nothing without a MAC counts.
        await until(
          async () =>
            (await eventsOf(nodes[0] as RunningCoordinator, "keys.cluster")).some(({ type }) => type === "LogSealed")
              ? true
              : undefined,
          () => "a sealed log"
        )
        const most = Number.MAX_SAFE_INTEGER
        const nts = await versionOf("keys.nts")
        await publish(eventOf("keys.nts", nts + 1, "NtsLeaderTookOver", { term: most, leader: "a" }))
        for (const [index, generation] of [1, 2].entries())
          await publish(eventOf("keys.nts", nts + 2 + index, "NtsGenerationRevoked", { generation, reason: "forged" }))
        await publish(eventOf("keys.nts", nts + 4, "NtsGenerationPublished", generationOf(3)))
        // No version could follow this one.
        await publish(eventOf("keys.nts", most, "NtsLeaderTookOver", { term: most, leader: "a" }))
        const symmetric = await versionOf("keys.symmetric")
        await publish(eventOf("keys.symmetric", symmetric + 1, "SymmetricLeaderTookOver", { term: most, leader: "a" }))
        await publish(eventOf("policy", 1, "PolicyChanged", { changes: { ntsAcceptPast: 1 } }, 2))
        for (const node of ["a", "b"])
          await publish(
            eventOf(`members.${node}`, (await versionOf(`members.${node}`)) + 1, "MemberDrained", { reason: "forged" })
          )
        for (const node of nodes) await node.report(({ quarantined }) => quarantined >= 7)

        const doomed = await leaderOf(nodes)
        const survivor = nodes.find((it) => it !== doomed) as RunningCoordinator
        await doomed.kill()
        const after = await survivor.stateWhen(({ leading, term }) => leading && term > before.term)
        expect(after.term).toBeLessThan(1e6)
        expect(liveOf(after)).toEqual(liveOf(before))
        expect(after.policy["ntsAcceptPast"]).toBe(10)
        expect(after.members.map(({ drained }) => drained)).toEqual([false, false])
        const again = cluster.start(nameOf(doomed))
        const all = [survivor, again]
        await agreement(all, ({ ntsKeys }) => ntsKeys.length === 2)
        const changed = await survivor.command("/policy", { changes: { ntsLeadMs: 500 } })
        expect(changed).toMatchObject({ status: 200 })
        const revoked = await survivor.command("/keys/revoke", { generation: 2, reason: "a test" })
        expect(revoked).toMatchObject({ status: 200 })
        await agreement(all, (state) => liveOf(state).includes(3) && !liveOf(state).includes(2))
        await sameKeys(all, 2)
        expect(survivor.warnings.join("\n")).toMatch(/put aside, forged: /)
      })

      it.runIf(isNewest)(
        "obeys no command that was not handed on by a node with the cluster key, or twice",
        async () => {
          const leader = await leaderOf(nodes)
          const follower = nodes.find((it) => it !== leader) as RunningCoordinator
          await until(
            async () =>
              (await eventsOf(follower, "keys.cluster")).some(({ type }) => type === "LogSealed") ? true : undefined,
            () => "a sealed log"
          )
          const subject = `meridian-command.${nameOf(leader)}`
          const before = await follower.state()
          const order = async (text: string): Promise<unknown> =>
            JSON.parse((await connection.request(subject, text, { timeout: 120_000 })).string())
          const command = { path: "/keys/revoke", body: JSON.stringify({ generation: 1, reason: "forged" }) }
          const text = JSON.stringify({ ...command, to: nameOf(leader), at: Date.now(), nonce: "n" })
          const mac = `${before.clusterKey.current}.${"A".repeat(43)}`
          for (const forged of [command, { text, mac }, { text }, { ...command, mac }])
            expect(await order(JSON.stringify(forged))).toMatchObject({ status: 403 })
          const overheard: Array<string> = []
          const subscription = connection.subscribe(subject, {
            callback: (_, message) => void overheard.push(message.string())
          })
          await connection.flush()
          expect(await follower.command("/keys/revoke", { generation: 2, reason: "a test" })).toMatchObject({
            status: 200
          })
          subscription.unsubscribe()
          // A leader that could not do it just then was asked again.
          expect(overheard.length).toBeGreaterThan(0)
          for (const handedOn of overheard) expect(await order(handedOn)).toMatchObject({ status: 403 })
          const after = await agreement(nodes, ({ ntsKeys }) => ntsKeys.length > 2)
          expect(liveOf(after)).toContain(1)
          expect(
            (await eventsOf(follower, "keys.nts")).filter(({ type }) => type === "NtsGenerationRevoked")
          ).toHaveLength(1)
        }
      )

      it.runIf(isNewest)(
        "puts back in the key store what somebody has laid something else in the place of",
        async () => {
          const { clusterKey } = await agreement(nodes, ({ ntsKeys }) => ntsKeys.length === 2)
          await sameKeys(nodes, 2)
          const manager = await jetstreamManager(connection)
          const { state } = await manager.streams.info("MERIDIAN_SHELF", { subjects_filter: ">" })
          const slots = Object.keys(state.subjects ?? {})
          expect(slots.length).toBeGreaterThanOrEqual(2)
          for (const [index, slot] of slots.entries()) {
            const print = index % 2 === 0 ? (clusterKey.current ?? "") : "f".repeat(16)
            await jetstream(connection).publish(slot, Buffer.concat([Buffer.from(print), Buffer.alloc(72, 7)]))
          }
          const all = [...nodes, cluster.start("c")]
          await sameKeys(all, 2)
          const after = await agreement(all, ({ ntsKeys }) => ntsKeys.length >= 2)
          expect(liveOf(after)).toEqual(expect.arrayContaining([1, 2]))
        }
      )

      it.runIf(isNewest)("says that nobody leads while the lease names somebody who is none of them", async () => {
        const { leader } = await agreement(nodes, (state) => state.leader !== null)
        const kv = await new Kvm(connection).open(LEASE_BUCKET)
        let holding = true
        const usurping = (async () => {
          while (holding) {
            await kv.put("leader", JSON.stringify({ node: "ghost" })).catch(() => 0)
            await new Promise((done) => setTimeout(done, 200))
          }
        })()
        try {
          for (const node of nodes)
            expect(await node.stateWhen((state) => state.leader === null)).toMatchObject({
              leading: false,
              lastLeader: leader,
              leaseHolder: "ghost"
            })
          await (nodes[0] as RunningCoordinator).report((report) => report.leader === null)
        } finally {
          holding = false
          await usurping
        }
        await agreement(nodes, (state) => state.leader !== null)
      })

      it.runIf(isNewest)(
        "revokes by itself a generation with an empty slot that somebody with the key slipped in, and nobody is unready",
        async () => {
          const clusterKey = keyIn(cluster.clusterKey)
          const signer = signerWith(clusterKey, STREAM)
          expect(fingerprint(clusterKey)).toBe((await (nodes[0] as RunningCoordinator).state()).clusterKey.current)
          await Promise.all(nodes.map((it) => it.report(({ ready }) => ready)))
          const version = await versionOf("keys.nts")
          await publish(signer.sign(eventOf("keys.nts", version + 1, "NtsGenerationPublished", generationOf(3))))
          for (const node of nodes)
            expect(await node.warning(/keys\.nts 3 cannot be opened/)).toContain("no other node says that it holds it")
          const state = await agreement(nodes, ({ ntsKeys }) =>
            ntsKeys.some(({ generation, status }) => generation === 3 && status === "revoked")
          )
          expect(liveOf(state)).toEqual(expect.arrayContaining([1, 2]))
          for (const node of nodes) {
            expect(ids(await node.keys())).toEqual(expect.arrayContaining([1, 2]))
            const said = await eventsOf(node, `members.${nameOf(node)}`)
            const ready = said.findIndex(({ type }) => type === "MemberReady")
            expect(said.slice(ready).filter(({ type }) => type === "MemberUnready")).toEqual([])
          }
        }
      )
    }
  )
