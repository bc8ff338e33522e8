/**
 * The certificates a host knows (RFC 5906 §8): its own, what others signed for it, and those of a trail. At most one for a
 * subject and issuer, the one with the later filestamp.
 */
import { type AutokeyCertificate, isSelfSigned, readCertificate } from "./certificate.ts"
import { MOST_CERTIFICATES } from "./credentials.ts"
import { isEarlier } from "./signed-value.ts"

/** As ntpq shows them behind subject and issuer. */
export const CertificateFlag = { trusted: 0x01, signed: 0x02, valid: 0x04, private: 0x08, error: 0x80 } as const

export interface KnownCertificate {
  readonly certificate: AutokeyCertificate
  /** NTP seconds */
  readonly filestamp: number
  /** Of {@link CertificateFlag}. */
  flags: number
}

export class CertificateCache {
  private readonly own: KnownCertificate
  private others: KnownCertificate[] = []

  /** @param own this host's certificate, which is never forgotten */
  constructor(own: AutokeyCertificate, filestamp: number) {
    this.own = { certificate: own, filestamp, flags: flagsOf(own) }
  }

  /** Of others, the newest first. It is another array after each change. */
  get learned(): readonly KnownCertificate[] {
    return this.others
  }

  /** The newest first, this host's own last: the order in which ntpq lists them. */
  get all(): readonly KnownCertificate[] {
    return [...this.others, this.own]
  }

  /**
   * Puts a certificate in, or gives the one that is there for the same names and is not older.
   * @returns what is kept
   */
  install(certificate: AutokeyCertificate, filestamp: number): KnownCertificate {
    const same = this.all.find(
      (known) => known.certificate.subject === certificate.subject && known.certificate.issuer === certificate.issuer
    )
    if (same !== undefined && (same === this.own || !isEarlier(same.filestamp, filestamp))) {
      same.flags |= CertificateFlag.valid
      return same
    }
    const known = { certificate, filestamp, flags: flagsOf(certificate) | CertificateFlag.valid }
    this.others = [known, ...this.others.filter((other) => other !== same)].slice(0, MOST_CERTIFICATES)
    return known
  }

  /**
   * What answers a request for a subject's certificate: the subject's own where it is trusted, else the one that another host
   * signed. Private ones and those found wrong are never given.
   */
  find(subject: string): KnownCertificate | undefined {
    const given = this.all.filter(
      ({ certificate, flags }) =>
        certificate.subject === subject && (flags & (CertificateFlag.private | CertificateFlag.error)) === 0
    )
    return (
      given.find(({ certificate, flags }) => isSelfSigned(certificate) && (flags & CertificateFlag.trusted) !== 0) ??
      given.findLast(({ certificate }) => !isSelfSigned(certificate))
    )
  }
}

/** Puts in certificates that another process learned; one that cannot be read is left out. @param learned the newest first */
export const installLearned = (
  cache: CertificateCache,
  learned: readonly { readonly der: Uint8Array; readonly filestamp: number }[]
): void => {
  for (const { der, filestamp } of learned.toReversed()) {
    const certificate = readCertificate(der)
    if (typeof certificate !== "string") cache.install(certificate, filestamp)
  }
}

/** What a certificate says of itself. */
export const flagsOf = ({ claimsTrust, isPrivate }: AutokeyCertificate): number =>
  (claimsTrust ? CertificateFlag.trusted : 0) | (isPrivate ? CertificateFlag.private : 0)
