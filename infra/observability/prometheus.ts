/** Debian's Prometheus, from the folder of real peers or the system's, and its configuration for nodes of ours. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { peersFolder } from "@meridian/testkit/real-peers"

/** The alert rules of this folder. */
export const ALERTS = join(import.meta.dirname, "alerts.yml")

/** Undefined where it is not here: `npx node infra/peers/fetch.ts` fetches it. */
export const prometheusProgram = (name: "prometheus" | "promtool"): string | undefined =>
  [join(peersFolder(), "prometheus/usr/bin", name), join("/usr/bin", name)].find((path) => existsSync(path))

interface Scraping {
  /** ADDRESS:PORT of each node's HTTP listener. */
  readonly targets: readonly string[]
  /** Path of the alert rules. */
  readonly rules: string
  /** Between two scrapes, and two looks at the rules. */
  readonly seconds: number
}

export const prometheusConfiguration = ({ targets, rules, seconds }: Scraping): string =>
  [
    "global:",
    `  scrape_interval: ${seconds}s`,
    `  scrape_timeout: ${seconds}s`,
    `  evaluation_interval: ${seconds}s`,
    `rule_files: [${JSON.stringify(rules)}]`,
    "scrape_configs:",
    "  - job_name: meridian",
    "    static_configs:",
    `      - targets: ${JSON.stringify(targets)}`,
    ""
  ].join("\n")

/** Its command line: on loopback, with nothing kept outside the folder. */
export const prometheusArguments = (configuration: string, folder: string, port: number): readonly string[] => [
  `--config.file=${configuration}`,
  `--storage.tsdb.path=${join(folder, "data")}`,
  `--web.listen-address=127.0.0.1:${port}`,
  "--storage.tsdb.retention.time=2d",
  "--log.level=warn"
]

/** What its API answers, `data` alone. @throws where it does not answer, or with an error */
export const askPrometheus = async <A>(port: number, path: string): Promise<A> => {
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)
  const { status, data, error } = (await response.json()) as {
    readonly status: string
    readonly data: A
    readonly error?: string
  }
  if (status !== "success") throw new Error(`Prometheus answered ${error ?? status}`)
  return data
}

export interface Targets {
  readonly activeTargets: readonly { readonly health: string; readonly labels: Readonly<Record<string, string>> }[]
}

export interface Alerts {
  readonly alerts: readonly { readonly state: string; readonly labels: Readonly<Record<string, string>> }[]
}
