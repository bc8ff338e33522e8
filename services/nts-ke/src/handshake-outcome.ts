/** Why a TLS handshake failed. */
import type { ConnectionOutcome } from "@meridian/ipc/nts-ke-report"

const OUTCOMES: Readonly<Record<string, ConnectionOutcome>> = {
  ERR_TLS_HANDSHAKE_TIMEOUT: "handshake-timeout",
  ERR_SSL_NO_APPLICATION_PROTOCOL: "other-alpn",
  ERR_SSL_UNSUPPORTED_PROTOCOL: "tls-version",
  ERR_SSL_VERSION_TOO_LOW: "tls-version",
  ERR_SSL_HTTP_REQUEST: "not-tls",
  ERR_SSL_HTTPS_PROXY_REQUEST: "not-tls",
  ERR_SSL_WRONG_VERSION_NUMBER: "not-tls",
  ERR_SSL_DATA_LENGTH_TOO_LONG: "not-tls",
  ERR_SSL_UNEXPECTED_MESSAGE: "not-tls",
  ECONNRESET: "closed-in-handshake",
  EPIPE: "closed-in-handshake"
}

/**
 * @param code as errors of node:tls carry it: ERR_SSL_ and OpenSSL's reason. Never more of an error than this: its text may
 * hold what the client sent
 */
export const handshakeOutcome = (code: string): ConnectionOutcome => {
  // Of OpenSSL's errors, those that tell of an alert which the client sent: it does not like our certificate, mostly.
  if (/^ERR_SSL_(?:SSLV3|TLSV1|TLSV13)_ALERT_/.test(code)) return "client-alert"
  return OUTCOMES[code] ?? "handshake-failed"
}
