/** Requests good and bad, and how RFC 8915 has each of them end. */
import { encodeRecords, endOfMessage, type NtsKeRecord, numbersBody, record, RecordType } from "@meridian/wire/nts-ke"
import { type Behaviour, request } from "./ke-client.ts"

export interface Probe {
  readonly name: string
  readonly bytes: Uint8Array
  /** See summary() of ke-client.ts; "" for an end without a reply. */
  readonly reply: string
  /** The counter that moves. */
  readonly outcome: string
  readonly behaviour?: Behaviour
}

const protocol = (...numbers: readonly number[]): NtsKeRecord =>
  record(RecordType.nextProtocol, true, numbersBody(numbers))
const aead = (...numbers: readonly number[]): NtsKeRecord => record(RecordType.aead, true, numbersBody(numbers))
const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(0x7a)
const UNKNOWN = 0x3fff

const usual = [protocol(0), aead(15)]
const message = (...records: readonly NtsKeRecord[]): Uint8Array => encodeRecords([...records, endOfMessage])

const AGREED = "protocol!(0) aead!(15) cookie[96]×8 end!"
const BAD_REQUEST = "error!(1) end!"

const agreed = (name: string, sent: Uint8Array, reply = AGREED, behaviour: Behaviour = {}): Probe => ({
  name,
  bytes: sent,
  reply,
  outcome: "agreed",
  behaviour
})
const refused = (name: string, sent: Uint8Array, outcome: string, reply = BAD_REQUEST): Probe => ({
  name,
  bytes: sent,
  reply,
  outcome
})

/** Sections of RFC 8915 in brackets. */
export const probes: readonly Probe[] = [
  agreed("the usual request", message(...usual)),
  agreed("AEAD before protocol", message(aead(15), protocol(0))),
  refused(
    "a protocol record that is not critical [4.1.2]",
    message(
      record(RecordType.nextProtocol, false, numbersBody([0])),
      record(RecordType.aead, false, numbersBody([15]))
    ),
    "protocol-record-not-critical"
  ),
  agreed("an AEAD record that is not critical [4.1.5]", message(protocol(0), { ...aead(15), critical: false })),
  agreed("four AEADs", message(protocol(0), aead(17, 16, 15, 30)), "protocol!(0) aead!(17) cookie[160]×8 end!"),
  agreed("GCM-SIV before SIV", message(protocol(0), aead(30, 15)), "protocol!(0) aead!(30) cookie[64]×8 end!"),
  agreed("GCM-SIV only", message(protocol(0), aead(30)), "protocol!(0) aead!(30) cookie[64]×8 end!"),
  agreed(
    "GCM-SIV with the compliant exporter",
    message(protocol(0), aead(30), record(RecordType.compliantGcmSivExporter, false)),
    "protocol!(0) aead!(30) 1024 cookie[64]×8 end!"
  ),
  agreed("SIV-384", message(protocol(0), aead(16)), "protocol!(0) aead!(16) cookie[128]×8 end!"),
  refused("an unknown AEAD [4.1.5]", message(protocol(0), aead(999)), "no-common-aead", "protocol!(0) aead!() end!"),
  refused("an empty AEAD list", message(protocol(0), aead()), "aead-record-malformed"),
  refused("an unknown protocol [4.1.2]", message(protocol(0x7fff), aead(15)), "no-common-protocol", "protocol!() end!"),
  agreed("NTPv4 after an unknown protocol", message(protocol(0x7fff, 0), aead(15))),
  refused("an empty protocol list", message(protocol(), aead(15)), "protocol-record-malformed"),
  refused("no protocol [4.1.2]", message(aead(15)), "protocol-record-missing"),
  refused("no AEAD [4.1.5]", message(protocol(0)), "aead-record-missing"),
  refused("End of Message alone", message(), "protocol-record-missing"),
  refused("two protocol records", message(protocol(0), protocol(0), aead(15)), "protocol-record-repeated"),
  refused("two AEAD records", message(...usual, aead(15)), "aead-record-repeated"),
  refused(
    "an unknown critical record [4]",
    message(...usual, record(UNKNOWN, true, bytes(4))),
    "unknown-critical-record",
    "error!(0) end!"
  ),
  agreed("an unknown record that is not critical [4]", message(...usual, record(UNKNOWN, false, bytes(4)))),
  refused(
    "a cookie from the client [4.1.6]",
    message(...usual, record(RecordType.newCookie, false, bytes(32))),
    "record-only-servers-send"
  ),
  refused(
    "an error from the client [4.1.3]",
    message(record(RecordType.error, true, numbersBody([1])), ...usual),
    "record-only-servers-send"
  ),
  refused(
    "a warning from the client [4.1.4]",
    message(record(RecordType.warning, true, numbersBody([1])), ...usual),
    "record-only-servers-send"
  ),
  agreed(
    "a wish for a server and a port [4.1.7, 4.1.8]",
    message(
      ...usual,
      record(RecordType.ntpServer, true, Buffer.from("ntp.test")),
      record(RecordType.ntpPort, true, numbersBody([123]))
    )
  ),
  refused(
    "End of Message that is not critical [4.1.1]",
    encodeRecords([...usual, { ...endOfMessage, critical: false }]),
    "end-of-message-malformed"
  ),
  refused(
    "End of Message with a body [4.1.1]",
    encodeRecords([...usual, { ...endOfMessage, body: bytes(2) }]),
    "end-of-message-malformed"
  ),
  refused(
    "records after End of Message [4.1.1]",
    encodeRecords([...usual, endOfMessage, protocol(0)]),
    "data-after-end-of-message"
  ),
  refused(
    "a protocol list of three bytes",
    message(record(RecordType.nextProtocol, true, new Uint8Array(3)), aead(15)),
    "protocol-record-malformed"
  ),
  ...[900, 3_000, 16_000].map((length) =>
    agreed(`a record of ${length} bytes to skip`, message(...usual, record(UNKNOWN, false, bytes(length))))
  ),
  refused(
    "a message over 16 KiB",
    message(...usual, record(UNKNOWN, false, bytes(16_000)), record(UNKNOWN, false, bytes(16_000))),
    "message-too-long"
  ),
  refused("a record that promises 65,535 bytes", Uint8Array.of(0x3f, 0xff, 0xff, 0xff, 1, 2, 3), "message-too-long"),
  refused(
    "more records than any client has a use for",
    message(...usual, ...Array.from({ length: 200 }, () => record(UNKNOWN, false))),
    "message-too-long"
  ),
  {
    name: "goodbye before End of Message",
    bytes: encodeRecords(usual),
    reply: "",
    outcome: "closed-without-request",
    behaviour: { thenClose: true }
  },
  {
    name: "goodbye within a record",
    bytes: encodeRecords([protocol(0)]).subarray(0, 5),
    reply: "",
    outcome: "closed-without-request",
    behaviour: { thenClose: true }
  },
  agreed("goodbye right after the request", request(15), AGREED, { thenClose: true }),
  agreed("byte by byte", request(15), AGREED, { bytewise: true }),
  agreed("the protocol second in the ALPN list", request(15), AGREED, { tls: { ALPNProtocols: ["h2", "ntske/1"] } })
]
