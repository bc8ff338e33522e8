/** Control messages: what peers sent is read as they meant it, answers come apart and together again, and bytes at random do no harm. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  ControlError,
  ControlOperation,
  decodeControlReply,
  decodeControlRequest,
  encodeControlError,
  encodeControlReply,
  MAXIMUM_CONTROL_DATA
} from "../src/mode6.ts"
import { asciiBytes, controlText, parseControlItems, quoted } from "../src/mode6-text.ts"

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"))
const text = (data: Uint8Array): string => Buffer.from(data).toString("latin1")
const head = { leap: 0, version: 2, operation: 2, sequence: 7, status: 0x615, association: 0 }

describe("requests", () => {
  it("of NTPsec 1.2.2 with a MAC: its place is tried at both paddings", () => {
    // ntpq -a 1 -c ":config tos minclock 2" against NTPsec, as recorded.
    const packet = bytes(
      "d6080001000000000000000e746f73206d696e636c6f636b2032000000000000" + "0000000163f2cab88ac4626535562093a9e25cb8"
    )
    const request = decodeControlRequest(packet)
    expect(request).toMatchObject({ version: 2, operation: ControlOperation.configure, sequence: 1, association: 0 })
    if (typeof request === "string") throw new Error(request)
    expect(text(request.data)).toBe("tos minclock 2")
    expect(request.macOffsets).toEqual([32, 28])
  })

  it("without a MAC", () => {
    expect(decodeControlRequest(bytes("160200020000456700000000"))).toMatchObject({
      association: 0x4567,
      macOffsets: [],
      operation: ControlOperation.readVariables
    })
  })

  it("that are none are told apart", () => {
    expect(decodeControlRequest(bytes("16020002"))).toBe("short")
    // A response, an error, a fragment, another mode, a version that is none.
    for (const hex of ["1682", "1642", "1622", "2302", "0602"])
      expect(decodeControlRequest(bytes(`${hex}00020000000000000000`))).toBe("ignored")
    expect(decodeControlRequest(bytes("160200020000000000040000"))).toBe("ignored")
    // More data than there is, and a length that is no multiple of four.
    expect(decodeControlRequest(bytes("160200020000000000000004"))).toBe("format")
    expect(decodeControlRequest(bytes("16020002000000000000000161"))).toBe("format")
  })

  it("never throw, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (packet) => {
        const request = decodeControlRequest(packet)
        if (typeof request === "string") return
        expect(request.data.length).toBeLessThanOrEqual(MAXIMUM_CONTROL_DATA)
        for (const offset of request.macOffsets) expect(packet.length - offset).toBeGreaterThanOrEqual(20)
      })
    )
  })
})

describe("answers", () => {
  it("come in fragments of 468 octets that join to what went in", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3_000 }), (data) => {
        const packets = encodeControlReply(head, data)
        const replies = packets.map((packet) => decodeControlReply(packet))
        const joined = replies.flatMap((reply) => [...(reply?.data ?? [])])
        expect(joined).toEqual([...data])
        for (const [index, packet] of packets.entries()) {
          expect(packet.length % 4).toBe(0)
          expect(packet.length).toBeLessThanOrEqual(480)
          expect(replies[index]).toMatchObject({
            hasMore: index < packets.length - 1,
            offset: index * 468,
            isError: false
          })
        }
      })
    )
  })

  it("of an error carry its code in the status word and nothing else", () => {
    const reply = decodeControlReply(encodeControlError(head, ControlError.unknownVariable))
    expect(reply).toMatchObject({ isError: true, status: 0x0500, sequence: 7 })
    expect(reply?.data.length).toBe(0)
  })
})

describe("text", () => {
  it("breaks its lines before column 72 and ends with CR LF, as NTPsec's", () => {
    const items = Array.from({ length: 30 }, (_, index) => ({ name: `name${index}`, value: "12345.678" }))
    const said = controlText(items)
    expect(said.endsWith("\r\n")).toBe(true)
    for (const line of said.split("\r\n")) expect(line.length).toBeLessThanOrEqual(72)
    expect(parseControlItems(asciiBytes(said))).toEqual(items)
  })

  it("reads names and values, quoted or not", () => {
    expect(parseControlItems(asciiBytes('nonce=abc, frags=32,addr.0="[::1]:123" , last'))).toEqual([
      { name: "nonce", value: "abc" },
      { name: "frags", value: "32" },
      { name: "addr.0", value: "[::1]:123" },
      { name: "last", value: undefined }
    ])
    expect(parseControlItems(asciiBytes(""))).toEqual([])
    expect(parseControlItems(bytes("61ff"))).toBeUndefined()
  })

  it("never throws, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 468 }), (data) => {
        const items = parseControlItems(data)
        expect(items === undefined || items.every(({ name }) => name !== "")).toBe(true)
      })
    )
  })

  it("keeps quotes and what is no ASCII out of strings", () => {
    expect(quoted('a"b\\c\u00e9')).toBe('"abc?"')
  })
})
