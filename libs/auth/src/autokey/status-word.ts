/** The status word of a host and of an association (RFC 5906 §11.1), as ntpq shows it in `flags`. */

export const StatusFlag = {
  /** Autokey is on. */
  enabled: 0x0001,
  /** Leap-seconds values are at hand. */
  leapTable: 0x0002,
  /** Private certificate. */
  pc: 0x0010,
  iff: 0x0020,
  gq: 0x0040,
  mv: 0x0080,
  /** The trail ended in a trusted certificate. */
  certificate: 0x0100,
  /** The identity was proved. */
  verified: 0x0200,
  /** A signature verified after that: the other side is proventic. */
  proventic: 0x0400,
  cookie: 0x0800,
  autokey: 0x1000,
  /** The server signed our certificate. */
  signed: 0x2000,
  leapSeconds: 0x4000
} as const

/** The identity schemes in {@link StatusFlag}. */
export const IDENTITY_MASK = 0x00f0

/** Which signature scheme a host signs with: the high half of its status word. */
export const schemeNumber = (statusWord: number): number => statusWord >>> 16
