/**
 * The server's side of NTS key establishment without TLS (RFC 8915 §4): a request's records in, what to answer out. The
 * shell owns the connection, exports the keys with {@link exporterContext} and mints the cookies.
 */
import {
  bodyNumbers,
  type DecoderState,
  encodeRecords,
  endOfMessage,
  ErrorCode,
  type NtsKeRecord,
  numbersBody,
  PROTOCOL_NTPV4,
  record,
  RecordType
} from "@meridian/wire/nts-ke"
import { AeadId, type AeadParameters, aeadParameters } from "./aead.ts"

/** The exporter's label, RFC 8915 §5.1. */
export const EXPORTER_LABEL = "EXPORTER-network-time-security"

/** Cookies in a reply: RFC 8915 §4.1.6 asks for eight. */
export const COOKIES_PER_REPLY = 8

/** What was agreed, and enough to export the keys. */
export interface Agreement {
  readonly _tag: "Agreed"
  readonly aead: AeadParameters
  /** Both sides derive keys for AEAD 30 as RFC 8915 says (record 1024); meaningless for the others. */
  readonly compliantExporter: boolean
  /** Which host and port the client asked to be given, if it did; honouring it is optional (RFC 8915 §4.1.7, §4.1.8). */
  readonly wantedServer: string | undefined
  readonly wantedPort: number | undefined
}

/** A well-formed request, but nothing in common: the reply says so by an empty list and carries no cookies. */
export interface Declined {
  readonly _tag: "Declined"
  readonly reason: "no-common-protocol" | "no-common-aead"
  readonly reply: Uint8Array<ArrayBuffer>
}

/** A request that breaks the rules: the reply is an Error record. */
interface Refused {
  readonly _tag: "Refused"
  readonly code: ErrorCode
  readonly reason: RefusalReason
  readonly reply: Uint8Array<ArrayBuffer>
}

const refusalReasons = [
  "unknown-critical-record",
  "record-only-servers-send",
  "protocol-record-missing",
  "protocol-record-repeated",
  "protocol-record-not-critical",
  "protocol-record-malformed",
  "aead-record-missing",
  "aead-record-repeated",
  "aead-record-malformed",
  "server-record-malformed",
  "port-record-malformed",
  "end-of-message-malformed",
  "data-after-end-of-message",
  "message-too-long",
  "internal"
] as const
export type RefusalReason = (typeof refusalReasons)[number]

const refused = (reason: RefusalReason, code: ErrorCode = ErrorCode.badRequest): Refused => ({
  _tag: "Refused",
  code,
  reason,
  reply: encodeRecords([record(RecordType.error, true, numbersBody([code])), endOfMessage])
})

/** The reply for a failure of our own (RFC 8915 §4.1.3, code 2). */
export const internalError = (): Refused => refused("internal", ErrorCode.internalServerError)

/** The reply for bytes that the decoder gave up on. */
export const refusedMessage = (state: Exclude<DecoderState, "reading" | "complete">): Refused => {
  switch (state) {
    case "message-too-long":
    case "too-many-records":
      return refused("message-too-long")
  }
}

/**
 * Decides on a whole request, End of Message included. The first algorithm of the client's list that is enabled is taken.
 * @param records as a RecordDecoder gives them
 * @param trailingBytes that came after End of Message
 * @param enabled algorithms this server offers, in any order
 */
export const negotiate = (
  records: readonly NtsKeRecord[],
  trailingBytes: number,
  enabled: ReadonlySet<number>
): Agreement | Declined | Refused => {
  const request = readRequest(records)
  if ("_tag" in request) return request
  if (trailingBytes > 0) return refused("data-after-end-of-message")
  if (!request.protocols.includes(PROTOCOL_NTPV4)) return declined("no-common-protocol")
  const aead = request.aeads.flatMap((id) => (enabled.has(id) ? (aeadParameters(id) ?? []) : []))[0]
  if (aead === undefined) return declined("no-common-aead")
  return {
    _tag: "Agreed",
    aead,
    compliantExporter: aead.id === AeadId.aes128GcmSiv && request.compliantExporter,
    wantedServer: request.server,
    wantedPort: request.port
  }
}

/**
 * The context of the exporter (RFC 8915 §5.1): protocol, algorithm, direction. chrony before 4.6.1 put 15 in place of 30
 * when it had agreed on 30; a client that does it right says so with record 1024, and then so do we.
 */
export const exporterContext = (
  agreement: Pick<Agreement, "aead" | "compliantExporter">,
  direction: "c2s" | "s2c"
): Uint8Array<ArrayBuffer> => {
  const quirk = agreement.aead.id === AeadId.aes128GcmSiv && !agreement.compliantExporter
  const view = new DataView(new ArrayBuffer(5))
  view.setUint16(0, PROTOCOL_NTPV4)
  view.setUint16(2, quirk ? AeadId.sivCmac256 : agreement.aead.id)
  view.setUint8(4, direction === "c2s" ? 0 : 1)
  return new Uint8Array(view.buffer)
}

/** Where the client shall send its NTP packets, when that is not this host's port 123. */
export interface TimeServer {
  /** A host name or address, ASCII. */
  readonly host?: string
  readonly port?: number
}

/** The whole reply to an agreed request, for one TLS write. */
export const agreedReply = (
  agreement: Agreement,
  cookies: readonly Uint8Array[],
  timeServer: TimeServer = {}
): Uint8Array<ArrayBuffer> =>
  encodeRecords([
    record(RecordType.nextProtocol, true, numbersBody([PROTOCOL_NTPV4])),
    record(RecordType.aead, true, numbersBody([agreement.aead.id])),
    ...(agreement.compliantExporter ? [record(RecordType.compliantGcmSivExporter, false)] : []),
    // Critical as RFC 8915 §4.1.7 and §4.1.8 ask: a client that skipped them would ask the wrong server.
    ...(timeServer.host === undefined ? [] : [record(RecordType.ntpServer, true, asciiBytes(timeServer.host))]),
    ...(timeServer.port === undefined ? [] : [record(RecordType.ntpPort, true, numbersBody([timeServer.port]))]),
    ...cookies.map((cookie) => record(RecordType.newCookie, false, cookie)),
    endOfMessage
  ])

const declined = (reason: Declined["reason"]): Declined => ({
  _tag: "Declined",
  reason,
  reply: encodeRecords(
    reason === "no-common-protocol"
      ? [record(RecordType.nextProtocol, true), endOfMessage]
      : [
          record(RecordType.nextProtocol, true, numbersBody([PROTOCOL_NTPV4])),
          record(RecordType.aead, true),
          endOfMessage
        ]
  )
})

interface Request {
  readonly protocols: readonly number[]
  readonly aeads: readonly number[]
  readonly compliantExporter: boolean
  readonly server: string | undefined
  readonly port: number | undefined
}

const knownTypes: ReadonlySet<number> = new Set(Object.values(RecordType))
const serverOnlyTypes: ReadonlySet<number> = new Set([RecordType.newCookie, RecordType.error, RecordType.warning])

const readRequest = (records: readonly NtsKeRecord[]): Request | Refused => {
  const first = new Map<number, NtsKeRecord>()
  const repeated = new Set<number>()
  for (const each of records) {
    if (each.critical && !knownTypes.has(each.type))
      return refused("unknown-critical-record", ErrorCode.unrecognizedCriticalRecord)
    if (serverOnlyTypes.has(each.type)) return refused("record-only-servers-send")
    if (first.has(each.type)) repeated.add(each.type)
    else first.set(each.type, each)
  }
  const end = first.get(RecordType.endOfMessage)
  if (end?.critical !== true || end.body.length !== 0) return refused("end-of-message-malformed")

  const protocol = first.get(RecordType.nextProtocol)
  if (protocol === undefined) return refused("protocol-record-missing")
  if (repeated.has(RecordType.nextProtocol)) return refused("protocol-record-repeated")
  if (!protocol.critical) return refused("protocol-record-not-critical")
  const protocols = bodyNumbers(protocol.body)
  if (protocols === undefined || protocols.length === 0) return refused("protocol-record-malformed")

  const aead = first.get(RecordType.aead)
  if (aead === undefined) return refused("aead-record-missing")
  if (repeated.has(RecordType.aead)) return refused("aead-record-repeated")
  const aeads = bodyNumbers(aead.body)
  if (aeads === undefined || aeads.length === 0) return refused("aead-record-malformed")

  const serverRecord = first.get(RecordType.ntpServer)
  const server = serverRecord === undefined ? undefined : hostName(serverRecord.body)
  if (repeated.has(RecordType.ntpServer) || (serverRecord !== undefined && server === undefined))
    return refused("server-record-malformed")

  const portRecord = first.get(RecordType.ntpPort)
  const port = portRecord === undefined ? undefined : portNumber(portRecord.body)
  if (repeated.has(RecordType.ntpPort) || (portRecord !== undefined && port === undefined))
    return refused("port-record-malformed")

  return { protocols, aeads, compliantExporter: first.has(RecordType.compliantGcmSivExporter), server, port }
}

/** The port in a Port Negotiation body: two bytes and not 0. */
export const portNumber = (body: Uint8Array): number | undefined =>
  body.length === 2 ? bodyNumbers(body)?.[0] || undefined : undefined

/** Longest host name kept, RFC 1035 §2.3.4. */
const MAXIMUM_HOST_NAME_BYTES = 255

/** Printable ASCII without spaces, undefined for anything else (RFC 8915 §4.1.7). */
export const hostName = (body: Uint8Array): string | undefined =>
  body.length > 0 && body.length <= MAXIMUM_HOST_NAME_BYTES && body.every((byte) => byte > 0x20 && byte < 0x7f)
    ? String.fromCharCode(...body)
    : undefined

const asciiBytes = (text: string): Uint8Array<ArrayBuffer> => {
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0))
  if (hostName(bytes) === undefined)
    throw new RangeError(`expected a host name in ASCII, found ${JSON.stringify(text)}`)
  return bytes
}
