/** Why a field was not believed, by the reference's numbers and words: they stand in cryptostats. */
import { type AutokeyField, fieldWord } from "@meridian/wire/autokey-fields"

const exchangeFaults = {
  length: { code: 0x101, text: "bad_field_format_or_length" },
  timestamp: { code: 0x102, text: "bad_timestamp" },
  filestamp: { code: 0x103, text: "bad_filestamp" },
  "public-key": { code: 0x104, text: "bad_or_missing_public_key" },
  digest: { code: 0x105, text: "unsupported_digest_type" },
  "identity-type": { code: 0x106, text: "unsupported_identity_type" },
  "signature-length": { code: 0x107, text: "bad_signature_length" },
  signature: { code: 0x108, text: "signature_not_verified" },
  "certificate-signature": { code: 0x109, text: "certificate_not_verified" },
  "certificate-period": { code: 0x10a, text: "host_certificate_expired" },
  cookie: { code: 0x10b, text: "bad_or_missing_cookie" },
  "leap-seconds": { code: 0x10c, text: "bad_or_missing_leapseconds" },
  certificate: { code: 0x10d, text: "bad_or_missing_certificate" },
  identity: { code: 0x10e, text: "bad_or_missing_group key" },
  protocol: { code: 0x10f, text: "protocol_error" }
} as const
export type ExchangeFault = keyof typeof exchangeFaults

/** The line of cryptostats about a field that was not believed. */
export const faultLine = (field: AutokeyField, fault: ExchangeFault): string => {
  const { code, text } = exchangeFaults[fault]
  const word = fieldWord(field).toString(16).padStart(8, "0")
  return `${word} ${field.associationId} ${code.toString(16)} ${text}`
}
