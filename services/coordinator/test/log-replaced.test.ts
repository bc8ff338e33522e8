/** All NATS servers lose their disks under running nodes, and a log is begun anew: what was known before is laid into it. */
import { rmSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { natsBinary, type RunningNats, startNats } from "./nats-cluster.ts"
import { agreement, eventsOf, makeCluster, type RunningCluster, sameKeys } from "./running-cluster.ts"
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

  it("is served through by a node that knows the one before, found out, and given what that node knows", async () => {
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
    expect(old.stderr()).toMatch(/was made anew at|the log was made at|the log ends at/)
    const again = cluster.start("a")
    expect(await again.warning(/it has been replaced, and lacks/)).toContain("keys.nts")
    // The newest of those that it served with in between is taken up by the other, number and key.
    const held = (await again.keysOnce((it) => ids(it).length > 2)).generations.at(-1)
    await fresh.keysOnce(({ generations }) =>
      generations.some(({ id, key }) => id === held?.id && Buffer.from(key).equals(Buffer.from(held.key)))
    )
    expect(held?.id).toBeGreaterThan(Math.max(...ids(keys)) - 1)
    await agreement([again, fresh], ({ leader }) => leader !== null)
    await sameKeys([again, fresh])
    expect((await eventsOf(fresh, "keys.nts")).map(({ type }) => type)).toContain("NtsKeysRestored")
    expect(foldedSeq).toBeGreaterThanOrEqual(25)
  })
})
