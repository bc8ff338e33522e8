/**
 * The reference identifier (RFC 5905 §7.3): four ASCII characters at stratum 0 (a kiss code) and 1 (a reference clock), an
 * IPv4 address or the first four bytes of the MD5 of an IPv6 address above that.
 */

/** The 32 bits of up to four ASCII characters, padded with zeros on the right: "LOCL", "GPS". */
export const referenceIdFromText = (text: string): number => {
  let value = 0
  for (let i = 0; i < 4; i += 1) value = (value << 8) | (i < text.length ? text.charCodeAt(i) & 0x7f : 0)
  return value >>> 0
}

/** The characters of a reference identifier, or undefined when they are not printable ASCII padded with zeros. */
export const referenceIdText = (referenceId: number): string | undefined => {
  const bytes = [24, 16, 8, 0].map((shift) => (referenceId >>> shift) & 0xff)
  const end = bytes.findIndex((byte) => byte === 0)
  const used = end < 0 ? bytes : bytes.slice(0, end)
  const printable = used.length > 0 && used.every((byte) => byte > 0x20 && byte < 0x7f)
  const padded = end < 0 || bytes.slice(end).every((byte) => byte === 0)
  return printable && padded ? String.fromCharCode(...used) : undefined
}

/** The 127.127.1.0 of ntp.conf: what a server whose reference is its own clock shows, as classic ntpd does. */
export const LOCAL_CLOCK_REFERENCE_ID = 0x7f7f0100

/** How people write a reference identifier: characters at stratum 0 and 1, dotted quad otherwise. */
export const formatReferenceId = (referenceId: number, stratum: number): string =>
  (stratum <= 1 ? referenceIdText(referenceId) : undefined) ??
  [24, 16, 8, 0].map((shift) => (referenceId >>> shift) & 0xff).join(".")
