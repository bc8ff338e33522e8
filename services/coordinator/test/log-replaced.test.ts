/** All NATS servers lose their disks under running nodes, and a log is begun anew: nobody goes on from the log of before. */
import { rmSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { natsBinary, type RunningNats, startNats } from "./nats-cluster.ts"
import { agreement, eventsOf, holesIn, makeCluster, type RunningCluster } from "./running-cluster.ts"
import { ids } from "./running-coordinator.ts"

const binary = natsBinary()
const why =
  binary === undefined ? " NOT RUN: no nats-server of Debian trixie (set PEERS, or let infra/peers fetch it)" : ""

describe.runIf(binary !== undefined)(`a log that was replaced${why}`, { timeout: 300_000 }, () => {
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

  it("is served through by a node that knows the one before, found out, and folded from its start", async () => {
    const old = cluster.start("a", ["--rotate", "3"])
    // Enough of a log that the next one is shorter for a while.
    const keys = await old.keys((it) => ids(it).some((id) => id >= 5))
    const { foldedSeq } = await old.report((it) => it.foldedSeq >= 25)
    for (const server of nats.servers) await server.kill()
    for (const index of nats.servers.keys())
      rmSync(join(nats.directory, `store-${index}`), { recursive: true, force: true })
    for (const server of nats.servers) await server.start()
    expect(await old.warning(/this node goes on with what it knows/)).toMatch(/event log is unavailable/)
    expect(Math.max(...ids(await old.keys()))).toBeGreaterThanOrEqual(Math.max(...ids(keys)))

    const fresh = cluster.start("b")
    expect(await old.exited).toBe(1)
    expect(old.stderr()).toMatch(/the log ends at \d+, before the \d+ that this node has folded: it has been replaced/)
    const again = cluster.start("a")
    const { ntsKeys } = await agreement([again, fresh], (state) => state.leader !== null && state.ntsKeys.length === 2)
    expect(ntsKeys.map(({ generation }) => generation)).toEqual([1, 2])
    expect(again.warnings.join("\n")).toMatch(/it has been replaced, folding it from the start/)
    const events = await eventsOf(again)
    expect(holesIn(events)).toEqual([])
    expect(foldedSeq).toBeGreaterThanOrEqual(25)
  })
})
