/**
 * The extension field by which a server says who it is, to clients that ask: which of the nodes behind one address answered,
 * and by what. A request carries the field with as many octets as it has room for, all zero; the reply carries it in the
 * same length. A server that does not know the field, or whose answer does not fit, answers as if it were not there.
 *
 * ```
 * 0 type 0xF44E (experimental, RFC 9748)  2 length  4 format 1  5 length of node  6 of version  7 of decision
 * 8 key generation in use, 0 for none     12 node, version, decision in ASCII; zeros to the end
 * ```
 */
import { FIELD_HEADER_BYTES, fieldLength, fieldType, newTrailer, scanTrailer } from "./trailer.ts"
import { HEADER_BYTES } from "./ntp.ts"

export const IDENTITY_FIELD = 0xf44e
const FORMAT = 1
const TEXTS_AT = 8
const LONGEST_NODE = 63
const LONGEST_VERSION = 32
const LONGEST_DECISION = 64
/** RFC 7822 §3: the last field of a packet without a MAC is 28 octets at least. */
const SHORTEST_BODY = 24
/** Octets behind the field's header that are enough for every answer. */
export const LONGEST_IDENTITY = TEXTS_AT + LONGEST_NODE + LONGEST_VERSION + LONGEST_DECISION + 1

export interface Identity {
  readonly node: string
  /** Of the software. */
  readonly version: string
  /** NTS master key generation in use, 0 for none. */
  readonly generation: number
  /** Id of the event by which the node's clock follows what it follows; empty where there is none yet. */
  readonly decision: string
}

const ascii = (text: string, longest: number): string => text.replaceAll(/[^!-~]/g, "?").slice(0, longest)

/** The octets behind the field's header, a multiple of four. What is too long is cut. */
export const encodeIdentity = ({ node, version, generation, decision }: Identity): Uint8Array => {
  const texts = [ascii(node, LONGEST_NODE), ascii(version, LONGEST_VERSION), ascii(decision, LONGEST_DECISION)]
  const used = TEXTS_AT + texts.reduce((sum, { length }) => sum + length, 0)
  const body = new Uint8Array(Math.max(SHORTEST_BODY, Math.ceil(used / 4) * 4))
  body.set([FORMAT, ...texts.map(({ length }) => length)])
  new DataView(body.buffer).setUint32(4, generation)
  let at = TEXTS_AT
  for (const text of texts) for (let index = 0; index < text.length; index += 1) body[at++] = text.charCodeAt(index)
  return body
}

/** A request's field: its header, and room for any answer. */
export const identityRequest = (): Uint8Array => {
  const field = new Uint8Array(FIELD_HEADER_BYTES + LONGEST_IDENTITY)
  const view = new DataView(field.buffer)
  view.setUint16(0, IDENTITY_FIELD)
  view.setUint16(2, field.length)
  return field
}

const VERSION_4 = 4
const PRINTABLE = /^[!-~]*$/

/** What a reply says of who sent it; undefined where it says nothing, or nothing that can be read. */
export const identityOf = (reply: Uint8Array): Identity | undefined => {
  const view = new DataView(reply.buffer, reply.byteOffset, reply.byteLength)
  const trailer = newTrailer()
  if (reply.length < HEADER_BYTES) return undefined
  scanTrailer(view, 0, reply.length, VERSION_4, trailer)
  for (let index = 0; index < trailer.fieldCount; index += 1) {
    const at = trailer.fieldOffsets[index]!
    if (fieldType(view, at) === IDENTITY_FIELD)
      return decodeIdentity(reply.subarray(at + FIELD_HEADER_BYTES, at + fieldLength(view, at)))
  }
  return undefined
}

/** Reads the octets behind the field's header; undefined where they are no answer. */
export const decodeIdentity = (body: Uint8Array): Identity | undefined => {
  if (body.length < TEXTS_AT || body[0] !== FORMAT) return undefined
  const lengths = [body[1]!, body[2]!, body[3]!]
  if (TEXTS_AT + lengths.reduce((sum, length) => sum + length, 0) > body.length) return undefined
  let at = TEXTS_AT
  const [node = "", version = "", decision = ""] = lengths.map((length) =>
    String.fromCharCode(...body.subarray(at, (at += length)))
  )
  if (![node, version, decision].every((text) => PRINTABLE.test(text))) return undefined
  const generation = new DataView(body.buffer, body.byteOffset, body.byteLength).getUint32(4)
  return { node, version, generation, decision }
}
