/** How TLS is spoken, and the server object that speaks it with a given set of certificates. */
import { constants } from "node:crypto"
import { createSecureContext, createServer, type SecureContext, type SecureContextOptions, type Server } from "node:tls"
import { ALPN } from "@meridian/wire/nts-ke"
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

/** Everything a context needs: one that is made from less falls back to Node's defaults, TLS 1.2 among them. */
const contextOptions = (certificate: LoadedCertificate, settings: TlsSettings): SecureContextOptions => ({
  cert: certificate.chain,
  key: certificate.key,
  minVersion: settings.minimum,
  maxVersion: settings.maximum,
  ciphers: settings.minimum === "TLSv1.2" ? `${settings.cipherSuites}:${TLS12_SUITES}` : settings.cipherSuites,
  ecdhCurve: settings.curves,
  // No session is ever resumed: key establishment happens once in days, and each needs fresh keys.
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION
})

/**
 * A TLS server that listens nowhere: connections are handed to it with `emit("connection", socket)`. New certificates
 * mean a new server; connections of an old one go on undisturbed.
 *
 * A client that names no server, or one that no certificate is for, gets the first certificate. A wrong ALPN is refused
 * by TLS itself; whether there was one at all is for the listener to ask.
 * @param certificates at least one
 * @throws Error of OpenSSL for a cipher suite or curve it does not know
 */
export const secureServer = (certificates: readonly LoadedCertificate[], settings: TlsSettings): Server => {
  const [first] = certificates
  if (first === undefined) throw new RangeError("expected at least one certificate, found none")
  const contexts = certificates.map((certificate) => createSecureContext(contextOptions(certificate, settings)))
  return createServer({
    ...contextOptions(first, settings),
    ALPNProtocols: [ALPN],
    handshakeTimeout: settings.handshakeSeconds * 1000,
    ...(certificates.length === 1
      ? {}
      : {
          SNICallback: (name: string, done: (error: Error | null, context?: SecureContext) => void): void => {
            const chosen = chooseCertificate(certificates, name)
            done(null, contexts[chosen === undefined ? 0 : certificates.indexOf(chosen)])
          }
        })
  })
}

/** The certificate for a server name: one that has it literally before one that has a wildcard for it. */
export const chooseCertificate = (
  certificates: readonly LoadedCertificate[],
  name: string
): LoadedCertificate | undefined =>
  certificates.find((certificate) => certificate.covers(name, "literally")) ??
  certificates.find((certificate) => certificate.covers(name, "by wildcard"))
