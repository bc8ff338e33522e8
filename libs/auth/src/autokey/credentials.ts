/**
 * A host's credentials as a message: octets and numbers, with the bounds of what is told of certificates. Every process that
 * reads a plan loads this; what opens them (host.ts) loads those alone that speak Autokey.
 */
import type { MacAlgorithmName } from "../symmetric/mac-algorithms.ts"

/** What fits into a packet with a signature, and more than a certificate of a 4096-bit key takes. */
export const LONGEST_CERTIFICATE_BYTES = 2_048
/** That a host keeps of others: more trails than a host with a dozen servers follows. */
export const MOST_CERTIFICATES = 64

export type IdentityScheme = "iff" | "gq" | "mv"
export const identitySchemes: readonly IdentityScheme[] = ["iff", "gq", "mv"]

/** A group key in a message: DER of DSAPrivateKey (IFF, MV) or RSAPrivateKey (GQ). */
export interface StampedKey {
  readonly scheme: IdentityScheme
  readonly key: Uint8Array
  /** NTP seconds */
  readonly filestamp: number
}

/** A host's credentials as a message. It holds private keys: never logged, never in an event unsealed. */
export interface HostCredentials {
  /** DER of PKCS #8 */
  readonly hostKey: Uint8Array
  readonly hostFilestamp: number
  /** DER of PKCS #8; undefined where the host key signs. */
  readonly signKey: Uint8Array | undefined
  /** DER */
  readonly certificate: Uint8Array
  readonly certificateFilestamp: number
  readonly identity: readonly StampedKey[]
  /** `crypto digest` */
  readonly digest: MacAlgorithmName
}
