/**
 * npx node loadtest/gather-offset.ts [--samples N] [--rounds N]
 *
 * What gathering does to a client's offset: a chronyd asks Meridian 32 times a second while others ask as well, with `gather 500` and
 * with `gather 0`, in turns. Client and server have one clock, so every offset that chronyd measures is an error. A line has the median
 * of the rounds' medians and of their p99, and in brackets the lowest and the highest.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { launch, leaveNothingBehind, removeFolder, stop, temporaryFolder } from "./children.ts"
import { sample } from "./measure.ts"
import { allowedCores, coreLayout } from "./process-figures.ts"
import { meridianCommand, peerCommand, type RunningServer, startCommands, withoutClock } from "./servers.ts"

const { values } = parseArgs({
  options: { samples: { type: "string", default: "300" }, rounds: { type: "string", default: "3" } }
})
const SAMPLES = Number(values.samples)
const ROUNDS = Number(values.rounds)
const RATES = (process.env.RATES ?? "0,1000,10000,40000").split(",").map(Number)
/** log2 seconds */
const POLL = -5
const layout = coreLayout(allowedCores())

const startGathering = (gather: number): Promise<RunningServer> => {
  const options = { address: "127.0.0.1", workers: 1, cores: layout.one }
  return startCommands("meridian", `gather ${gather}`, options, (port, folder) => {
    const file = join(folder, "ntp.conf")
    writeFileSync(file, `gather ${gather}\n`)
    return [meridianCommand(options, port, folder, ["--config", file])]
  })
}

/** Offsets that a chronyd measures, seconds, while `rate` other requests come a second. */
const offsetsBeside = async (server: RunningServer, rate: number): Promise<readonly number[]> => {
  const folder = temporaryFolder()
  const file = join(folder, "chrony.conf")
  const lines = [
    `server 127.0.0.1 port ${server.port} minpoll ${POLL} maxpoll ${POLL}`,
    "port 0",
    "cmdport 0",
    "bindcmdaddress /",
    `pidfile ${join(folder, "pid")}`,
    `logdir ${folder}`,
    "log rawmeasurements"
  ]
  writeFileSync(file, `${lines.join("\n")}\n`)
  const client = launch(
    withoutClock(peerCommand("bookworm", "usr/sbin/chronyd", ["-u", "root", "-x", "-d", "-F", "0", "-f", file])),
    layout.one
  )
  try {
    const seconds = (SAMPLES + 40) * 2 ** POLL
    if (rate === 0) await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
    else await sample(server, { mode: "open", rate, seconds }, layout.generator)
    const rows = readFileSync(join(folder, "measurements.log"), "utf8").split("\n")
    const offsets = rows.flatMap((row) => {
      const columns = row.trim().split(/\s+/)
      return /^\d{4}-/.test(columns[0] ?? "") && columns.length > 11 ? [Number(columns[11])] : []
    })
    return offsets.slice(-SAMPLES)
  } finally {
    await stop(client)
    removeFolder(folder)
  }
}

const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN

const spread = (seconds: readonly number[]): string => {
  const [middle, least, most] = [0.5, 0, 1].map((share) => (quantile(seconds, share) * 1e6).toFixed(1))
  return `${middle} (${least}–${most})`
}

leaveNothingBehind()
process.stdout.write("others/s  gather  |offset| median, µs     p99, µs\n")
for (const rate of RATES) {
  const gathers = [0, 500]
  const servers: RunningServer[] = []
  try {
    for (const gather of gathers) {
      const server = await startGathering(gather)
      servers.push(server)
      await sample(server, { mode: "closed", seconds: 2 }, layout.generator)
    }
    const rounds: (readonly number[])[][] = servers.map(() => [])
    for (let round = 0; round < ROUNDS; round++)
      for (const [index, server] of servers.entries())
        rounds[index]!.push((await offsetsBeside(server, rate)).map(Math.abs))
    for (const [index, gather] of gathers.entries()) {
      const [medians, tails] = [0.5, 0.99].map((share) => rounds[index]!.map((errors) => quantile(errors, share)))
      process.stdout.write(
        `${String(rate).padStart(8)}  ${String(gather).padStart(6)}  ${spread(medians!).padEnd(20)}  ${spread(tails!)}\n`
      )
    }
  } finally {
    for (const server of servers) await server.stop()
  }
}
