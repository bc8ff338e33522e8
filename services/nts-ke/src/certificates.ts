/** One certificate and its key: read, checked, described. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto"
import { createSecureContext } from "node:tls"
import { commandsToRead } from "@meridian/system/commands-to-read"
import { FileNotRead, readRegularFile } from "@meridian/system/regular-file"
import type { CertificateStatus } from "@meridian/ipc/nts-ke-report"

/** Paths of PEM files: the certificate followed by its intermediates, and the private key, unencrypted. */
export interface CertificateFiles {
  readonly certificate: string
  readonly key: string
  /** What root types to let this process read them, as far as the supervisor knew. */
  readonly mend?: string
}

export interface LoadedCertificate {
  readonly files: CertificateFiles
  /** The files' text. */
  readonly chain: string
  readonly key: string
  readonly status: CertificateStatus
  /** What an operator should know though the certificate is used: that it is out of date. */
  readonly warning: string | undefined
  /** The same at another moment, Unix seconds. */
  readonly warningAt: (now: number) => string | undefined
  /** Whether it is for this DNS name; "by wildcard" includes names that match literally. */
  readonly covers: (name: string, how: "literally" | "by wildcard") => boolean
}

/** Files that cannot be a server's certificate and key. */
export class CertificateError extends Error {
  readonly _tag = "CertificateError"
  readonly files: CertificateFiles

  constructor(files: CertificateFiles, what: string) {
    super(what)
    this.files = files
  }
}

/**
 * Reads and checks a pair.
 * @param now Unix seconds, for the dates
 * @throws CertificateError, which names the file, what was found, and what to do
 */
export const readCertificate = (files: CertificateFiles, now: number): LoadedCertificate => {
  const chain = readText(files, "certificate")
  const keyText = readText(files, "key")
  const parsed = parseChain(files, chain)
  const [certificate] = parsed
  if (certificate === undefined)
    throw new CertificateError(
      files,
      `expected a PEM certificate in ${files.certificate}, found none: give the chain, the server's own first`
    )
  const bytes = parsed.reduce((sum, each) => sum + each.raw.length, 0)
  if (bytes > MOST_CHAIN_BYTES)
    throw new CertificateError(
      files,
      `expected the server's certificate and those that lead to its issuer in ${files.certificate}, found ${bytes} bytes of certificates, of which clients take ${MOST_CHAIN_BYTES}: leave the others out`
    )
  const key = parseKey(files, keyText)
  if (!certificate.checkPrivateKey(key))
    throw new CertificateError(
      files,
      parsed.some((other) => other.checkPrivateKey(key))
        ? `expected the server's own certificate first in ${files.certificate}, found it after another: put those that lead to its issuer behind it`
        : `expected the key in ${files.key} to belong to the certificate in ${files.certificate}, found another: put the matching pair in place`
    )
  tryInTls(files, chain, keyText)
  return {
    files,
    chain,
    key: keyText,
    status: {
      names: [...alternativeNames(certificate, "DNS"), ...alternativeNames(certificate, "IP Address")],
      notBefore: certificate.validFromDate.getTime() / 1000,
      notAfter: certificate.validToDate.getTime() / 1000,
      fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase()
    },
    warning: dateWarning(files, certificate.validFromDate, certificate.validToDate, now),
    warningAt: (moment) => dateWarning(files, certificate.validFromDate, certificate.validToDate, moment),
    covers: coverage(alternativeNames(certificate, "DNS"))
  }
}

/**
 * Matches DNS names as RFC 6125 §6.4 has it: whole labels, in any case, `*` for exactly the first label. By look-up and not
 * by X509Certificate.checkHost, because every handshake asks.
 */
const coverage = (names: readonly string[]): LoadedCertificate["covers"] => {
  const known = new Set(names.map((name) => name.toLowerCase()))
  return (name, how) => {
    const lower = name.toLowerCase()
    if (known.has(lower) && !lower.startsWith("*")) return true
    const dot = lower.indexOf(".")
    return how === "by wildcard" && dot > 0 && known.has(`*${lower.slice(dot)}`)
  }
}

/** OpenSSL's clients take 100 KiB with what TLS puts around each. */
const MOST_CHAIN_BYTES = 98_304

/** What the TLS library takes of a text. */
const MOST_BYTES = 1024 * 1024

/** Without the supervisor's word what is behind a closed folder is not to be seen. */
const howToRead = (files: CertificateFiles, which: "certificate" | "key"): string => {
  const reader = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }
  const commands = files.mend ?? commandsToRead(files[which], reader).join(" && ")
  return commands === "" ? "check who may read it" : `as root, ${commands}`
}

const readText = (files: CertificateFiles, which: "certificate" | "key"): string => {
  try {
    const text = readRegularFile(files[which], MOST_BYTES).toString("utf8")
    if (!text.includes("\0")) return text
  } catch (error) {
    if (!(error instanceof FileNotRead)) throw error
    throw new CertificateError(
      files,
      `expected to read the ${which} from ${files[which]}, found that ${error.why}: ${error.reason === "EACCES" ? howToRead(files, which) : "check the path"}`
    )
  }
  throw new CertificateError(
    files,
    `expected PEM text in ${files[which]}, found binary data: convert or replace the file`
  )
}

/** A pair that TLS will not have, such as one with a short key, is found here, where its name is known; others go on. */
const tryInTls = (files: CertificateFiles, chain: string, key: string): void => {
  try {
    createSecureContext({ cert: chain, key })
  } catch (error) {
    // OpenSSL's reasons are fixed sentences; the rest of the error is not passed on.
    const reason = error instanceof Error && "reason" in error ? String(error.reason) : "no reason given"
    throw new CertificateError(
      files,
      `expected a certificate and key that TLS can use in ${files.certificate} and ${files.key}, found: ${reason}`
    )
  }
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

/** All of the chain is parsed, so that a broken intermediate is found here and not by a client. */
const parseChain = (files: CertificateFiles, text: string): readonly X509Certificate[] =>
  (text.match(PEM_CERTIFICATE) ?? []).map((pem, index) => {
    try {
      return new X509Certificate(pem)
    } catch {
      throw new CertificateError(
        files,
        `expected PEM certificates in ${files.certificate}, found one that cannot be read (number ${index + 1}): replace the file`
      )
    }
  })

/**
 * A private key from PEM text. Throws CertificateError; OpenSSL's own error is not passed on, because it could quote the
 * file.
 */
export const parseKey = (files: CertificateFiles, text: string): KeyObject => {
  try {
    return createPrivateKey(text)
  } catch {
    const found = text.includes("ENCRYPTED")
      ? "one with a passphrase: take that off, as with `openssl pkey`"
      : "something else: replace the file"
    throw new CertificateError(files, `expected an unencrypted PEM private key in ${files.key}, found ${found}`)
  }
}

/** Entries of the subject alternative name, of one kind. Names with characters that need quoting are left out. */
const alternativeNames = (certificate: X509Certificate, kind: "DNS" | "IP Address"): readonly string[] =>
  (certificate.subjectAltName ?? "")
    .split(", ")
    .filter((entry) => entry.startsWith(`${kind}:`) && !entry.includes('"'))
    .map((entry) => entry.slice(kind.length + 1))

const dateWarning = (files: CertificateFiles, from: Date, to: Date, now: number): string | undefined => {
  if (now * 1000 >= to.getTime())
    return `the certificate in ${files.certificate} expired on ${to.toISOString()}: clients will refuse it, renew it`
  if (now * 1000 < from.getTime())
    return `the certificate in ${files.certificate} is valid only from ${from.toISOString()}: clients will refuse it, check the date and this machine's clock`
  return undefined
}
