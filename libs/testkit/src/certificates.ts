/** Certificates for tests, by openssl. Their keys are of P-256, which are made at once. */
import { execFileSync } from "node:child_process"

interface WantedCertificate {
  /** Files that are written. */
  readonly key: string
  readonly certificate: string
  /** As openssl takes it; `/CN=localhost` where it does not matter. */
  readonly subject?: string
  /** Alternative names, such as `DNS:localhost,IP:127.0.0.1`. */
  readonly names?: string
  readonly days?: number
  /** More arguments of `openssl req -x509`, such as who signs in place of the key itself. */
  readonly more?: readonly string[]
}

export const makeCertificate = ({
  key,
  certificate,
  subject = "/CN=localhost",
  names,
  days = 2,
  more = []
}: WantedCertificate): void => {
  const made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate]
  const named = ["-subj", subject, ...(names === undefined ? [] : ["-addext", `subjectAltName=${names}`])]
  execFileSync("openssl", ["req", "-x509", ...made, ...named, "-days", String(days), ...more], { stdio: "ignore" })
}
