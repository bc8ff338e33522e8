/**
 * npm run bench -- [NAME …] [--json FILE] [--rounds N] [--seconds S] [--requests N] [--events N] [--address A] [--servers A,B] [--beside FOLDER] [--self-check]
 *
 * Measures Meridian beside real peers and a C floor, in one run and on one core layout. README.md says what each figure
 * means. Exit code: 0 measured (whether or not targets are met), 1 a measurement failed, 2 a wrong command line.
 */
import { writeFileSync } from "node:fs"
import { resolve } from "node:path"
import { parseArgs } from "node:util"
import { access } from "./access.ts"
import { keyed, nts } from "./authenticated.ts"
import { autokey } from "./autokey.ts"
import { eventLog } from "./event-log.ts"
import { firstSync } from "./first-sync.ts"
import { flood } from "./flood.ts"
import { idleNode } from "./idle.ts"
import { keyExchange } from "./key-exchange.ts"
import { manners } from "./manners.ts"
import { memory, startup } from "./memory-and-start.ts"
import { alloc, workers } from "./node-benches.ts"
import { mssntp } from "./mssntp.ts"
import { plain } from "./plain.ts"
import { rates } from "./rates.ts"
import { rotation } from "./rotation.ts"
import type { BenchOptions, BenchResult } from "./results.ts"
import { leaveNothingBehind } from "./children.ts"
import { allowedCores, coreLayout, machineFacts } from "./process-figures.ts"
import { selfCheck } from "./self-check.ts"
import { DelayedError, repeatsNote, takeRepeats } from "./repeats.ts"
import { missing, otherBuild, type ServerName, serverNames } from "./servers.ts"
import { succession } from "./succession.ts"
import { table } from "./table.ts"
import { watched } from "./watched.ts"
import { xdp } from "./xdp.ts"

const BENCHES: Readonly<Record<string, (options: BenchOptions) => Promise<BenchResult>>> = {
  plain,
  rates,
  workers,
  memory,
  startup,
  nts,
  keyed,
  mssntp,
  autokey,
  "nts-ke": keyExchange,
  succession,
  alloc,
  rotation,
  "event-log": eventLog,
  "first-sync": firstSync,
  idle: idleNode,
  access,
  flood,
  manners,
  watched,
  xdp
}

/** Run when no name is given; `alloc`, `access`, `event-log`, `first-sync` and `idle` take minutes, `rotation` needs NATS, `mssntp` Samba and `autokey` classic ntpd: they are asked for by name. */
const QUICK = ["plain", "workers", "memory", "startup", "nts", "keyed", "nts-ke"]

class CommandLineError extends Error {
  readonly _tag = "CommandLineError"
}

const integer = (flag: string, text: string, least: number, most: number): number => {
  const value = Number(text)
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new CommandLineError(`expected a whole number from ${least} to ${most} after --${flag}, found "${text}"`)
}

const oneOf = <A extends string>(what: string, known: readonly A[], text: string): A => {
  const found = known.find((each) => each === text)
  if (found !== undefined) return found
  throw new CommandLineError(`expected ${what} to be one of ${known.join(", ")}, found "${text}"`)
}

const parse = () => {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: "string" },
        rounds: { type: "string", default: "5" },
        seconds: { type: "string", default: "2" },
        requests: { type: "string", default: "10000000" },
        events: { type: "string", default: "1000000" },
        address: { type: "string", default: "127.0.0.1" },
        servers: { type: "string", default: serverNames.join(",") },
        beside: { type: "string" },
        "self-check": { type: "boolean", default: false }
      }
    })
  } catch (error) {
    throw new CommandLineError((error as Error).message.split(". ")[0], { cause: error })
  }
}

/** Progress goes to the error output: over itself on a terminal, as lines elsewhere. */
const progress = (line: string): void => {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${line}` : `${line}\n`)
}

const endProgress = (): void => {
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K")
}

const main = async (): Promise<void> => {
  const { values, positionals } = parse()
  const layout = coreLayout(allowedCores())
  const names = (positionals.length > 0 ? positionals : QUICK).map((name) =>
    oneOf("a bench", Object.keys(BENCHES), name)
  )
  const options: BenchOptions = {
    layout,
    address: oneOf("--address", ["127.0.0.1", "::1"], values.address),
    rounds: integer("rounds", values.rounds, 1, 100),
    seconds: integer("seconds", values.seconds, 1, 60),
    requests: integer("requests", values.requests, 1000, 1_000_000_000),
    events: integer("events", values.events, 10_000, 5_000_000),
    servers: values.servers.split(",").map((name): ServerName => oneOf("--servers", serverNames, name)),
    beside: values.beside === undefined ? undefined : otherBuild(resolve(values.beside)),
    progress
  }
  if (values["self-check"]) return selfCheck(layout.generator)

  const facts = machineFacts()
  console.log(`${facts.processor}, ${facts.cores} cores, Linux ${facts.kernel}, Node ${facts.node}, ${facts.date}`)
  for (const line of layout.words) console.log(line)
  console.log(
    `figures: median (smallest–largest) of ${options.rounds} interleaved rounds; ratios are taken round by round\n`
  )
  const results: BenchResult[] = []
  const failed: string[] = []
  for (const name of names) {
    const reason = name === "plain" || name === "event-log" ? undefined : missing("meridian")
    if (reason !== undefined) {
      console.log(`${name}: skipped, Meridian cannot be started: ${reason}\n`)
      continue
    }
    const measured = await measure(name, options)
    endProgress()
    if (typeof measured === "string") {
      failed.push(name)
      console.log(`${name}: failed: ${measured}\n`)
      continue
    }
    const result = { ...measured, notes: [...measured.notes, repeatsNote(takeRepeats())] }
    results.push(result)
    console.log(`${table(result)}\n`)
    if (values.json !== undefined)
      writeFileSync(values.json, `${JSON.stringify({ machine: facts, layout, results }, null, 2)}\n`)
  }
  if (failed.length > 0) process.exitCode = 1
}

/** A bench's result, or why there is none: neighbours that never rest end one bench and not the others. */
const measure = async (name: string, options: BenchOptions): Promise<BenchResult | string> => {
  try {
    const bench = BENCHES[name]
    return bench === undefined ? "there is no such bench" : await bench(options)
  } catch (error) {
    if (!(error instanceof DelayedError)) throw error
    return `${error.message}; ${repeatsNote(takeRepeats())}, and others were disturbed each time: run it when the machine is quiet`
  }
}

leaveNothingBehind()
try {
  await main()
} catch (error) {
  endProgress()
  console.error(`bench: ${(error as Error).message}`)
  // At once: a generator that still runs would otherwise keep this process until its time is over.
  process.exit(error instanceof CommandLineError ? 2 : 1)
}
