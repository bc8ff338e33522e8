/** Files of other programs as an ntp.conf. */
export { convertChrony, type Files } from "./convert/chrony.ts"
export type { Conversion } from "./convert/conversion.ts"
export { convertNtpdRs } from "./convert/ntpd-rs.ts"
