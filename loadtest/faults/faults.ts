/**
 * Random faults on a cluster of three nodes under load: processes stopped and killed, disks full, NATS servers killed and stopped,
 * machines cut off, sources of time lost, clocks stepped. Every answer is judged.
 *
 *   npm run faults                        # five minutes, 5,000 requests a second
 *   npm run faults -- --seconds 3600 --seed 7 --rate 5000 --json out.json
 *   npm run faults -- --keep DIR          # the nodes' state and logs stay there
 *
 * Needs Linux, root, unshare, iproute2 and the peers of `npx node infra/peers/fetch.ts`. All of it runs in namespaces of its own
 * (network, mounts, processes) that end with it; no clock of this machine is touched. The same seed gives the same faults.
 * Exit codes: 0 what must be zero is, 1 it is not, 2 wrong arguments.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { holds, reportText } from "./report.ts"
import { FaultRun } from "./run.ts"

const wrongArguments = (why: string): never => {
  console.error(`faults: ${why}`)
  process.exit(2)
}

const whole = (flag: string, text: string, most: number): number => {
  const value = Number(text)
  return Number.isInteger(value) && value >= 1 && value <= most
    ? value
    : wrongArguments(`expected a whole number from 1 to ${most} after --${flag}, found ${text}`)
}

const read = () => {
  try {
    return parseArgs({
      options: {
        seconds: { type: "string", default: "300" },
        rate: { type: "string", default: "5000" },
        seed: { type: "string", default: "1" },
        json: { type: "string" },
        keep: { type: "string" },
        inside: { type: "boolean", default: false }
      }
    }).values
  } catch (error) {
    return wrongArguments(error instanceof Error ? error.message : String(error))
  }
}

const values = read()
const options = {
  seconds: whole("seconds", values.seconds, 86_400),
  rate: whole("rate", values.rate, 50_000),
  seed: whole("seed", values.seed, 2 ** 31)
}

if (!values.inside) {
  if (process.getuid?.() !== 0) wrongArguments("expected to be run as root: it makes namespaces and disks of its own")
  const namespaces = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
  // Removed out here: in there disks are mounted in it.
  const passing = values.keep === undefined ? mkdtempSync(join(tmpdir(), "meridian-faults-")) : undefined
  const kept = passing === undefined ? [] : ["--keep", passing]
  const again = [process.execPath, import.meta.filename, ...process.argv.slice(2), ...kept, "--inside"]
  const inside = spawn("unshare", [...namespaces, ...again], { stdio: "inherit" })
  // Whatever ends this process, unshare's end takes all that it has started with it.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => inside.kill("SIGKILL"))
  const [status] = (await once(inside, "exit")) as [number | null]
  if (passing !== undefined) rmSync(passing, { recursive: true, force: true })
  process.exit(status ?? 1)
}

const folder = resolve(values.keep ?? ".")
let code = 1
try {
  const say = (line: string): void => void process.stderr.write(`${line}\n`)
  const report = await new FaultRun({ ...options, folder, say }).run()
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
  console.log(reportText(report))
  code = holds(report) ? 0 : 1
} catch (error) {
  console.error(`faults: ${error instanceof Error ? error.message : String(error)}`)
}
process.exit(code)
