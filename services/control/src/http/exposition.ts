/**
 * Families of metrics as text: Prometheus's format 0.0.4 and OpenMetrics 1.0. Our own, since the metrics libraries keep
 * counters of their own and add to them, where each of these is a figure of one picture.
 */

export type Labels = Readonly<Record<string, string | number>>

export interface Sample {
  /** Of a histogram: `_bucket`, `_sum`, `_count`. */
  readonly suffix?: string
  readonly labels?: Labels
  readonly value: number
}

export interface Family {
  /** Without `_total` and `_info`, which the format adds. */
  readonly name: string
  readonly kind: "counter" | "gauge" | "info" | "histogram"
  /** One line without quotes and backslashes. */
  readonly help: string
  /** A family without any is left out. */
  readonly samples: readonly Sample[]
}

type Format = "prometheus" | "openmetrics"

export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
}

/** What an Accept header asks for. */
export const formatFor = (accept: string | undefined): Format =>
  accept?.includes("application/openmetrics-text") === true ? "openmetrics" : "prometheus"

export const counter = (name: string, help: string, samples: readonly Sample[]): Family => ({
  name,
  kind: "counter",
  help,
  samples
})

/** Figures that are not known are left out. */
export const gauge = (
  name: string,
  help: string,
  samples: readonly { readonly labels?: Labels; readonly value: number | null | undefined }[]
): Family => ({ name, kind: "gauge", help, samples: samples.filter((one): one is Sample => isKnown(one.value)) })

const isKnown = (value: number | null | undefined): value is number => value !== null && value !== undefined

export const info = (name: string, help: string, labels: readonly Labels[]): Family => ({
  name,
  kind: "info",
  help,
  samples: labels.map((one) => ({ labels: one, value: 1 }))
})

/** @param bounds upper bounds of the bins, @param counts of each bin alone */
export const histogram = (
  name: string,
  help: string,
  {
    bounds,
    counts,
    sum
  }: { readonly bounds: readonly number[]; readonly counts: readonly number[]; readonly sum: number }
): Family => {
  let below = 0
  const buckets = bounds.map((bound, bin) => {
    below += counts[bin] ?? 0
    return { suffix: "_bucket", labels: { le: Number.isInteger(bound) ? `${bound}.0` : String(bound) }, value: below }
  })
  // What lies beyond the last bound is counted behind it.
  const whole = counts.reduce((total, one) => total + one, 0)
  const all = [{ suffix: "_bucket", labels: { le: "+Inf" }, value: whole }]
  return {
    name,
    kind: "histogram",
    help,
    samples: [...buckets, ...all, { suffix: "_sum", value: sum }, { suffix: "_count", value: whole }]
  }
}

/** Counts by name as samples with one label. */
export const byLabel = (
  label: string,
  counts: Readonly<Record<string, number>>,
  more: Labels = {}
): readonly Sample[] => Object.entries(counts).map(([name, value]) => ({ labels: { ...more, [label]: name }, value }))

export const expose = (families: readonly Family[], format: Format): string => {
  const text = families.filter(({ samples }) => samples.length > 0).map((family) => familyText(family, format))
  return text.join("") + (format === "openmetrics" ? "# EOF\n" : "")
}

const SUFFIXES = { counter: "_total", info: "_info", gauge: "", histogram: "" } as const

const familyText = ({ name, kind, help, samples }: Family, format: Format): string => {
  const full = name + SUFFIXES[kind]
  // OpenMetrics names the family, Prometheus's own format the samples; and it has no infos.
  const titled = format === "openmetrics" ? name : full
  const type = format === "prometheus" && kind === "info" ? "gauge" : kind
  return [
    `# HELP ${titled} ${help}\n# TYPE ${titled} ${type}\n`,
    ...samples.map(
      ({ suffix = "", labels = {}, value }) => `${full}${suffix}${labelText(labels)} ${numberText(value)}\n`
    )
  ].join("")
}

const labelText = (labels: Labels): string => {
  const entries = Object.entries(labels)
  return entries.length === 0
    ? ""
    : `{${entries.map(([name, value]) => `${name}="${escapeText(String(value))}"`).join(",")}}`
}

const escapeText = (text: string): string =>
  text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"')

const numberText = (value: number): string =>
  value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value)
