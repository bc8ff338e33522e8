/** Values and their signatures (RFC 5906 §10): signing ours, and what is believed of somebody else's. */
import { ntpSeconds } from "@meridian/time/timestamp"
import { type AutokeyValue, signedOctets } from "@meridian/wire/autokey-fields"
import type { RsaPrivateKey, RsaPublicKey } from "./rsa-port.ts"
import type { SignatureScheme } from "./signature-schemes.ts"

const UNSIGNED = new Uint8Array(0)

/** NTP seconds of a moment of served time, Unix seconds; 0 stands for a host that is not synchronised. */
export const stampOf = (unix: number | undefined): number => (unix === undefined ? 0 : ntpSeconds(unix))

/** What a host signs with. */
export interface Signer {
  readonly key: RsaPrivateKey
  readonly scheme: SignatureScheme
}

/**
 * A value as it is sent: signed, or as it stands where the sender is not synchronised.
 * @param timestamp NTP seconds; 0 where not synchronised
 */
export const signValue = (
  { key, scheme }: Signer,
  timestamp: number,
  filestamp: number,
  value: Uint8Array
): AutokeyValue => {
  const unsigned = { timestamp, filestamp, value }
  const signature = timestamp === 0 ? UNSIGNED : key.sign(scheme.digest, signedOctets(unsigned))
  return { ...unsigned, signature }
}

/** A value without a signature: association messages and requests. */
export const unsignedValue = (timestamp: number, filestamp: number, value: Uint8Array): AutokeyValue => ({
  timestamp,
  filestamp,
  value,
  signature: UNSIGNED
})

/** NTP seconds compared as RFC 5905 has it: within 68 years of each other. */
export const isEarlier = (a: number, b: number): boolean => ((a - b) | 0) < 0

/** How far a sender's signature may lie ahead of our clock before it is taken for one from the future, seconds. */
const GREATEST_AHEAD_SECONDS = 86_400

/** The stamps of what was accepted before, which a newer value may not precede. */
export interface Stamps {
  readonly timestamp: number
  readonly filestamp: number
}

/**
 * Whether a value's stamps can be (RFC 5906 §11.3): signed, not older than its file nor than what was accepted before.
 * @param now NTP seconds; 0 where our clock cannot tell
 */
export const stampFault = (
  { timestamp, filestamp }: Stamps,
  before: Stamps | undefined,
  now: number
): "timestamp" | "filestamp" | undefined => {
  if (timestamp === 0 || isEarlier(timestamp, filestamp)) return "timestamp"
  if (now !== 0 && isEarlier(now + GREATEST_AHEAD_SECONDS, timestamp)) return "timestamp"
  if (before === undefined) return undefined
  if (isEarlier(timestamp, before.timestamp)) return "timestamp"
  return isEarlier(filestamp, before.filestamp) ? "filestamp" : undefined
}

/** Whether a value carries this key's signature. */
export const signatureFault = (
  value: AutokeyValue,
  key: RsaPublicKey,
  scheme: SignatureScheme
): "signature-length" | "signature" | undefined => {
  if (value.signature.length !== key.modulusBytes) return "signature-length"
  return key.verify(scheme.digest, signedOctets(value), value.signature) ? undefined : "signature"
}
