/** Events of the log: the quick reader, the quick judge and the schema come to the same, whatever the text. */
import assert from "node:assert/strict"
import {
  decodeEvent,
  encodeEvent,
  judgeEvent,
  judgeEventBySchema,
  readEventQuickly
} from "../../../libs/events/src/catalogue.ts"

const envelope = {
  id: "0192f0c1-2345-7abc-8def-0123456789ab",
  time: "2026-11-21T12:00:00.000Z",
  node: "a",
  cause: null,
  author: "meridian root",
  version: 1
}

export const seeds = (): readonly Uint8Array[] =>
  [
    { type: "MemberDrained", schema: 1, subject: "members.a", ...envelope, data: { reason: "maintenance" } },
    { type: "NtsKeyActivated", schema: 1, subject: "keys.nts", ...envelope, data: { generation: 5 } },
    { type: "TermBegan", schema: 1, subject: "keys.nts", ...envelope, data: { term: 1 } }
  ].map((event) => Buffer.from(JSON.stringify(event)))

export const fuzz = (data: Buffer): void => {
  const text = data.toString("utf8")
  const decoded = decodeEvent(text)
  const quick = readEventQuickly(text, 0, text.length)
  if (quick !== undefined) assert.deepEqual(decoded, quick)
  if (!("_tag" in decoded)) assert.deepEqual(decodeEvent(encodeEvent(decoded)), decoded)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return
  }
  assert.deepEqual(judgeEvent(value), judgeEventBySchema(value))
}
