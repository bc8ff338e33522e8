/** The picture changes hands whole, and what is no picture is not taken for one. */
import { parseNodeSnapshot } from "@meridian/ipc/node-snapshot"
import { expect, it } from "vitest"
import { Picture } from "../src/picture.ts"
import { snapshotOf } from "./snapshots.ts"

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

it("reads a picture as it was sent, and nothing else", () => {
  const snapshot = snapshotOf({})
  expect(parseNodeSnapshot(structuredClone(snapshot))).toEqual(snapshot)
  for (const other of [undefined, null, "snapshot", {}, { type: "snapshot" }, { ...snapshot, sources: null }])
    expect(parseNodeSnapshot(other)).toBeUndefined()
})
