/**
 * Sockets by kind: which socket of an SO_REUSEPORT group a datagram goes to, decided in the kernel before any process wakes up.
 *
 * Requests for time, plain, keyed and by NTS, are spread over the workers by a hash of the source address (of IPv6 its /64):
 * all of one address meet one worker, so what is kept for an address is exact, and a flood from one address is one
 * worker's. What another service answers goes to a socket of that service's own and costs the workers nothing. Kinds without a
 * service stay with the workers, which count and drop them.
 *
 * Sockets are numbered in the order in which they were bound: first the workers', then one of each kind. They have to stay open
 * in one process, as a close renumbers them. A group is of one family: IPv6 sockets are IPV6_V6ONLY.
 */
import { reasonOf } from "@meridian/system/errno-words"
import { loadNative } from "@meridian/system/native"
import { HEADER_BYTES, Mode, Offset } from "@meridian/wire/ntp"
import { MS_SNTP_BYTES, MS_SNTP_EXTENDED_BYTES, MsSntpOffset, NT_HASH } from "@meridian/wire/ms-sntp"
import { NtsFieldType } from "@meridian/wire/nts-fields"
import { ClassicProgram, NETWORK_HEADER } from "./classic-bpf.ts"

/**
 * Packets that are not a worker's.
 * - `control`: modes 6 and 7
 * - `signd`: requests of Windows clients (@meridian/wire/ms-sntp)
 * - `autokey`: modes 1 and 3 of versions 3 and 4, the first extension field one of Autokey's (RFC 5906 §10)
 */
export const packetKinds = ["control", "signd", "autokey"] as const
export type PacketKind = (typeof packetKinds)[number]

interface SteeringPlan {
  /** Of the address that the group is bound to. */
  readonly family: 4 | 6
  /** Sockets 0 … workers-1 are theirs. */
  readonly workers: number
  /** Sockets that follow, by the kind that goes to each. */
  readonly kinds: readonly PacketKind[]
  /** 32 random bits: nobody outside knows which addresses meet at which worker. */
  readonly seed: number
}

/** The program for a group. */
export const steeringProgram = (plan: SteeringPlan): Uint8Array => {
  const program = new ClassicProgram()
  const { kinds } = plan
  if (kinds.length > 0) {
    // An empty datagram ends the program here: it is the first worker's.
    const time = kinds.includes("signd") || kinds.includes("autokey") ? "time" : "spread"
    program.do("loadByte", Offset.flags).do("and", 7)
    if (kinds.includes("control"))
      program.if("jumpIfEqual", Mode.control, "control").if("jumpIfEqual", Mode.private, "control")
    program.if("jumpIfEqual", Mode.client, time).if("jumpIfEqual", Mode.symmetricActive, time, "spread")
    if (time === "time") sortRequests(program, kinds)
  }
  spreadBySource(program.label("spread"), plan)
  kinds.forEach((kind, index) => program.label(kind).do("returnNumber", plan.workers + index))
  return program.encode()
}

/** Of versions 3 and 4 only: the others have neither Windows' authenticator nor extension fields. */
const sortRequests = (program: ClassicProgram, kinds: readonly PacketKind[]): void => {
  program.label("time").do("loadByte", Offset.flags).do("shiftRight", 3).do("and", 7)
  program.if("jumpIfEqual", 3, "trailer").if("jumpIfEqual", 4, "trailer", "spread")
  program.label("trailer").do("loadLength").if("jumpIfEqual", HEADER_BYTES, "spread")
  const otherwise = kinds.includes("autokey") ? "fields" : "spread"
  if (kinds.includes("signd")) {
    program.if("jumpIfEqual", MS_SNTP_BYTES, "authenticator")
    program.if("jumpIfEqual", MS_SNTP_EXTENDED_BYTES, "extended", otherwise)
    sortAuthenticators(program, otherwise)
  }
  if (kinds.includes("autokey")) sortFields(program.label("fields"))
}

/** The relative identifier without the bit that asks for the previous password; it is little-endian. */
const RID_MASK = 0xffff_ff7f

/** A Windows authenticator names an account and is zero for the rest; see msSntpRequestLength. */
const sortAuthenticators = (program: ClassicProgram, otherwise: string): void => {
  const isZero = (from: number, end: number): void => {
    for (let at = from; at < end; at += 4) {
      program.do("loadWord", at).if("jumpIfEqual", 0, at + 4 === end ? "signd" : undefined, otherwise)
    }
  }
  const namesAccount = (): void => {
    program.do("loadWord", MsSntpOffset.keyId).do("and", RID_MASK).if("jumpIfEqual", 0, otherwise)
  }
  program.label("authenticator")
  namesAccount()
  isZero(MsSntpOffset.checksum, MS_SNTP_BYTES)
  program.label("extended")
  namesAccount()
  program.do("loadByte", MsSntpOffset.hashHints).do("and", NT_HASH).if("jumpIfEqual", 0, otherwise)
  isZero(MsSntpOffset.extendedChecksum, MS_SNTP_EXTENDED_BYTES)
}

/** Of a field's type the six bits that are Autokey's version, and that version, 2. */
const AUTOKEY_VERSION_MASK = 0x3f00
const AUTOKEY_VERSION = 0x0200
const SHORTEST_AUTOKEY_FIELD = 8
/** Every Autokey packet ends in a MAC. */
const SHORTEST_MAC = 20

/**
 * NTS's cookie field is the one whose type is Autokey's too: that of a request for the autokey values. Such a request has no value,
 * and no cookie is as short.
 */
const sortFields = (program: ClassicProgram): void => {
  program.do("loadLength")
  program.if("jumpIfGreaterOrEqual", HEADER_BYTES + SHORTEST_AUTOKEY_FIELD + SHORTEST_MAC, undefined, "spread")
  program.do("loadHalf", HEADER_BYTES).if("jumpIfEqual", NtsFieldType.cookie, "cookie")
  program.do("and", AUTOKEY_VERSION_MASK).if("jumpIfEqual", AUTOKEY_VERSION, "autokey", "spread")
  program.label("cookie").do("loadHalf", HEADER_BYTES + 2)
  program.if("jumpIfEqual", SHORTEST_AUTOKEY_FIELD, "autokey", "spread")
}

/** Where the source address begins in an IPv4 and in an IPv6 header. */
const IPV4_SOURCE = NETWORK_HEADER + 12
const IPV6_SOURCE = NETWORK_HEADER + 8
/** An odd number that spreads the bits of the first word over all before the second joins them (2^32 / golden ratio). */
const GOLDEN = 0x9e37_79b1

/** A hash whose every bit depends on every bit of the address (the finishing steps of MurmurHash3), modulo the workers. */
const spreadBySource = (program: ClassicProgram, { family, workers, seed }: SteeringPlan): void => {
  if (workers === 1) {
    program.do("returnNumber", 0)
    return
  }
  if (family === 6) {
    program.do("loadWord", IPV6_SOURCE).do("xor", seed).do("multiply", GOLDEN)
    foldRight(program, 15)
    program
      .do("copyToX")
      .do("loadWord", IPV6_SOURCE + 4)
      .do("xorX")
  } else program.do("loadWord", IPV4_SOURCE).do("xor", seed)
  foldRight(program, 16)
  program.do("multiply", 0x85eb_ca6b)
  foldRight(program, 13)
  program.do("multiply", 0xc2b2_ae35)
  foldRight(program, 16)
  program.do("modulo", workers).do("returnA")
}

/** A = A xor A >> bits */
const foldRight = (program: ClassicProgram, bits: number): void => {
  program.do("copyToX").do("shiftRight", bits).do("xorX")
}

/**
 * Gives the group of a bound socket its program, in place of what it had. The other sockets of the group need not know.
 * @returns undefined, or why the kernel does not take it, in which case the kernel goes on choosing a socket by its own hash of
 *   addresses and ports
 */
export const steerPackets = (descriptor: number, plan: SteeringPlan): string | undefined => {
  const { addon, reason } = loadNative()
  if (addon === undefined) return reason
  try {
    addon.attachReuseportProgram(descriptor, steeringProgram(plan))
    return undefined
  } catch (error) {
    return `the kernel takes no program for the sockets: ${reasonOf(error)}`
  }
}
