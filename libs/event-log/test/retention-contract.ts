/** What every event log drops when it is told to, and what it never does; a part of the contract of event-log-contract.ts. */
import { setTimeout as sleep } from "node:timers/promises"
import { expect, it } from "vitest"
import { fold, member, type MemberEvent, memberInitial } from "@meridian/events"
import { eventsOf, type Fixture, readAll, run, withLogOf } from "./log-fixture.ts"
import { clockEvent, clockEvents, memberEvents, takeOver } from "./sample-events.ts"

export const retentionContract = (open: () => Promise<Fixture>): void => {
  const withLog = withLogOf(open)

  it("drops clock events alone, keeps the newest, and says what went", () =>
    withLog(async (log) => {
      await run(log.append("keys.nts", [takeOver(1)], 0))
      for (const version of [1, 2, 3, 4, 5])
        await run(log.append("clock.node-a", [clockEvent("node-a", version)], version - 1))
      await run(log.append("clock.node-b", [clockEvent("node-b", 1)], 0))
      expect(await run(log.retain({ family: "clock", storedBefore: 0, keepPerSubject: 2 }))).toBe(3)
      expect(await run(log.retain({ family: "clock", storedBefore: 0, keepPerSubject: 2 }))).toBe(0)
      const left = [takeOver(1), clockEvent("node-a", 4), clockEvent("node-a", 5), clockEvent("node-b", 1)]
      expect(eventsOf(await readAll(log))).toEqual(left)
      const { families } = await run(log.status)
      expect(families.find((it) => it.family === "clock")).toMatchObject({
        dropped: 3,
        subjects: [
          { subject: "clock.node-a", firstVersion: 4, version: 5 },
          { subject: "clock.node-b", firstVersion: 1, version: 1 }
        ]
      })
      expect(families.find((it) => it.family === "keys")).toMatchObject({ dropped: 0, firstSeq: 1 })
      const future = Date.now() + 3_600_000
      expect(await run(log.retain({ family: "clock", storedBefore: future, keepPerSubject: 1_000 }))).toBe(1)
      expect(await run(log.append("clock.node-a", [clockEvent("node-a", 6)], 5))).toMatchObject({ version: 6 })
      expect(eventsOf(await readAll(log)).map(({ id }) => id)).toEqual(["keys-1", "node-a-5", "node-b-1", "node-a-6"])
    }))

  it("drops clock events by age", () =>
    withLog(async (log) => {
      await run(log.append("clock.node-a", clockEvents("node-a", 1, 3), 0))
      await run(log.append("clock.node-a", [clockEvent("node-a", 4)], 3))
      await sleep(50)
      const between = Date.now()
      await sleep(50)
      await run(log.append("clock.node-a", [clockEvent("node-a", 5)], 4))
      await run(log.append("clock.node-a", [clockEvent("node-a", 6)], 5))
      expect(await run(log.retain({ family: "clock", storedBefore: between, keepPerSubject: 100 }))).toBe(2)
      expect(eventsOf(await readAll(log))).toEqual(clockEvents("node-a", 5, 2))
      const { families } = await run(log.status)
      expect(families.find((it) => it.family === "clock")).toMatchObject({ dropped: 4 })
    }))

  it("drops clock events by their bytes, and never the newest", () =>
    withLog(async (log) => {
      const events = Array.from({ length: 9 }, (_, index) => clockEvent("node-a", index + 1))
      for (const event of events) await run(log.append(event.subject, [event], event.version - 1))
      await run(log.append("clock.node-b", [clockEvent("node-b", 1, "i".repeat(128))], 0))
      const sizeFrom = (version: number) =>
        events.slice(version - 1).reduce((sum, event) => sum + Buffer.byteLength(JSON.stringify([event])), 0)
      const keep = (keepBytesPerSubject: number) =>
        run(log.retain({ family: "clock", storedBefore: 0, keepBytesPerSubject }))
      expect(await keep(sizeFrom(1))).toBe(0)
      expect(await keep(sizeFrom(5))).toBe(4)
      expect(await keep(sizeFrom(5))).toBe(0)
      expect(await keep(sizeFrom(6) - 1)).toBe(2)
      const ids = async () => eventsOf(await readAll(log)).map(({ id }) => id)
      expect(await ids()).toEqual(["node-a-7", "node-a-8", "node-a-9", "i".repeat(128)])
      const both = { family: "clock", storedBefore: 0, keepPerSubject: 2, keepBytesPerSubject: 1e9 } as const
      expect(await run(log.retain(both))).toBe(1)
      expect(await keep(0)).toBe(1)
      expect(await ids()).toEqual(["node-a-9", "i".repeat(128)])
      const { families } = await run(log.status)
      expect(families.find((it) => it.family === "clock")).toMatchObject({ dropped: 8 })
    }))

  it("drops of members only what a summary stands for, and folds the same", () =>
    withLog(async (log) => {
      const all = memberEvents("node-a", 6, 8)
      for (const event of all) await run(log.append(event.subject, [event], event.version - 1))
      const other = memberEvents("node-b", 0, 3)
      for (const event of other) await run(log.append(event.subject, [event], event.version - 1))
      const future = Date.now() + 3_600_000
      expect(await run(log.retain({ family: "members", storedBefore: 0 }))).toBe(0)
      expect(await run(log.retain({ family: "members", storedBefore: 0, keepPerSubject: 5 }))).toBe(3)
      expect(await run(log.retain({ family: "members", storedBefore: future }))).toBe(2)
      expect(await run(log.retain({ family: "members", storedBefore: future, keepPerSubject: 1 }))).toBe(0)
      const left = eventsOf(await readAll(log)) as ReadonlyArray<MemberEvent>
      expect(left).toEqual([...all.slice(5), ...other])
      const initial = memberInitial("node-a")
      const ours = left.filter(({ subject }) => subject === "members.node-a")
      expect(fold(member, initial, ours)).toEqual(fold(member, initial, all))
      const { families } = await run(log.status)
      expect(families.find((it) => it.family === "members")).toMatchObject({
        dropped: 5,
        subjects: [
          { subject: "members.node-a", firstVersion: 6, version: 8 },
          { subject: "members.node-b", firstVersion: 1, version: 3 }
        ]
      })
    }))
}
