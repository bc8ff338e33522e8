/** The picture changes hands whole, and what is no picture is not taken for one. */
import { parseNodeSnapshot, PictureTeller, pictureOf } from "@meridian/ipc/node-snapshot"
import { expect, it } from "vitest"
import { Picture } from "../src/picture.ts"
import { clientsOf, snapshotOf } from "./snapshots.ts"

it("shows the newest picture and tells of the one before", () => {
  const picture = new Picture()
  const told: (readonly [number, number | undefined])[] = []
  const end = picture.onChange((now, before) => void told.push([now.sequence, before?.sequence]))
  picture.replace(snapshotOf({ sequence: 1 }))
  picture.replace(snapshotOf({ sequence: 2 }))
  end()
  picture.replace(snapshotOf({ sequence: 3 }))
  expect(told).toEqual([
    [1, undefined],
    [2, 1]
  ])
  expect(picture.current?.sequence).toBe(3)
})

it("is shown as of now", () => {
  const picture = new Picture()
  expect(picture.at(5_000)).toBeUndefined()
  const sources = [{ lastReply: 3 }] as unknown as Parameters<typeof snapshotOf>[0]["sources"] & object
  picture.replace(snapshotOf({ monotonic: 5_000, sources }))
  expect(picture.at(5_004)?.sources[0]?.lastReply).toBe(7)
  expect(picture.current?.sources[0]?.lastReply).toBe(3)
})

it("reads a picture as it was sent, and nothing else", () => {
  const snapshot = snapshotOf({})
  expect(parseNodeSnapshot(structuredClone(snapshot))).toEqual(snapshot)
  for (const other of [undefined, null, "snapshot", {}, { type: "snapshot" }, { ...snapshot, sources: null }])
    expect(parseNodeSnapshot(other)).toBeUndefined()
})

it("is told its clients once for as long as they are the same, and anew after a start", () => {
  const teller = new PictureTeller()
  const [some, others] = [clientsOf(3), clientsOf(4)]
  let current: ReturnType<typeof pictureOf> | undefined
  const tell = (sequence: number, clients: typeof some, pid: number) => {
    const message = teller.tell(snapshotOf({ sequence, clients }), pid)
    current = pictureOf(structuredClone(message), current)
    return message.clients === null ? "kept" : "told"
  }
  expect([tell(1, some, 5), tell(2, some, 5), tell(3, others, 5), tell(4, others, 5)]).toEqual([
    "told",
    "kept",
    "told",
    "kept"
  ])
  expect(current).toEqual(snapshotOf({ sequence: 4, clients: others }))
  current = undefined
  expect(tell(5, others, 6)).toBe("told")
  expect(current).toEqual(snapshotOf({ sequence: 5, clients: others }))
})
