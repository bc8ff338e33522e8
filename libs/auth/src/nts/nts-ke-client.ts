/**
 * The client's side of NTS key establishment without TLS (RFC 8915 §4): the request's bytes, and whether a reply may be
 * believed. The shell owns the connection and exports the keys with {@link exporterContext} of nts-ke-server.ts.
 */
import {
  bodyNumbers,
  encodeRecords,
  endOfMessage,
  ErrorCode,
  type NtsKeRecord,
  numbersBody,
  PROTOCOL_NTPV4,
  record,
  RecordDecoder,
  RecordType
} from "@meridian/wire/nts-ke"
import { AeadId, type AeadParameters, aeadParameters } from "./aead.ts"
import { hostName, portNumber } from "./nts-ke-server.ts"

/** The algorithms Meridian asks for, in order of preference: the shortest packets first, then what every server has. */
export const defaultAeads: readonly AeadId[] = [AeadId.aes128GcmSiv, AeadId.sivCmac256]

/** Cookies kept of one reply. A server that sends more only fills memory. */
export const MAXIMUM_COOKIES = 8

/** Longest cookie kept, bytes: with it a request still fits an Ethernet frame. */
const MAXIMUM_COOKIE_BYTES = 512

/** A whole request, for one TLS write. With AEAD 30 in the list it says (record 1024) that keys are derived by the RFC. */
export const keyExchangeRequest = (aeads: readonly AeadId[] = defaultAeads): Uint8Array<ArrayBuffer> =>
  encodeRecords([
    record(RecordType.nextProtocol, true, numbersBody([PROTOCOL_NTPV4])),
    record(RecordType.aead, true, numbersBody(aeads)),
    ...(aeads.includes(AeadId.aes128GcmSiv) ? [record(RecordType.compliantGcmSivExporter, false)] : []),
    endOfMessage
  ])

/** A reply to build an association on. */
export interface KeyExchange {
  readonly _tag: "Agreed"
  readonly aead: AeadParameters
  readonly compliantExporter: boolean
  /** 1 … {@link MAXIMUM_COOKIES}, all of one length. */
  readonly cookies: readonly Uint8Array[]
  /** Where to send NTP packets; undefined: to the host that was asked for keys, port 123. */
  readonly host: string | undefined
  readonly port: number | undefined
}

/** A reply that must not be used. */
interface KeyExchangeRefused {
  readonly _tag: "Refused"
  readonly reason: KeyExchangeRefusal
  /** What to tell the operator: what was expected and what the server sent. */
  readonly message: string
}

type KeyExchangeRefusal =
  | "server-error"
  | "server-warning"
  | "unknown-critical-record"
  | "no-common-protocol"
  | "no-common-aead"
  | "unoffered-aead"
  | "malformed"
  | "no-cookies"

const refused = (reason: KeyExchangeRefusal, message: string): KeyExchangeRefused => ({
  _tag: "Refused",
  reason,
  message
})

/**
 * Judges a whole reply (RFC 8915 §4.1).
 * @param records as a RecordDecoder gives them, End of Message included
 * @param offered the list the request was made with
 */
export const readKeyExchangeReply = (
  records: readonly NtsKeRecord[],
  offered: readonly AeadId[] = defaultAeads
): KeyExchange | KeyExchangeRefused => {
  const of = (type: number): readonly NtsKeRecord[] => records.filter((each) => each.type === type)
  const fault = serverFault(records)
  if (fault !== undefined) return fault

  const protocols = onlyNumbers(of(RecordType.nextProtocol))
  if (protocols === undefined) return refused("malformed", "expected one Next Protocol record in the reply")
  if (protocols.length === 0) return refused("no-common-protocol", "the server does not speak NTPv4 with NTS")
  if (protocols.length !== 1 || protocols[0] !== PROTOCOL_NTPV4)
    return refused("malformed", `expected next protocol ${PROTOCOL_NTPV4}, found ${protocols.join(", ")}`)

  const aeads = onlyNumbers(of(RecordType.aead))
  if (aeads === undefined) return refused("malformed", "expected one AEAD record in the reply")
  if (aeads.length === 0) return refused("no-common-aead", `the server has none of the AEADs ${offered.join(", ")}`)
  const aead = aeads.length === 1 ? offered.find((id) => id === aeads[0]) : undefined
  const parameters = aead === undefined ? undefined : aeadParameters(aead)
  if (parameters === undefined)
    return refused("unoffered-aead", `expected one of the AEADs ${offered.join(", ")}, found ${aeads.join(", ")}`)

  const [hosts, ports] = [of(RecordType.ntpServer), of(RecordType.ntpPort)]
  const host = hosts[0] === undefined ? undefined : hostName(hosts[0].body)
  const port = ports[0] === undefined ? undefined : portNumber(ports[0].body)
  if (hosts.length > 1 || (hosts.length === 1 && host === undefined))
    return refused("malformed", "expected at most one Server record, holding a host name in ASCII")
  if (ports.length > 1 || (ports.length === 1 && port === undefined))
    return refused("malformed", "expected at most one Port record, holding a port from 1 to 65535")

  const cookies = usableCookies(of(RecordType.newCookie).map(({ body }) => body))
  if (cookies.length === 0)
    return refused("no-cookies", `expected cookies of 1 to ${MAXIMUM_COOKIE_BYTES} bytes in the reply, found none`)
  const compliantExporter = parameters.id === AeadId.aes128GcmSiv && of(RecordType.compliantGcmSivExporter).length > 0
  return { _tag: "Agreed", aead: parameters, compliantExporter, cookies, host, port }
}

/** A reply as it arrives, in pieces of any size, however TLS and the server have cut it. */
export class KeyExchangeReply {
  private readonly decoder = new RecordDecoder()
  private readonly offered: readonly AeadId[]

  /** @param offered the list the request was made with */
  constructor(offered: readonly AeadId[] = defaultAeads) {
    this.offered = offered
  }

  /** Takes the next bytes. Never throws. */
  push(bytes: Uint8Array): "reading" | KeyExchange | KeyExchangeRefused {
    const state = this.decoder.push(bytes)
    if (state === "reading") return state
    return state === "complete"
      ? readKeyExchangeReply(this.decoder.records, this.offered)
      : refused("malformed", `the reply is no NTS-KE message: ${state}`)
  }
}

const knownTypes: ReadonlySet<number> = new Set(Object.values(RecordType))

/** Errors, warnings (their codes are all unknown, and such are errors by RFC 8915 §4.1.4) and unknown critical records. */
const serverFault = (records: readonly NtsKeRecord[]): KeyExchangeRefused | undefined => {
  for (const { type, critical, body } of records) {
    const code = bodyNumbers(body)?.[0] ?? -1
    if (type === RecordType.error) return refused("server-error", `the server answered with ${errorName(code)}`)
    if (type === RecordType.warning) return refused("server-warning", `the server answered with warning ${code}`)
    if (critical && !knownTypes.has(type))
      return refused("unknown-critical-record", `the server sent a critical record of unknown type ${type}`)
  }
  const end = records.at(-1)
  return end?.type === RecordType.endOfMessage ? undefined : refused("malformed", "expected a whole message")
}

const errorName = (code: number): string => {
  switch (code) {
    case ErrorCode.unrecognizedCriticalRecord:
      return "error 0, unrecognized critical record"
    case ErrorCode.badRequest:
      return "error 1, bad request"
    case ErrorCode.internalServerError:
      return "error 2, internal server error"
    default:
      return `error ${code}`
  }
}

const onlyNumbers = (records: readonly NtsKeRecord[]): readonly number[] | undefined =>
  records.length === 1 && records[0] !== undefined ? bodyNumbers(records[0].body) : undefined

/** The first cookies, up to eight, of the first one's length: requests and placeholders are sized by it. */
const usableCookies = (cookies: readonly Uint8Array[]): readonly Uint8Array[] => {
  const length = cookies[0]?.length ?? 0
  if (length === 0 || length > MAXIMUM_COOKIE_BYTES) return []
  return cookies.filter((cookie) => cookie.length === length).slice(0, MAXIMUM_COOKIES)
}
