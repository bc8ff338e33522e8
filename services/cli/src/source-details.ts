/** A source at length, for `meridian sources --verbose`: what chronyc's `ntpdata`, `sourcestats` and `authdata` show of it. */
import type { SourceReport } from "@meridian/ipc/discipline-report"
import { nameValues, printable } from "./text-table.ts"

type Seconds = (seconds: number, signed?: boolean) => string

const ppm = (value: number | null, deviation: number | null): string =>
  value === null ? "unknown" : `${value.toFixed(3)}${deviation === null ? "" : ` +/- ${deviation.toFixed(3)}`} ppm`

const authentication = ({ authentication: how, detail }: SourceReport, seconds: Seconds): string => {
  switch (how.kind) {
    case "none":
      return "none"
    case "autokey":
      return "Autokey"
    case "symmetric":
      return `symmetric key ${how.key}`
    case "nts": {
      const nts = detail?.nts
      const age =
        nts === null || nts === undefined || nts.exchangedAgo === null ? "" : `, keys ${seconds(nts.exchangedAgo)} old`
      return `NTS, ${how.cookies} cookies of ${nts?.cookieLength ?? 0} bytes, AEAD ${nts?.aead ?? 0}${age}`
    }
  }
}

/** Lines of name and value below the source's own name. */
export const formatSourceDetail = (source: SourceReport, seconds: Seconds): string => {
  const { detail, dropped } = source
  const drops = Object.entries(dropped).map(([reason, count]) => `${reason} ${count}`)
  const rows: readonly (readonly [string, string])[] = [
    ["verdict", `${source.verdict}: ${source.reason}`],
    ["from", detail?.localAddress ?? "not known"],
    ["authentication", authentication(source, seconds)],
    [
      "offset",
      source.offset === null
        ? "unknown"
        : `${seconds(source.offset, true)}, at most ${seconds(source.rootDistance ?? 0)} off`
    ],
    ["delay, jitter", `${seconds(source.delay ?? 0)}, ${seconds(source.jitter ?? 0)}`],
    ["root delay, dispersion", `${seconds(source.rootDelay)}, ${seconds(source.rootDispersion)}`],
    ["frequency", ppm(detail?.frequency ?? null, detail?.frequencyDeviation ?? null)],
    ["samples", `${detail?.samples ?? 0}, the last ${detail?.filter.length ?? 0} over ${seconds(detail?.span ?? 0)}`],
    [
      "packets",
      `${detail?.packetsSent ?? 0} sent, ${detail?.packetsReceived ?? 0} received, ${detail?.samplesTaken ?? 0} of use`
    ],
    ...(drops.length === 0 ? [] : [["dropped", drops.join(", ")] as const])
  ]
  const name =
    source.name === null || source.name === source.address ? source.address : `${source.address} (${source.name})`
  return [printable(name), ...nameValues(rows).map((line) => `  ${line}`)].join("\n")
}
