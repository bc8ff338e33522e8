/**
 * The Grafana dashboard of Meridian nodes, built with the types that Grafana makes from its own schema.
 *
 *   npx node infra/observability/dashboard.ts            writes grafana-dashboard.json beside this file
 *   npx node infra/observability/dashboard.ts --check    exit code 1 where that file is not what this one makes
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { GraphDrawStyle, StackingMode } from "@grafana/grafana-foundation-sdk/common"
import * as common from "@grafana/grafana-foundation-sdk/common"
import {
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh
} from "@grafana/grafana-foundation-sdk/dashboard"
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus"
import { PanelBuilder as StatPanel } from "@grafana/grafana-foundation-sdk/stat"
import { PanelBuilder as TablePanel } from "@grafana/grafana-foundation-sdk/table"
import { PanelBuilder as TimePanel } from "@grafana/grafana-foundation-sdk/timeseries"

const FILE = join(import.meta.dirname, "grafana-dashboard.json")
const SOURCE = { type: "prometheus", uid: "${source}" }
/** Grafana divides a row into 24. */
const [WIDE, HALF, SMALL] = [24, 12, 6]
const HEIGHT = 8
const SMALL_HEIGHT = 4

interface Plot {
  readonly title: string
  /** What it says, for whoever does not know the metric. */
  readonly says: string
  /** In Grafana's words: "s", "reqps", "bytes", "short". */
  readonly unit: string
  readonly lines: readonly (readonly [expression: string, legend: string])[]
  readonly isStacked?: boolean
}

const query = (expression: string, legend: string, place: number): DataqueryBuilder =>
  new DataqueryBuilder()
    .expr(expression)
    .legendFormat(legend)
    .refId(String.fromCodePoint(65 + place))
    .datasource(SOURCE)

const plot = ({ title, says, unit, lines, isStacked = false }: Plot, span: number): TimePanel => {
  const panel = new TimePanel()
    .title(title)
    .description(says)
    .unit(unit)
    .datasource(SOURCE)
    .span(span)
    .height(HEIGHT)
    .drawStyle(GraphDrawStyle.Line)
    .fillOpacity(isStacked ? 30 : 0)
  for (const [place, [expression, legend]] of lines.entries()) panel.withTarget(query(expression, legend, place))
  return isStacked ? panel.stacking(new common.StackingConfigBuilder().mode(StackingMode.Normal)) : panel
}

const figure = (title: string, says: string, unit: string, expression: string): StatPanel =>
  new StatPanel()
    .title(title)
    .description(says)
    .unit(unit)
    .datasource(SOURCE)
    .span(SMALL)
    .height(SMALL_HEIGHT)
    .withTarget(query(expression, "{{instance}}", 0))

const list = (title: string, says: string, expression: string): TablePanel =>
  new TablePanel()
    .title(title)
    .description(says)
    .datasource(SOURCE)
    .span(WIDE)
    .height(HEIGHT)
    .withTarget(query(expression, "", 0).instant().format(PromQueryFormat.Table))

const OF = 'instance=~"$instance"'
const RATE = "[$__rate_interval]"

/** Every panel, by row. */
const rows = [
  {
    title: "At a glance",
    panels: [
      figure("Ready", "1 while traffic may be sent there; /readyz has the reasons.", "short", `meridian_ready{${OF}}`),
      figure("Bound", "The most that served time may be off by.", "s", `meridian_clock_error_bound_seconds{${OF}}`),
      figure("Replies", "A second.", "reqps", `sum by (instance) (rate(meridian_replies_sent_total{${OF}}${RATE}))`),
      figure(
        "Lost",
        "Requests that the kernel dropped, a second: too few workers or cores.",
        "reqps",
        `sum by (instance) (rate(meridian_receive_queue_overflows_total{${OF}}${RATE}))`
      )
    ]
  },
  {
    title: "Clock",
    panels: [
      plot(
        {
          title: "Offset and bound",
          says: "The best estimate of the error of the system's clock, and the bound that clients are told of served time.",
          unit: "s",
          lines: [
            [`meridian_clock_offset_seconds{${OF}}`, "{{instance}} offset"],
            [`meridian_clock_error_bound_seconds{${OF}}`, "{{instance}} bound"],
            [`-meridian_clock_error_bound_seconds{${OF}}`, "{{instance}} bound below"]
          ]
        },
        HALF
      ),
      plot(
        {
          title: "Frequency",
          says: "How much faster the system's clock would be if nobody corrected it.",
          unit: "short",
          lines: [[`meridian_clock_frequency_ratio{${OF}} * 1e6`, "{{instance}} ppm"]]
        },
        HALF
      ),
      list("Sources", "Every source and what the node makes of it.", `meridian_source_info{${OF}}`),
      plot(
        {
          title: "Offset of sources",
          says: "Their time less served time.",
          unit: "s",
          lines: [[`meridian_source_offset_seconds{${OF}}`, "{{instance}} {{source}}"]]
        },
        HALF
      ),
      plot(
        {
          title: "Reach of sources",
          says: "The share of the last eight requests that were answered.",
          unit: "percentunit",
          lines: [[`meridian_source_reach_ratio{${OF}}`, "{{instance}} {{source}}"]]
        },
        HALF
      )
    ]
  },
  {
    title: "Traffic",
    panels: [
      plot(
        {
          title: "Replies by outcome",
          says: "Plain, keyed, NTS, kisses.",
          unit: "reqps",
          lines: [[`sum by (outcome) (rate(meridian_replies_total{${OF}}${RATE})) > 0`, "{{outcome}}"]],
          isStacked: true
        },
        HALF
      ),
      plot(
        {
          title: "Drops by reason",
          says: "Requests that were not answered.",
          unit: "reqps",
          lines: [[`sum by (reason) (rate(meridian_drops_total{${OF}}${RATE})) > 0`, "{{reason}}"]],
          isStacked: true
        },
        HALF
      ),
      plot(
        {
          title: "Requests by version and mode",
          says: "As the headers say.",
          unit: "reqps",
          lines: [
            [
              `sum by (version, mode) (rate(meridian_requests_total{${OF}}${RATE}))`,
              "version {{version}} mode {{mode}}"
            ]
          ],
          isStacked: true
        },
        HALF
      ),
      plot(
        {
          title: "Share of workers",
          says: "The kernel spreads clients over them by address.",
          unit: "reqps",
          lines: [[`rate(meridian_requests_received_total{${OF}}${RATE})`, "{{instance}} {{worker}}"]]
        },
        HALF
      ),
      plot(
        {
          title: "Batches",
          says: "How many requests one receive call finds waiting: half of the calls find fewer, 99 % fewer.",
          unit: "short",
          lines: [0.5, 0.99].map((share) => [
            `histogram_quantile(${share}, sum by (le, instance) (rate(meridian_batch_size_bucket{${OF}}${RATE})))`,
            `{{instance}} ${share * 100} %`
          ])
        },
        HALF
      ),
      plot(
        {
          title: "Batches in hand",
          says: "From receiving requests to sending their replies: half of the batches take less, 99 % take less.",
          unit: "s",
          lines: [0.5, 0.99].map((share) => [
            `histogram_quantile(${share}, sum by (le, instance) (rate(meridian_batch_duration_seconds_bucket{${OF}}${RATE})))`,
            `{{instance}} ${share * 100} %`
          ])
        },
        HALF
      )
    ]
  },
  {
    title: "NTS and keys",
    panels: [
      plot(
        {
          title: "Key establishment",
          says: "Handshakes a second by how they ended.",
          unit: "reqps",
          lines: [[`sum by (result) (rate(meridian_nts_ke_handshakes_total{${OF}}${RATE}))`, "{{result}}"]],
          isStacked: true
        },
        HALF
      ),
      plot(
        {
          title: "Cookies by the age of their key",
          says: "Clients that come with cookies under older generations.",
          unit: "reqps",
          lines: [[`sum by (age) (rate(meridian_nts_cookies_opened_total{${OF}}${RATE}))`, "{{age}}"]],
          isStacked: true
        },
        HALF
      ),
      plot(
        {
          title: "Newest generation of each node",
          says: "All nodes of a cluster have the same, but for moments.",
          unit: "short",
          lines: [[`meridian_nts_master_key_newest_generation{${OF}}`, "{{instance}}"]]
        },
        HALF
      ),
      plot(
        {
          title: "Until the certificate ends",
          says: "Of each certificate that key establishment shows.",
          unit: "s",
          lines: [[`meridian_nts_certificate_expiry_timestamp_seconds{${OF}} - time()`, "{{instance}} {{names}}"]]
        },
        HALF
      )
    ]
  },
  {
    title: "Fleet and processes",
    panels: [
      plot(
        {
          title: "Events not folded in yet",
          says: "How far each node is behind the event log.",
          unit: "short",
          lines: [[`meridian_event_log_lag_events{${OF}}`, "{{instance}}"]]
        },
        HALF
      ),
      plot(
        {
          title: "Who leads",
          says: "1 of the node that mints keys.",
          unit: "short",
          lines: [[`meridian_cluster_leading{${OF}}`, "{{instance}}"]]
        },
        HALF
      ),
      plot(
        {
          title: "Memory",
          says: "Resident, of each process.",
          unit: "bytes",
          lines: [[`meridian_process_resident_memory_bytes{${OF}}`, "{{instance}} {{process}} {{index}}"]]
        },
        HALF
      ),
      plot(
        {
          title: "Processor time",
          says: "Seconds a second, of each process.",
          unit: "percentunit",
          lines: [[`rate(meridian_process_cpu_seconds_total{${OF}}${RATE})`, "{{instance}} {{process}} {{index}}"]]
        },
        HALF
      )
    ]
  }
]

export const dashboard = (): Dashboard => {
  const board = new DashboardBuilder("Meridian")
    .uid("meridian-nodes")
    .description("Nodes of Meridian: clock, sources, traffic, keys, fleet")
    .tags(["meridian", "ntp"])
    .timezone("utc")
    .refresh("10s")
    .time({ from: "now-1h", to: "now" })
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(new DatasourceVariableBuilder("source").label("Prometheus").type("prometheus"))
    .withVariable(
      new QueryVariableBuilder("instance")
        .label("Node")
        .datasource(SOURCE)
        .query("label_values(meridian_build_info, instance)")
        .refresh(VariableRefresh.OnTimeRangeChanged)
        .multi(true)
        .includeAll(true)
        .allValue(".*")
    )
  for (const { title, panels } of rows) {
    board.withRow(new RowBuilder(title))
    for (const panel of panels) board.withPanel(panel)
  }
  return board.build()
}

/** The file's text. */
export const dashboardText = (): string => `${JSON.stringify(dashboard(), null, 2)}\n`

if (import.meta.main) {
  if (!process.argv.includes("--check")) writeFileSync(FILE, dashboardText())
  else if (readFileSync(FILE, "utf8") !== dashboardText()) {
    process.stderr.write(`${FILE} is not what dashboard.ts makes: run npx node infra/observability/dashboard.ts\n`)
    process.exitCode = 1
  }
}
