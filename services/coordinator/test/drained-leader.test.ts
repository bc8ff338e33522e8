/** A node that an operator drains leads no longer, does not stand again, and knows it after a start. */
import { expect, it } from "vitest"
import { agreement, eventsOf, leaderOf, describeOverNats, nameOf, oneLeads, outOfTerm } from "./running-cluster.ts"
import { type RunningCoordinator, until } from "./running-coordinator.ts"

describeOverNats("draining nodes of a cluster", (stage) => {
  it("gives leadership away, leaves it to the others over a restart, and leads where nobody else may", async () => {
    const nodes = ["a", "b"].map((node) => stage.cluster.start(node))
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
    const again = stage.cluster.start(name)
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
