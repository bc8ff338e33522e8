import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { encodeRecords, endOfMessage, numbersBody, record, RecordDecoder, RecordType } from "@meridian/wire/nts-ke"
import { type AeadId, type AeadParameters, aeadParameters } from "../src/nts/aead.ts"
import { defaultAeads, keyExchangeRequest, KeyExchangeReply, readKeyExchangeReply } from "../src/nts/nts-ke-client.ts"
import {
  agreedReply,
  type Agreement,
  exporterContext,
  internalError,
  negotiate,
  refusedMessage
} from "../src/nts/nts-ke-server.ts"

const hex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
const toHex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
const everyAead = new Set([15, 16, 17, 30])

/** The whole path of a request: bytes in, a short name of what came out. */
const answer = (request: Uint8Array, enabled: ReadonlySet<number> = everyAead): string => {
  const decoder = new RecordDecoder()
  const state = decoder.push(request)
  if (state === "reading") return "waits"
  const result =
    state === "complete" ? negotiate(decoder.records, decoder.trailingBytes, enabled) : refusedMessage(state)
  switch (result._tag) {
    case "Agreed":
      return `agreed ${result.aead.id}${result.compliantExporter ? " compliant" : ""}`
    case "Declined":
      return `${result.reason} ${toHex(result.reply)}`
    case "Refused":
      return `error ${result.code} ${result.reason}`
  }
}

const R = (type: number, body: Uint8Array = new Uint8Array(0), critical = true) => record(type, critical, body)
const u = (...numbers: number[]): Uint8Array => numbersBody(numbers)
const message = (...records: ReturnType<typeof R>[]): Uint8Array => encodeRecords(records)
const bytes = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill)
const [proto, aead, eom] = [R(1, u(0)), R(4, u(15)), endOfMessage]

/** The requests of the interoperability probe, under its names, and what RFC 8915 asks for each. */
const probe: readonly (readonly [string, Uint8Array, string])[] = [
  ["normal", message(proto, aead, eom), "agreed 15"],
  ["aead_first", message(aead, proto, eom), "agreed 15"],
  ["not_critical_bits", message(R(1, u(0), false), R(4, u(15), false), eom), "error 1 protocol-record-not-critical"],
  ["aead_17_16_15_30", message(proto, R(4, u(17, 16, 15, 30)), eom), "agreed 17"],
  ["aead_30_15", message(proto, R(4, u(30, 15)), eom), "agreed 30"],
  ["aead_30_only", message(proto, R(4, u(30)), eom), "agreed 30"],
  ["aead_30_with_1024", message(proto, R(4, u(30)), R(1024, bytes(0, 0), false), eom), "agreed 30 compliant"],
  ["aead_unknown", message(proto, R(4, u(999)), eom), "no-common-aead 8001000200008004000080000000"],
  ["aead_empty", message(proto, R(4), eom), "error 1 aead-record-malformed"],
  ["proto_unknown", message(R(1, u(0x7fff)), aead, eom), "no-common-protocol 8001000080000000"],
  ["proto_0_and_unknown", message(R(1, u(0x7fff, 0)), aead, eom), "agreed 15"],
  ["proto_empty", message(R(1), aead, eom), "error 1 protocol-record-malformed"],
  ["no_proto", message(aead, eom), "error 1 protocol-record-missing"],
  ["no_aead", message(proto, eom), "error 1 aead-record-missing"],
  ["only_eom", message(eom), "error 1 protocol-record-missing"],
  ["dup_proto", message(proto, proto, aead, eom), "error 1 protocol-record-repeated"],
  ["dup_aead", message(proto, aead, aead, eom), "error 1 aead-record-repeated"],
  ["unknown_critical", message(proto, aead, R(0x3fff, bytes(4, 97)), eom), "error 0 unknown-critical-record"],
  ["unknown_noncritical", message(proto, aead, R(0x3fff, bytes(4, 97), false), eom), "agreed 15"],
  ["client_sends_cookie", message(proto, aead, R(5, bytes(32, 120), false), eom), "error 1 record-only-servers-send"],
  ["client_sends_error", message(R(2, u(1)), proto, aead, eom), "error 1 record-only-servers-send"],
  ["client_sends_warning", message(R(3, u(1)), proto, aead, eom), "error 1 record-only-servers-send"],
  [
    "server_and_port",
    message(
      proto,
      aead,
      R(
        6,
        Uint8Array.from("ntp.test", (each) => each.charCodeAt(0))
      ),
      R(7, u(123)),
      eom
    ),
    "agreed 15"
  ],
  ["eom_noncritical", message(proto, aead, R(0, bytes(0, 0), false)), "error 1 end-of-message-malformed"],
  ["eom_with_body", message(proto, aead, R(0, bytes(2, 0))), "error 1 end-of-message-malformed"],
  ["data_after_eom", message(proto, aead, eom, proto), "error 1 data-after-end-of-message"],
  ["odd_length_proto", message(R(1, bytes(3, 0)), aead, eom), "error 1 protocol-record-malformed"],
  ["big_noncritical_900", message(proto, aead, R(0x3fff, bytes(900, 122), false), eom), "agreed 15"],
  ["big_noncritical_3000", message(proto, aead, R(0x3fff, bytes(3000, 122), false), eom), "agreed 15"],
  ["big_noncritical_16000", message(proto, aead, R(0x3fff, bytes(16000, 122), false), eom), "agreed 15"],
  ["no_eom_then_close", message(proto, aead), "waits"],
  ["truncated_record_then_close", message(proto, R(4)).subarray(0, 9), "waits"]
]

describe("negotiation", () => {
  it.each(probe)("%s", (_, request, expected) => {
    expect(answer(request)).toBe(expected)
  })

  it.each([
    ["too long a record", Uint8Array.of(0x3f, 0xff, 0xff, 0xff), "error 1 message-too-long"],
    [
      "too many records",
      message(...Array.from({ length: 200 }, () => R(99, bytes(0, 0), false))),
      "error 1 message-too-long"
    ],
    ["port 0", message(proto, aead, R(7, u(0)), eom), "error 1 port-record-malformed"],
    ["a port of four bytes", message(proto, aead, R(7, u(1, 2)), eom), "error 1 port-record-malformed"],
    ["two ports", message(proto, aead, R(7, u(1)), R(7, u(1)), eom), "error 1 port-record-malformed"],
    ["a server name with a space", message(proto, aead, R(6, bytes(3, 0x20)), eom), "error 1 server-record-malformed"],
    [
      "two servers",
      message(proto, aead, R(6, bytes(3, 97)), R(6, bytes(3, 97)), eom),
      "error 1 server-record-malformed"
    ],
    ["AEAD 30 switched off", message(proto, R(4, u(30, 17, 15)), eom), "agreed 17"]
  ])("with %s", (_, request, expected) => {
    expect(answer(request, new Set([15, 17]))).toBe(expected)
  })

  it("tells what server and port the client wishes", () => {
    const decoder = new RecordDecoder()
    decoder.push(probe.find(([name]) => name === "server_and_port")?.[1] ?? bytes(0, 0))
    expect(negotiate(decoder.records, 0, everyAead)).toMatchObject({ wantedServer: "ntp.test", wantedPort: 123 })
  })

  it("enables nothing that it has no parameters for", () => {
    expect(answer(message(proto, R(4, u(1)), eom), new Set([1, 15]))).toContain("no-common-aead")
  })

  it("never throws, whatever the bytes", () => {
    const anyRecord = fc
      .record({
        type: fc.oneof(fc.constantFrom(...Object.values(RecordType)), fc.nat(0x7fff)),
        critical: fc.boolean(),
        body: fc.uint8Array({ maxLength: 40 })
      })
      .map(({ type, critical, body }) => record(type, critical, body))
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 8 }), (records) => {
        expect(answer(encodeRecords([...records, eom]))).toMatch(/^agreed|^no-common|^error/)
      }),
      { numRuns: 2000 }
    )
  })
})

describe("an error reply", () => {
  it("is one critical Error record and End of Message", () => {
    expect(toHex(internalError().reply)).toBe("80020002000280000000")
    expect(toHex(refusedMessage("message-too-long").reply)).toBe("80020002000180000000")
  })
})

const agreement = (id: AeadId, compliantExporter = false): Agreement => ({
  _tag: "Agreed",
  aead: aeadParameters(id) as AeadParameters,
  compliantExporter,
  wantedServer: undefined,
  wantedPort: undefined
})

describe("the exporter's context", () => {
  it.each([
    [15, false, "c2s", "0000000f00"],
    [15, false, "s2c", "0000000f01"],
    [17, false, "s2c", "0000001101"],
    [30, true, "c2s", "0000001e00"],
    [30, false, "c2s", "0000000f00"]
  ] as const)("of AEAD %i, compliant %s, %s is %s", (id, compliant, direction, expected) => {
    expect(toHex(exporterContext(agreement(id, compliant), direction))).toBe(expected)
  })
})

const decode = (reply: Uint8Array) => {
  const decoder = new RecordDecoder()
  expect(decoder.push(reply)).toBe("complete")
  return decoder.records
}
const cookies = Array.from({ length: 8 }, (_, index) => bytes(96, index))

describe("client and server together", () => {
  it.each([
    [[30, 15], everyAead, 30, true],
    [[15], everyAead, 15, false],
    [[17, 16], new Set([16]), 16, false]
  ] as const)("offering %j agree", (offered, enabled, id, compliant) => {
    const result = negotiate(decode(keyExchangeRequest(offered)), 0, enabled)
    expect(result).toMatchObject({ _tag: "Agreed", aead: { id }, compliantExporter: compliant })
    const reply = agreedReply(result as Agreement, cookies, { host: "ntp.example", port: 4123 })
    const read = readKeyExchangeReply(decode(reply), offered)
    expect(read).toMatchObject({ _tag: "Agreed", aead: { id }, host: "ntp.example", port: 4123, cookies })
    expect(read).toMatchObject({ compliantExporter: compliant })
  })

  it("leave out host and port when they are the usual ones", () => {
    const reply = agreedReply(agreement(15), cookies)
    expect(reply).toHaveLength(6 + 6 + 8 * 100 + 4)
    expect(readKeyExchangeReply(decode(reply))).toMatchObject({ host: undefined, port: undefined })
  })

  it("refuse to announce a host that is no name", () => {
    expect(() => agreedReply(agreement(15), cookies, { host: "a b" })).toThrow(RangeError)
  })
})

describe("a recorded server's reply", () => {
  const { exchanges } = JSON.parse(readFileSync(new URL("fixtures/nts-exchanges.json", import.meta.url), "utf8")) as {
    exchanges: { name: string; aead: number; ke_request: string; ke_reply: string }[]
  }

  it.each(exchanges)("in $name is accepted, and its request agrees with us", (exchange) => {
    const reply = readKeyExchangeReply(decode(hex(exchange.ke_reply)), [17, ...defaultAeads])
    expect(reply).toMatchObject({ _tag: "Agreed", aead: { id: exchange.aead } })
    expect(reply._tag === "Agreed" && reply.cookies.length).toBe(8)
    const agreed = exchange.aead === 30 ? "agreed 30 compliant" : `agreed ${exchange.aead}`
    expect(answer(hex(exchange.ke_request), new Set([exchange.aead]))).toBe(agreed)
  })
})

describe("the client", () => {
  const cookie = R(5, bytes(100, 1), false)
  it.each([
    ["an error", [R(2, u(1)), eom], "server-error", "error 1, bad request"],
    ["an unknown error", [R(2, u(77)), eom], "server-error", "error 77"],
    ["a warning", [proto, aead, R(3, u(9)), cookie, eom], "server-warning", "warning 9"],
    ["an unknown critical record", [proto, aead, R(99), cookie, eom], "unknown-critical-record", "type 99"],
    ["no protocol", [R(1), eom], "no-common-protocol", "does not speak NTPv4"],
    ["another protocol", [R(1, u(5)), aead, cookie, eom], "malformed", "found 5"],
    ["no AEAD", [proto, R(4), eom], "no-common-aead", "30, 15"],
    ["an AEAD not offered", [proto, R(4, u(17)), cookie, eom], "unoffered-aead", "found 17"],
    ["two AEADs", [proto, R(4, u(15, 30)), cookie, eom], "unoffered-aead", "found 15, 30"],
    ["no cookies", [proto, aead, eom], "no-cookies", "found none"],
    ["a cookie too long to use", [proto, aead, R(5, bytes(600, 1)), eom], "no-cookies", "1 to 512 bytes"],
    ["protocol twice", [proto, proto, aead, cookie, eom], "malformed", "one Next Protocol"],
    ["port 0", [proto, aead, R(7, u(0)), cookie, eom], "malformed", "1 to 65535"],
    ["a host of control characters", [proto, aead, R(6, bytes(3, 7)), cookie, eom], "malformed", "host name"],
    ["no end", [proto, aead, cookie], "malformed", "whole message"]
  ])("refuses %s", (_, records, reason, text) => {
    const read = readKeyExchangeReply(records)
    expect(read).toMatchObject({ _tag: "Refused", reason })
    expect(read._tag === "Refused" && read.message).toContain(text)
  })

  it("skips unknown records that are not critical, and keeps eight cookies of one length", () => {
    const many = Array.from({ length: 12 }, (_, index) => R(5, bytes(100, index), false))
    const read = readKeyExchangeReply([proto, R(99, bytes(3, 3), false), aead, ...many, eom])
    expect(read._tag === "Agreed" && read.cookies.length).toBe(8)
    const odd = readKeyExchangeReply([proto, aead, cookie, R(5, bytes(64, 1), false), eom])
    expect(odd._tag === "Agreed" && odd.cookies.length).toBe(1)
  })

  it("reads a reply however it is cut, and refuses what is none", () => {
    const message = encodeRecords([proto, aead, cookie, eom])
    fc.assert(
      fc.property(fc.nat(message.length - 1), (at) => {
        const reply = new KeyExchangeReply()
        expect(reply.push(message.subarray(0, at))).toBe("reading")
        expect(reply.push(message.subarray(at))).toMatchObject({ _tag: "Agreed" })
      })
    )
    const endless = new KeyExchangeReply()
    const text = new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n".repeat(10_000))
    expect(endless.push(text)).toMatchObject({ _tag: "Refused", reason: "malformed" })
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (any) => {
        const judged = new KeyExchangeReply().push(any)
        expect(typeof judged === "string" ? judged : judged._tag).toMatch(/^(?:reading|Refused)$/)
      })
    )
  })

  it("never throws on records of any kind", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ type: fc.nat(8), critical: fc.boolean(), body: fc.uint8Array({ maxLength: 12 }) })),
        (records) => {
          expect(readKeyExchangeReply([...records, eom])._tag).toMatch(/Agreed|Refused/)
        }
      )
    )
  })
})
