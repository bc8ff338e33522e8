/** A host that answers, and that asks others: what is opened from its credentials, and what it knows of certificates. */
import { CertificateCache } from "./certificate-cache.ts"
import type { HostCredentials } from "./credentials.ts"
import { type AutokeyHost, BadCredentials, openHost } from "./host.ts"
import { Responder, type ResponderParts } from "./responder.ts"

export interface AutokeyParty {
  readonly host: AutokeyHost
  readonly certificates: CertificateCache
  readonly responder: Responder
}

/** What a party needs beside its credentials. */
type PartyParts = Omit<ResponderParts, "host" | "certificates">

/** A party that knows no certificate but its own yet; why not, where its credentials do not belong together. Never throws. */
export const openParty = (credentials: HostCredentials, parts: PartyParts): AutokeyParty | BadCredentials => {
  const host = openHost(credentials, parts.rsa)
  return host instanceof BadCredentials ? host : partyOf(host, parts)
}

/** A party of a host that is open already. */
export const partyOf = (host: AutokeyHost, parts: PartyParts): AutokeyParty => {
  const certificates = new CertificateCache(host.certificate, host.certificateFilestamp)
  return { host, certificates, responder: new Responder({ ...parts, host, certificates }) }
}
