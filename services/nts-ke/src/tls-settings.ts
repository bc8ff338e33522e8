/** How TLS is spoken, and with which certificate; tls-port.ts says by whom. */
import type { LoadedCertificate } from "./certificates.ts"

export type TlsVersion = "TLSv1.2" | "TLSv1.3"

export interface TlsSettings {
  readonly minimum: TlsVersion
  readonly maximum: TlsVersion
  /** OpenSSL names separated by colons, the preferred one first. */
  readonly cipherSuites: string
  /** OpenSSL names separated by colons, the preferred one first. */
  readonly curves: string
  /** How long a client may take from connecting to the end of its handshake. */
  readonly handshakeSeconds: number
}

/**
 * RFC 8915 §3 asks for TLS 1.3. AES-128-GCM and X25519 cost a server least; the other suites and curves stay for clients
 * that have no choice.
 */
export const defaultTlsSettings: TlsSettings = {
  minimum: "TLSv1.3",
  maximum: "TLSv1.3",
  cipherSuites: "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
  curves: "X25519:P-256:P-384",
  handshakeSeconds: 3
}

/** For a minimum of TLS 1.2: forward secrecy and AEADs only (RFC 8915 §3, BCP 195). */
const TLS12_SUITES =
  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"

/** OpenSSL takes the names of TLS 1.3 and those of TLS 1.2 apart. */
export const cipherNames = (
  settings: TlsSettings
): {
  /** of TLS 1.3 */
  readonly cipherSuites: string
  /** of TLS 1.2; empty where it is not spoken */
  readonly cipherList: string
} => {
  const names = settings.cipherSuites.split(":").filter((name) => name !== "")
  const older = names.filter((name) => !name.startsWith("TLS_"))
  if (settings.minimum === "TLSv1.2") older.push(TLS12_SUITES)
  return { cipherSuites: names.filter((name) => name.startsWith("TLS_")).join(":"), cipherList: older.join(":") }
}

/** The certificate for a server name: one that has it literally before one that has a wildcard for it. */
export const chooseCertificate = (
  certificates: readonly LoadedCertificate[],
  name: string
): LoadedCertificate | undefined =>
  certificates.find((certificate) => certificate.covers(name, "literally")) ??
  certificates.find((certificate) => certificate.covers(name, "by wildcard"))
