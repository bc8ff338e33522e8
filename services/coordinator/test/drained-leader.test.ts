/** A node that an operator drains leads no longer, does not stand again, and knows it after a start. */
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { natsBinary, type RunningNats, startNats } from "./nats-cluster.ts"
import {
  agreement,
  eventsOf,
  leaderOf,
  makeCluster,
  nameOf,
  oneLeads,
  outOfTerm,
  type RunningCluster
} from "./running-cluster.ts"
import { type RunningCoordinator, until } from "./running-coordinator.ts"

const binary = natsBinary()
const why =
  binary === undefined ? " NOT RUN: no nats-server of Debian trixie (set PEERS, or let infra/peers fetch it)" : ""
describe.runIf(binary !== undefined)(`draining nodes of a cluster${why}`, () => {
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

  it("gives leadership away, leaves it to the others over a restart, and leads where nobody else may", async () => {
    const nodes = ["a", "b"].map((node) => cluster.start(node))
    await agreement(nodes, ({ leader, ntsKeys }) => leader !== null && ntsKeys.length === 2)
    await oneLeads(nodes)
    const drained = await leaderOf(nodes)
    const other = nodes.find((it) => it !== drained) as RunningCoordinator
    const name = nameOf(drained)
    const { term } = await drained.state()

    const ordered = performance.now()
    expect((await other.command("/cluster/drain", { node: name })).status).toBe(200)
    await drained.stateWhen(({ leading }) => !leading)
    process.stdout.write(
      `the drained node leads nothing ${Math.round(performance.now() - ordered)} ms after the order\n`
    )
    await agreement(nodes, (state) => state.term > term && state.leader === nameOf(other))
    process.stdout.write(`the other one leads ${Math.round(performance.now() - ordered)} ms after the order\n`)

    // Its end loses nothing that its next start needs to know.
    await drained.kill()
    const again = cluster.start(name)
    await again.report((it) => it.drained)
    await agreement([again, other], ({ leader }) => leader === nameOf(other))
    expect((await again.command("/keys/rotate", { kind: "symmetric" })).status).toBe(200)

    // Somebody has to look after the keys: with both drained either may lead.
    expect((await again.command("/cluster/drain", { node: nameOf(other) })).status).toBe(200)
    await until(
      async () => ((await again.command("/keys/rotate", { kind: "symmetric" })).status === 200 ? true : undefined),
      () => "a rotation with every node drained"
    )

    expect((await other.command("/cluster/undrain", { node: name })).status).toBe(200)
    await agreement([again, other], ({ leader }) => leader === name)
    await again.report((it) => it.leading && !it.drained)
    expect(outOfTerm(await eventsOf(again, "keys.nts"))).toEqual([])
  })
})
