/**
 * A fleet under load: `npm run loadtest -- NAME [--seconds N] [--rate N] [--json FILE] [--html FILE]`, `-- list` for the names.
 *
 * Starts nodes behind one address in network namespaces (root, iproute2, BIRD and nats-server of infra/peers), loads them through k6
 * (`npm run loadtest:build`), has happen what the scenario says, and judges: what was lost, how late, how wrong.
 *
 * --seconds: how long the load lasts. --rate: requests a second in place of half of what the last ramp found (10,000 where there was
 * none). --json, --html: where figures and report go; .meridian/loadtest/NAME.json and .html where nothing is said.
 *
 * Exit codes: 0 every bound was kept, 1 one was not, 2 wrong arguments, or something that is needed is missing.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { K6 } from "./fleet/k6-run.ts"
import { play, type Played } from "./fleet/play.ts"
import { reportPage } from "./fleet/report.ts"
import { scenarios } from "./scenarios/all.ts"

const USAGE = `usage: npm run loadtest -- NAME [--seconds N] [--rate N] [--json FILE] [--html FILE]
${scenarios.map(({ name, shows }) => `  ${name.padEnd(16)} ${shows}`).join("\n")}
`
const FOLDER = resolve(import.meta.dirname, "../.meridian/loadtest")
const SATURATION = join(FOLDER, "saturation")
const DEFAULT_RATE = 10_000
const MOST = 10_000_000

/** Its message is all that is said. */
class Unfit extends Error {}

const read = () => {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        seconds: { type: "string" },
        rate: { type: "string" },
        json: { type: "string" },
        html: { type: "string" },
        help: { type: "boolean", default: false }
      }
    })
  } catch (error) {
    throw new Unfit(error instanceof Error ? error.message : String(error))
  }
}

const count = (name: string, text: string | undefined, otherwise: number): number => {
  if (text === undefined) return otherwise
  const value = Number(text)
  if (Number.isInteger(value) && value > 0 && value <= MOST) return value
  throw new Unfit(`expected --${name} with a whole number from 1 to ${MOST}, found ${JSON.stringify(text)}`)
}

const halfOfSaturation = (): number =>
  existsSync(SATURATION) ? Math.floor(Number(readFileSync(SATURATION, "utf8")) / 2) : DEFAULT_RATE

const checkMachine = (): void => {
  if (!existsSync(K6)) throw new Unfit("k6 with NTP is not there yet: run npm run loadtest:build")
  if (!canMakeNamespaces("loadtest") || !peersAvailable("loadtest", ["bird", "nats-server-2.10"]))
    throw new Unfit(
      "what the fleet is made of is missing, see above; npx node infra/peers/fetch.ts fetches BIRD and nats-server"
    )
}

const write = (file: string, text: string): void => {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}

const conclude = ({ scenario, judged, verdict, seconds, saturation, figures }: Played): void => {
  const columns = ["what", "found", "wanted"] as const
  const widths = columns.map((name) => Math.max(name.length, ...judged.map((it) => it[name].length)))
  process.stdout.write("\n")
  for (const row of judged)
    process.stdout.write(
      `  ${row.met ? "met   " : "NOT   "}${columns
        .map((name, index) => row[name].padEnd(widths[index] ?? 0))
        .join("  ")
        .trimEnd()}\n`
    )
  const dropped = Object.entries(figures.dropped).map(([where, count]) => `${where} ${count.toLocaleString("en")}`)
  process.stdout.write(`  dropped by the kernel: ${dropped.join(", ") || "nothing"}\n`)
  if (saturation !== undefined) {
    write(SATURATION, `${saturation}\n`)
    process.stdout.write(
      `  saturation ${saturation.toLocaleString("en")} requests a second, of this machine with the generator on it\n`
    )
  }
  process.stdout.write(
    `${scenario.name}: ${verdict ? "every bound was kept" : "NOT EVERY BOUND WAS KEPT"} (${seconds.length} s of load)\n`
  )
}

const main = async (): Promise<void> => {
  const { values, positionals } = read()
  const [name = "", ...more] = positionals
  if (values.help || name === "list") return void process.stdout.write(USAGE)
  const scenario = scenarios.find((it) => it.name === name)
  if (scenario === undefined || more.length > 0)
    throw new Unfit(`expected one scenario, found ${JSON.stringify(positionals.join(" "))}\n${USAGE}`)
  const setting = {
    seconds: count("seconds", values.seconds, scenario.seconds),
    rate: count("rate", values.rate, halfOfSaturation())
  }
  checkMachine()
  const played = await play(scenario, setting)
  const html = resolve(values.html ?? join(FOLDER, `${name}.html`))
  write(resolve(values.json ?? join(FOLDER, `${name}.json`)), `${JSON.stringify(played.figures, null, 2)}\n`)
  write(html, reportPage(played.figures))
  conclude(played)
  process.stdout.write(`report ${html}\n`)
  process.exitCode = played.verdict ? 0 : 1
}

try {
  await main()
} catch (error) {
  process.stderr.write(`loadtest: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = error instanceof Unfit ? 2 : 1
}
