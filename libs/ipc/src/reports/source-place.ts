/** How a source is named by where it is. */
import type { SourceReport } from "./discipline-report.ts"

const NTP_PORT = 123

/** A source's address, with its port where that is not NTP's own: two servers may be on one address. */
export const sourcePlace = ({ address, port, mode }: Pick<SourceReport, "address" | "port" | "mode">): string =>
  mode === "clock" || port === NTP_PORT || port === undefined
    ? address
    : address.includes(":")
      ? `[${address}]:${port}`
      : `${address}:${port}`
