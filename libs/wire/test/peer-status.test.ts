import { expect, it } from "vitest"
import { peerSelection } from "@meridian/wire/peer-status"

/** RFC 9327 §3.2 table 5. */
it.each([
  [undefined, false, 0],
  ["unreachable", false, 0],
  ["falseticker", false, 1],
  ["excess", false, 2],
  ["outlier", false, 3],
  ["candidate", false, 4],
  ["backup", false, 5],
  ["system-peer", false, 6],
  ["system-peer", true, 7],
  ["candidate", true, 4]
])("%s, a pulse: %s, is selection %i", (verdict, isPulse, selection) => {
  expect(peerSelection(verdict, isPulse)).toBe(selection)
})
