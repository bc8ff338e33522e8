/**
 * `meridian up`: reads flags and configuration, starts the node, prints the first screen, obeys signals.
 *
 * SIGTERM and SIGINT drain and exit 0 (a second one ends at once), SIGHUP replaces the workers one by one and reopens
 * the log. Exit codes: 0 ended as asked, 1 could not start, 2 wrong flag or configuration.
 */
import { availableParallelism } from "node:os"
import { relative, resolve } from "node:path"
import { upCommand, upOverrides } from "@meridian/config/command-lines"
import { formatDiagnostics, isError } from "@meridian/config/diagnostic"
import { parseFlags, renderHelp } from "@meridian/config/flags"
import { parseConfiguration } from "@meridian/config/parse"
import { effectiveSettings, type Settings } from "@meridian/config/settings"
import { machineAddresses, readConfigurationFile } from "@meridian/native-io/configuration-files"
import { disableNative, loadNative } from "@meridian/native-io/native"
import { openLog } from "@meridian/observability/log"
import { defaultStateDirectory } from "@meridian/observability/state-directory"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import manifest from "../package.json" with { type: "json" }
import { type NodePlan, startNode } from "./node.ts"
import { resolveIdentity } from "./privilege.ts"
import { firstScreen } from "./screen.ts"
import { formatListen } from "./sockets.ts"

const programRoot = resolve(import.meta.dirname, "../../..")
if (process.env["MERIDIAN_NATIVE"] === "off") disableNative("MERIDIAN_NATIVE=off")
const native = loadNative()
const isRoot = process.getuid?.() === 0
const colours = process.stderr.isTTY && process.env["NO_COLOR"] === undefined

const fail = (code: 1 | 2, message: string): never => {
  process.stderr.write(`meridian: ${message}\n`)
  process.exit(code)
}

interface Started {
  readonly settings: Settings
  readonly stateFlag: string
}

const readSettings = (args: readonly string[]): Started => {
  const parsed = parseFlags(upCommand, args)
  if (!parsed.ok) return fail(2, parsed.error.message)
  if (parsed.value.help) {
    process.stdout.write(renderHelp(upCommand))
    process.exit(0)
  }
  const { values } = parsed.value
  const configuration =
    values.config === undefined ? undefined : parseConfiguration(values.config, readConfigurationFile)
  const folded = effectiveSettings(configuration?.statements ?? [], upOverrides(values), {
    cores: availableParallelism(),
    interfaces: machineAddresses()
  })
  const diagnostics = [...(configuration?.diagnostics ?? []), ...folded.diagnostics]
  if (diagnostics.length > 0) process.stderr.write(formatDiagnostics(diagnostics, { colour: colours }))
  const errors = diagnostics.filter(isError).length
  if (errors > 0)
    return fail(
      2,
      `${values.config ?? "the command line"}: ${errors} ${errors === 1 ? "error" : "errors"}; nothing was started`
    )
  return { settings: folded.settings, stateFlag: values.state === undefined ? "" : ` --state ${values.state}` }
}

const planOf = (settings: Settings): NodePlan => {
  const stateDirectory = settings.stateDirectory.value ?? defaultStateDirectory(programRoot, isRoot, process.env)
  if (settings.user.value !== undefined && !isRoot)
    fail(1, `--user ${settings.user.value} needs root: start as root, or leave --user away`)
  try {
    return {
      version: manifest.version,
      addresses: settings.listen.map((address) => address.value.text),
      port: settings.port.value,
      workers: settings.workers.value,
      stateDirectory: resolve(stateDirectory),
      stratum: settings.localReference.value.stratum,
      identity: settings.user.value === undefined ? undefined : resolveIdentity(settings.user.value),
      native: native.addon !== undefined,
      keyFile: undefined,
      sendCryptoNak: false,
      nts: undefined,
      programs: {
        worker: resolve(programRoot, "services/worker/src/main.ts"),
        discipline: resolve(programRoot, "services/discipline/src/main.ts"),
        ntsKe: resolve(programRoot, "services/nts-ke/src/main.ts")
      }
    }
  } catch (error) {
    return fail(1, (error as Error).message)
  }
}

type Signal = "SIGTERM" | "SIGINT" | "SIGHUP"

const { settings, stateFlag } = readSettings(process.argv.slice(2))
const plan = planOf(settings)
const openLogOrFail = () => {
  const file = settings.logfile.value
  try {
    return openLog({ service: "supervisor", level: "info", file, readable: process.stderr.isTTY, colours })
  } catch (error) {
    return fail(1, `cannot write the log file ${file}: ${(error as Error).message}; name another with logfile`)
  }
}
const log = openLogOrFail()

const program = Effect.gen(function* () {
  const signals = yield* Queue.unbounded<Signal>()
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
    process.on(signal, () => void Queue.offerUnsafe(signals, signal))
  const node = yield* startNode(plan)
  process.stdout.write(
    firstScreen({
      version: plan.version,
      listening: plan.addresses.map((address) => formatListen(address, plan.port)),
      workers: plan.workers,
      io: plan.native ? "native" : "fallback",
      ioReason: native.reason,
      stratum: plan.stratum,
      stateDirectory: relative(process.cwd(), plan.stateDirectory) || ".",
      stateFlag,
      port: plan.port,
      user: plan.identity?.name,
      root: isRoot
    })
  )
  for (;;) {
    const signal = yield* Queue.take(signals)
    if (signal === "SIGHUP") {
      log.reopen()
      yield* Effect.logInfo("replacing the workers one by one (SIGHUP)")
      yield* node.reload
      yield* Effect.logInfo("the workers are replaced")
      continue
    }
    for (const again of ["SIGTERM", "SIGINT"] as const) process.on(again, () => process.exit(130))
    yield* node.drain
    const { received, replied } = node.status().totals
    yield* Effect.logInfo(`drained and ended (${signal}): ${received} received, ${replied} replied`)
    return
  }
}).pipe(Effect.scoped, Effect.provide(log.layer), Effect.result)

const outcome = await Effect.runPromise(program)
if (outcome._tag === "Failure") fail(1, outcome.failure.message)
process.exit(0)
