/**
 * Certificates for the NATS servers, by the openssl command: an authority that signs nothing else, and a certificate for
 * each server. Servers use theirs towards clients and, checked both ways, among each other.
 */
import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { chmodSync, rmSync, writeFileSync } from "node:fs"
import { isIP } from "node:net"
import { join } from "node:path"

const AUTHORITY_DAYS = 3_650
/** Renew with `--renew` before they end. */
const SERVER_DAYS = 825

/** openssl is missing or refused. */
class CertificateFailure extends Error {
  readonly _tag = "CertificateFailure"
}

const openssl = (args: readonly string[]): void => {
  const { status, error, stderr } = spawnSync("openssl", args, { encoding: "utf8" })
  if (error !== undefined)
    throw new CertificateFailure(`openssl cannot be run (${error.message}): install it, it makes the certificates`)
  if (status !== 0) throw new CertificateFailure(`openssl ${args[0]} failed: ${stderr.trim().split("\n").at(-1)}`)
}

/** A random positive serial number, as openssl takes it (RFC 5280 §4.1.2.2). */
const serial = (): string => `0x40${randomBytes(15).toString("hex")}`

/** Runs openssl with a configuration of our own, so that the machine's cannot add extensions. */
const withConfiguration = (folder: string, lines: readonly string[], run: (file: string) => void): void => {
  const file = join(folder, `openssl-${randomBytes(4).toString("hex")}.cnf`)
  writeFileSync(file, `${lines.join("\n")}\n`, { mode: 0o600 })
  try {
    run(file)
  } finally {
    rmSync(file, { force: true })
  }
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

/** Makes ca.pem and ca.key in the folder. @throws CertificateFailure */
export const makeAuthority = (folder: string): void => {
  const key = join(folder, "ca.key")
  const lines = [
    "[req]",
    "distinguished_name = name",
    "x509_extensions = authority",
    "prompt = no",
    "[name]",
    "CN = Meridian NATS authority",
    "[authority]",
    "basicConstraints = critical, CA:TRUE, pathlen:0",
    "keyUsage = critical, keyCertSign, cRLSign",
    "subjectKeyIdentifier = hash"
  ]
  withConfiguration(folder, lines, (file) =>
    openssl(
      ["req", "-x509", ...NEW_KEY, "-config", file, "-keyout", key, "-out", join(folder, "ca.pem")].concat([
        "-days",
        String(AUTHORITY_DAYS),
        "-sha256",
        "-set_serial",
        serial()
      ])
    )
  )
  chmodSync(key, 0o600)
}

export const isLoopback = (host: string): boolean => host === "::1" || (isIP(host) === 4 && host.startsWith("127."))

/** The NATS client checks certificates by host names only: connected to an address, it takes the host for localhost. */
const alternativeName = (host: string): string => (isLoopback(host) ? `IP:${host}, DNS:localhost` : `DNS:${host}`)

/** Makes NAME.pem and NAME.key, signed by the folder's authority, for a host's name or a loopback address. @throws CertificateFailure */
export const makeServerCertificate = (folder: string, name: string, host: string): void => {
  const key = join(folder, `${name}.key`)
  const request = join(folder, `${name}.csr`)
  const lines = [
    "[req]",
    "distinguished_name = name",
    "prompt = no",
    "[name]",
    `CN = ${name}`,
    "[server]",
    "basicConstraints = critical, CA:FALSE",
    "keyUsage = critical, digitalSignature",
    // clientAuth because a server is the client of the server it opens a route to.
    "extendedKeyUsage = serverAuth, clientAuth",
    `subjectAltName = ${alternativeName(host)}`,
    "authorityKeyIdentifier = keyid"
  ]
  withConfiguration(folder, lines, (file) => {
    openssl(["req", "-new", ...NEW_KEY, "-config", file, "-keyout", key, "-out", request])
    openssl(
      ["x509", "-req", "-in", request, "-CA", join(folder, "ca.pem"), "-CAkey", join(folder, "ca.key")].concat(
        ["-set_serial", serial(), "-days", String(SERVER_DAYS), "-sha256"],
        ["-extfile", file, "-extensions", "server", "-out", join(folder, `${name}.pem`)]
      )
    )
  })
  rmSync(request)
  chmodSync(key, 0o600)
}
