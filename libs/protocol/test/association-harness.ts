/** What the association suites share: a scripted environment, recorded packets, digests on node:crypto. */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { nobleCmac } from "@meridian/auth/cmac-noble"
import { KeyTable, SymmetricKey } from "@meridian/auth/key-table"
import { type DigestPort, SymmetricMacs } from "@meridian/auth/mac"
import { macAlgorithm } from "@meridian/auth/mac-algorithms"
import { Association } from "../src/association.ts"
import type { AssociationAction, Sample, Send } from "../src/association-action.ts"
import { type AssociationAuthentication, unauthenticated } from "../src/association-authentication.ts"
import {
  type AssociationEnvironment,
  type AssociationOptions,
  defaultAssociationOptions,
  type Endpoint,
  type Moment
} from "../src/association-options.ts"
import type { NtpTimestamp } from "@meridian/time/timestamp"
import { decodeHeader, encodeHeader, Mode, type NtpHeader } from "@meridian/wire/ntp"

export const hex = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
export const toHex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")

export const SERVER: Endpoint = { address: "192.0.2.1", port: 123 }

export const stamp = (value: bigint): NtpTimestamp => BigInt.asUintN(64, value) as NtpTimestamp
export const NO_TIME = stamp(0n)
/** A timestamp a number of seconds after an arbitrary moment, to the nearest 2^-32 s. */
const EPOCH = 0xeeaad56b_00000000n
export const at = (seconds: number): NtpTimestamp => stamp(EPOCH + BigInt(Math.round(seconds * 2 ** 32)))
export const moment = (seconds: number): Moment => ({ wall: at(seconds), monotonic: seconds })

/** The environment with randomness from a seed, or from a list of 64-bit values for as long as it lasts. */
export const environment = (
  script: readonly bigint[] = [],
  change: Partial<AssociationEnvironment> = {}
): AssociationEnvironment => {
  const values = [...script]
  let state = 12_345
  return {
    fillRandom: (bytes) => {
      const scripted = bytes.length === 8 ? values.shift() : undefined
      if (scripted !== undefined) return new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(0, scripted)
      for (let index = 0; index < bytes.length; index += 1) {
        state = (state * 1_103_515_245 + 12_345) & 0x7fffffff
        bytes[index] = state >> 16
      }
    },
    random: () => 0.5,
    precision: -25,
    system: () => ({ leap: 0, stratum: 3, referenceId: 7, reference: at(-5), rootDelay: 0.01, rootDispersion: 0.02 }),
    ...change
  }
}

export const headerOf = (packet: Uint8Array): NtpHeader => {
  const header = decodeHeader(packet)
  if ("_tag" in header) throw new Error(header.message)
  return header
}

/** A good server's reply to a request, taken and sent when told; changed as told. */
export const replyTo = (
  request: Uint8Array,
  receive: NtpTimestamp,
  transmit: NtpTimestamp,
  change: Partial<NtpHeader> = {}
): Uint8Array<ArrayBuffer> => {
  const { version, poll, transmit: origin } = headerOf(request)
  return encodeHeader({
    leap: 0,
    version,
    mode: Mode.server,
    stratum: 2,
    poll,
    precision: -24,
    rootDelay: 0x100,
    rootDispersion: 0x200,
    referenceId: 0x0a0b0c0d,
    reference: at(-100),
    origin,
    receive,
    transmit,
    ...change
  })
}

export const tags = (actions: readonly AssociationAction[]): readonly string[] => actions.map(({ _tag }) => _tag)
export const sendIn = (actions: readonly AssociationAction[]): Send => {
  const send = actions.find((each) => each._tag === "Send")
  if (send === undefined) throw new Error(`expected a Send, found ${tags(actions).join(", ")}`)
  return send
}
export const samplesIn = (actions: readonly AssociationAction[]): readonly Sample[] =>
  actions.filter((each) => each._tag === "Sample")
export const dropsIn = (actions: readonly AssociationAction[]): readonly string[] =>
  actions.flatMap((each) => (each._tag === "Drop" ? [each.reason] : []))
export const timerIn = (actions: readonly AssociationAction[]): number =>
  actions.reduce((due, each) => (each._tag === "SetTimer" ? each.at : due), NaN)

export interface Packet {
  readonly dir: "c2s" | "s2c"
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly header: NtpHeader
}

interface RecordedFile {
  readonly keys: Record<string, { readonly type: string; readonly key: string }>
  readonly exchanges: readonly {
    readonly name: string
    readonly packets: readonly { dir: "c2s" | "s2c"; hex: string }[]
  }[]
}
const readFixture = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8"))
const recorded = readFixture("association-exchanges.json") as RecordedFile

/** The packets of a recorded exchange, in order. */
export const recording = (name: string): readonly Packet[] => {
  const found = recorded.exchanges.find((each) => each.name === name)
  if (found === undefined) throw new Error(`no recording named ${name}`)
  return found.packets.map(({ dir, hex: text }) => ({ dir, bytes: hex(text), header: headerOf(hex(text)) }))
}

interface RecordedNts {
  readonly exchanges: readonly {
    readonly name: string
    readonly aead: number
    readonly c2s: string
    readonly s2c: string
    readonly packets: readonly { dir: "c2s" | "s2c"; hex: string }[]
  }[]
  readonly nak: { readonly request: string; readonly nak: string }
}
export const recordedNts = readFixture("association-nts.json") as RecordedNts

const digests: DigestPort = {
  supports: () => true,
  digest: (algorithm, key, bytes, offset, length, out) => {
    if (algorithm.startsWith("AES-")) return nobleCmac(key, bytes, offset, length, out)
    const hash = createHash(algorithm.toLowerCase())
      .update(key)
      .update(bytes.subarray(offset, offset + length))
    const digest = hash.digest()
    out.set(digest)
    return digest.length
  }
}

/** Every key of the recordings, all trusted. */
export const recordedMacs = (): SymmetricMacs => {
  const keys = Object.entries(recorded.keys).map(([id, { type, key }]) => {
    const secret = key.startsWith("HEX:") ? hex(key.slice(4)) : new TextEncoder().encode(key.slice(6))
    return new SymmetricKey(Number(id), macAlgorithm(type)!, secret)
  })
  return new SymmetricMacs(digests, KeyTable.of(keys).withTrusted([{ first: 1, last: 65_535 }]))
}

/** An association with the server, unauthenticated and with every option as usual unless told. */
export const associate = (
  options: Partial<AssociationOptions> = {},
  authentication: AssociationAuthentication = unauthenticated,
  env = environment()
): Association =>
  new Association({ endpoint: SERVER, options: { ...defaultAssociationOptions, ...options }, authentication }, env)

/** Polls at `seconds` and gives the reply of a server 0.25 s ahead, 10 ms away on either path, that took 1 ms. */
export const ask = (
  association: Association,
  seconds: number,
  change: Partial<NtpHeader> = {}
): Uint8Array<ArrayBuffer> =>
  replyTo(sendIn(association.poll(moment(seconds))).bytes, at(seconds + 0.26), at(seconds + 0.261), change)
export const hand = (association: Association, seconds: number, reply: Uint8Array, from = SERVER) =>
  association.receive(moment(seconds + 0.021), reply, at(seconds + 0.021), from)
export const exchange = (association: Association, seconds: number, change: Partial<NtpHeader> = {}) =>
  hand(association, seconds, ask(association, seconds, change))
