/** All NATS servers lose their disks under running nodes, and a log is begun anew: what was known before is laid into it. */
import { rmSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { agreement, eventsOf, describeOverNats, sameKeys } from "./running-cluster.ts"
import { ids } from "./running-coordinator.ts"

describeOverNats(
  "a log that was replaced",
  (stage) => {
    it("is served through by a node that knows the one before, found out, and given what that node knows", async () => {
      const old = stage.cluster.start("a", ["--rotate", "3"])
      // Enough of a log that the next one is shorter for a while.
      const keys = await old.keys((it) => ids(it).some((id) => id >= 5))
      const { foldedSeq } = await old.report((it) => it.foldedSeq >= 25)
      for (const server of stage.nats.servers) await server.kill()
      for (const index of stage.nats.servers.keys())
        rmSync(join(stage.nats.directory, `store-${index}`), { recursive: true, force: true })
      for (const server of stage.nats.servers) await server.start()
      expect(await old.warning(/this node goes on with what it knows/)).toMatch(/event log is unavailable/)
      expect(Math.max(...ids(await old.keys()))).toBeGreaterThanOrEqual(Math.max(...ids(keys)))

      const fresh = stage.cluster.start("b")
      expect(await old.exited).toBe(1)
      expect(old.said()).toMatch(/was made anew at|the log was made at|the log ends at/)
      const again = stage.cluster.start("a")
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
  },
  300_000
)
