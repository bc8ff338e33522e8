/**
 * A certificate to try NTS with when none is configured: signed by nobody but itself, for this machine's names, and
 * saying so in its subject. Clients accept it only when they are given the file.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto"
import { existsSync, linkSync, renameSync, rmSync, writeFileSync } from "@meridian/system/files"
import { isIP } from "node:net"
import { join } from "node:path"
import { reasonOf } from "@meridian/system/errno-words"
import { errnoName } from "@meridian/system/native"
import { readRegularFile } from "@meridian/system/regular-file"
import { addressOctets } from "@meridian/udp/socket-address"
import { DEVELOPMENT_CERTIFICATE_NAME } from "@meridian/ipc/nts-ke-report"
import { makeDirectory } from "@meridian/system/make-directory"
import {
  bitString,
  certificateExtension,
  explicit,
  implicit,
  integer,
  objectIdentifier,
  sequence,
  set,
  time,
  utf8String
} from "@meridian/wire/der"
import { CertificateError, type CertificateFiles, parseKey, readCertificate } from "./certificates.ts"

export const DEVELOPMENT_SUBJECT = "Meridian development certificate - not for production"

const DAY = 86_400
const LONGEST_KEY = 1024 * 1024
const VALID_DAYS = 365
/** It is made anew when so little is left that it could run out while in use. */
const RENEW_DAYS = 30

/**
 * The development certificate of a state directory: the one that is there, or a new one. The key file has mode 0600 and
 * stays the same when the certificate is made anew. Several processes may ask at the same time; they end up with one key and
 * one certificate.
 * @param folder made if it is missing
 * @param host this machine's name; left out of the certificate when it is no DNS name
 * @param now Unix seconds
 * @throws CertificateError when a key file is there that cannot be read, or a file cannot be written
 */
export const developmentCertificate = (folder: string, host: string, now: number): CertificateFiles => {
  const files = {
    certificate: join(folder, DEVELOPMENT_CERTIFICATE_NAME),
    key: join(folder, "nts-development-key.pem")
  }
  const names = ["localhost", ...(isDnsName(host) && host !== "localhost" ? [host] : []), "127.0.0.1", "::1"]
  try {
    makeDirectory(folder, 0o755)
    const isMissing = !existsSync(files.certificate)
    if (!isMissing && isFresh(files, names, now)) return files
    makeKey(files.key)
    const pem = selfSigned(parseKey(files, readRegularFile(files.key, LONGEST_KEY).toString("utf8")), names, now)
    if (isMissing) putFirst(files.certificate, pem, 0o644)
    else putInstead(files.certificate, pem, 0o644)
  } catch (error) {
    // What has a name of the system's is said in words; the others have words of their own.
    if (errnoName(error) === "UNKNOWN") throw error
    const what = `the development certificate cannot be made in ${folder}: ${reasonOf(error)}`
    throw new CertificateError(files, `${what}; make room for it there, or name a certificate with \`nts cert\``)
  }
  return files
}

const isFresh = (files: CertificateFiles, names: readonly string[], now: number): boolean => {
  try {
    const { status } = readCertificate(files, now)
    const known = names.every((name) => isIP(name) === 6 || status.names.includes(name))
    return known && status.notAfter - now > RENEW_DAYS * DAY
  } catch {
    return false
  }
}

/** Leaves a key that is there alone. */
const makeKey = (path: string): void => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  putFirst(path, privateKey.export({ type: "pkcs8", format: "pem" }) as string, 0o600)
}

/** Renamed into its place, so that nobody reads half a file. Who has loaded the one before sees the change. */
const putInstead = (path: string, text: string, mode: number): void => {
  const partial = `${path}.${process.pid}`
  try {
    writeFileSync(partial, text, { mode })
    renameSync(partial, path)
  } catch (error) {
    rmSync(partial, { force: true })
    throw error
  }
}

/**
 * Makes a file whole, unless there is one. A link, unlike a rename, never replaces what another process put there first:
 * processes that start together show one certificate, which is what a client that trusts this file needs.
 */
const putFirst = (path: string, text: string, mode: number): void => {
  const partial = `${path}.${process.pid}`
  try {
    writeFileSync(partial, text, { mode })
    linkSync(partial, path)
  } catch (error) {
    if (errnoName(error) !== "EEXIST") throw error
  } finally {
    rmSync(partial, { force: true })
  }
}

const isDnsName = (name: string): boolean =>
  name.length <= 253 &&
  isIP(name) === 0 &&
  /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i.test(name)

const OID = {
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  commonName: "2.5.4.3",
  subjectAlternativeName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  keyUsage: "2.5.29.15",
  extendedKeyUsage: "2.5.29.37",
  serverAuthentication: "1.3.6.1.5.5.7.3.1"
} as const

/**
 * A self-signed X.509 certificate (RFC 5280 §4.1) for a TLS server, PEM.
 * @param key of the curve P-256
 * @param names DNS names and numeric addresses
 * @param now Unix seconds; it is valid from a day earlier, because a client that asks for the time may be slow
 */
export const selfSigned = (key: KeyObject, names: readonly string[], now: number): string => {
  const algorithm = sequence(objectIdentifier(OID.ecdsaWithSha256))
  const name = sequence(set(sequence(objectIdentifier(OID.commonName), utf8String(DEVELOPMENT_SUBJECT))))
  const toBeSigned = sequence(
    explicit(0, integer(Uint8Array.of(2))),
    integer(randomBytes(16)),
    algorithm,
    name,
    sequence(time(now - DAY), time(now + VALID_DAYS * DAY)),
    name,
    createPublicKey(key).export({ type: "spki", format: "der" }),
    explicit(3, sequence(...extensions(names)))
  )
  const der = sequence(toBeSigned, algorithm, bitString(sign("sha256", toBeSigned, key)))
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? []
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n")
}

const extensions = (names: readonly string[]): readonly Uint8Array[] => [
  certificateExtension(OID.subjectAlternativeName, sequence(...names.map(generalName))),
  // No certification authority: whoever trusts this file trusts this one server and nothing it could sign.
  certificateExtension(OID.basicConstraints, sequence(), "critical"),
  // digitalSignature, the first of the bits.
  certificateExtension(OID.keyUsage, bitString(Uint8Array.of(0x80), 7), "critical"),
  certificateExtension(OID.extendedKeyUsage, sequence(objectIdentifier(OID.serverAuthentication)))
]

/** dNSName is [2], iPAddress [7]. */
const generalName = (name: string): Uint8Array => {
  return isIP(name) === 0 ? implicit(2, Buffer.from(name, "ascii")) : implicit(7, addressOctets(name))
}
