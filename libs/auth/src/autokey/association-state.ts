/** What an association works with, and what it has learned of the other side. */
import type { AutokeyValues, LeapSecondsValues } from "@meridian/wire/autokey-fields"
import type { DigestPort } from "../symmetric/mac.ts"
import type { CertificateCache, KnownCertificate } from "./certificate-cache.ts"
import type { GroupParameters } from "./group-parameters.ts"
import type { AutokeyHost } from "./host.ts"
import type { RandomBelow } from "./identity.ts"
import type { Challenge } from "./proof.ts"
import type { Responder } from "./responder.ts"
import type { RsaPort, RsaPublicKey } from "./rsa-port.ts"
import type { SignatureScheme } from "./signature-schemes.ts"
import { PUBLIC_COOKIE } from "./session-key.ts"
import type { Stamps } from "./signed-value.ts"

export interface AssociationParts {
  readonly host: AutokeyHost
  readonly certificates: CertificateCache
  /** Answers a symmetric peer's requests. */
  readonly responder: Responder
  readonly rsa: RsaPort
  readonly digests: DigestPort
  readonly randomBelow: RandomBelow
  /** 32 random bits. */
  readonly randomWord: () => number
  /** The group of the `server` line with what is known of it; undefined: the trusted certificate is proof enough. */
  readonly group: GroupParameters | undefined
  /** `broadcast` asks a server as a client does, and for the key list of what it tells to all. */
  readonly mode: "client" | "symmetric" | "broadcast"
  /** The association of the server's broadcasts, by which its key list is asked for. */
  readonly broadcastId?: number
  /** A line for cryptostats. */
  readonly record: (line: string) => void
}

export interface AssociationState {
  readonly parts: AssociationParts
  readonly associationId: number
  /** The other side's association id. */
  peerAssociationId: number
  status: number
  subject: string
  /** Whose certificate is asked for next. */
  issuer: string
  peerKey: RsaPublicKey | undefined
  scheme: SignatureScheme | undefined
  /** The certificate before in the trail. */
  trail: KnownCertificate | undefined
  trailLength: number
  gqPublic: bigint | undefined
  challenge: Challenge | undefined
  cookie: number
  ownCookie: number
  cookieStamps: Stamps | undefined
  received: (Stamps & AutokeyValues) | undefined
  leapSeconds: LeapSecondsValues | undefined
  hasLeapTable: boolean
}

/** What is known of the other side before it has said anything. */
export const nothingLearned = (parts: AssociationParts) => ({
  peerAssociationId: 0,
  status: 0,
  subject: "",
  issuer: "",
  peerKey: undefined,
  scheme: undefined,
  trail: undefined,
  trailLength: 0,
  gqPublic: undefined,
  challenge: undefined,
  cookie: PUBLIC_COOKIE,
  ownCookie: parts.randomWord(),
  cookieStamps: undefined,
  received: undefined,
  leapSeconds: undefined
})
