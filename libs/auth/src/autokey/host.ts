/**
 * What a host is in Autokey: a name, keys, a certificate, and group keys. Read from key files once, handed to the processes that
 * work with it as a message of octets and numbers, and opened there.
 */
import { type MacAlgorithmName } from "../symmetric/mac-algorithms.ts"
import { type AutokeyCertificate, publicKeyOf, isSelfSigned, isSignedBy, readCertificate } from "./certificate.ts"
import type { HostCredentials, IdentityScheme, StampedKey } from "./credentials.ts"
import type { GqGroupKey } from "./gq.ts"
import { gqGroupKeyFrom, iffGroupKeyFrom, type IdentityFileFault, mvServerKeyFrom } from "./identity-files.ts"
import type { IffGroupKey } from "./iff.ts"
import type { MvServerKey } from "./mv.ts"
import { readDsa, readRsa } from "./private-keys.ts"
import type { RsaPort, RsaPrivateKey } from "./rsa-port.ts"
import type { Signer } from "./signed-value.ts"
import { StatusFlag } from "./status-word.ts"

/** A value from a file with its filestamp. */
export interface Stamped<A> {
  readonly value: A
  readonly filestamp: number
}

export interface AutokeyHost {
  /** Its certificate's subject: `host` or `host@group`. */
  readonly name: string
  /** What follows the `@`. */
  readonly group: string | undefined
  readonly hostKey: RsaPrivateKey
  readonly hostFilestamp: number
  readonly signer: Signer
  readonly certificate: AutokeyCertificate
  readonly certificateFilestamp: number
  readonly iff: Stamped<IffGroupKey> | undefined
  readonly gq: Stamped<GqGroupKey> | undefined
  readonly mv: Stamped<MvServerKey> | undefined
  readonly digest: MacAlgorithmName
}

/** Why credentials make no host; one line for a person. */
export class BadCredentials {
  readonly _tag = "BadCredentials"
  readonly message: string
  constructor(message: string) {
    this.message = message
  }
}

/** The group in a host's name. */
export const groupOf = (name: string): string | undefined => {
  const at = name.indexOf("@")
  return at < 0 || at === name.length - 1 ? undefined : name.slice(at + 1)
}

/** Opens credentials; checks that they belong together. Never throws. */
export const openHost = (credentials: HostCredentials, rsa: RsaPort): AutokeyHost | BadCredentials => {
  const hostKey = rsa.openPrivateKey(credentials.hostKey)
  if (hostKey === undefined)
    return new BadCredentials("the host key is no RSA key that can be used; make one with ntp-keygen -H")
  const signKey = credentials.signKey === undefined ? hostKey : rsa.openPrivateKey(credentials.signKey)
  if (signKey === undefined)
    return new BadCredentials(
      "the sign key is no RSA key; ntp-keygen -S RSA makes one, or remove it to sign with the host key"
    )
  const certificate = readCertificate(credentials.certificate)
  if (typeof certificate === "string")
    return new BadCredentials(`the certificate cannot be used (${certificate}); make one with ntp-keygen`)
  if (!isSelfSigned(certificate))
    return new BadCredentials(
      `the certificate of ${certificate.subject} is signed by ${certificate.issuer}, expected its own signature`
    )
  const itsKey = publicKeyOf(certificate, rsa)
  if (itsKey === undefined || !isSignedBy(certificate, itsKey) || !sameOctets(certificate.spki, signKey.publicSpki))
    return new BadCredentials(
      `the certificate of ${certificate.subject} does not belong to the key that signs; make it anew with ntp-keygen`
    )
  const identity = openIdentity(credentials.identity)
  if (identity instanceof BadCredentials) return identity
  return {
    name: certificate.subject,
    group: groupOf(certificate.subject),
    hostKey,
    hostFilestamp: credentials.hostFilestamp,
    signer: { key: signKey, scheme: certificate.scheme },
    certificate,
    certificateFilestamp: credentials.certificateFilestamp,
    ...identity,
    digest: credentials.digest
  }
}

export const sameOctets = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((octet, index) => octet === b[index])

const openIdentity = (keys: readonly StampedKey[]): Pick<AutokeyHost, "iff" | "gq" | "mv"> | BadCredentials => {
  const found: { -readonly [Scheme in IdentityScheme]: AutokeyHost[Scheme] } = {
    iff: undefined,
    gq: undefined,
    mv: undefined
  }
  for (const { scheme, key, filestamp } of keys) {
    const numbers = scheme === "gq" ? readRsa(key) : readDsa(key)
    if (numbers === undefined) return new BadCredentials(`the ${scheme} key is none`)
    switch (scheme) {
      case "iff": {
        const value = iffGroupKeyFrom(numbers)
        if (typeof value === "string") return new BadCredentials(identityFaultText("iffkey", value))
        found.iff = { value, filestamp }
        break
      }
      case "gq": {
        const value = gqGroupKeyFrom(numbers)
        if (typeof value === "string") return new BadCredentials(identityFaultText("gqkey", value))
        found.gq = { value, filestamp }
        break
      }
      case "mv": {
        const value = mvServerKeyFrom(numbers)
        if (typeof value === "string") return new BadCredentials(identityFaultText("mvkey", value))
        found.mv = { value, filestamp }
        break
      }
    }
  }
  return found
}

/** What to do about an identity file, by its kind: `iffpar`, `mvkey`. */
export const identityFaultText = (link: string, fault: IdentityFileFault): string => {
  switch (fault) {
    case "kind":
      return `the ${link} file holds a key of another scheme`
    case "lost-number":
      return `the ${link} file was written by ntp-keygen 4.2.8, which loses a number of it; export it anew with Meridian's ntp-keygen -e${link.endsWith("par") ? "" : " or -q"} from the group's key`
    case "numbers":
      return `the numbers in the ${link} file do not fit together; get it anew from the group's trusted host`
  }
}

/** A host's status word; the leap-table flag is lit where leap-seconds values can be given. */
export const hostStatus = (host: AutokeyHost, hasLeapTable: boolean): number =>
  ((host.signer.scheme.number << 16) |
    StatusFlag.enabled |
    (hasLeapTable ? StatusFlag.leapTable : 0) |
    (host.certificate.isPrivate ? StatusFlag.pc : 0) |
    (host.iff === undefined ? 0 : StatusFlag.iff) |
    (host.gq === undefined ? 0 : StatusFlag.gq) |
    (host.mv === undefined ? 0 : StatusFlag.mv)) >>>
  0
