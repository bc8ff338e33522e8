/**
 * `meridian up`: reads flags and configuration, starts the node, prints the first screen, obeys signals.
 *
 * SIGTERM and SIGINT drain and exit 0 (a second one ends at once), SIGHUP replaces the workers one by one and reopens
 * the log. Exit codes: 0 ended as asked, 1 could not start, 2 wrong flag or configuration.
 */
import { availableParallelism } from "node:os"
import { relative, resolve } from "node:path"
import { accessSummary } from "@meridian/config/access-rendering"
import { upCommand, upOverrides } from "@meridian/config/command-lines"
import { formatDiagnostics } from "@meridian/config/diagnostic"
import { parseFlags, renderHelp } from "@meridian/config/flags"
import { loadSettings } from "@meridian/config/load"
import type { Settings } from "@meridian/config/settings"
import { machineAddresses, readConfigurationFile } from "@meridian/system/configuration-files"
import { releaseStartupPagesSoon } from "@meridian/system/memory"
import { disableNative, loadNative } from "@meridian/system/native"
import { serviceManager } from "@meridian/system/service-manager"
import { openLog } from "@meridian/ipc/log"
import { defaultStateDirectory } from "@meridian/ipc/state-directory"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Semaphore from "effect/Semaphore"
import manifest from "../package.json" with { type: "json" }
import { listeningOn, type NodePlan, type RunningNode, startNode } from "./node.ts"
import { CLUSTER_KEY_VARIABLE, nodePlan } from "./plan.ts"
import { firstScreen } from "./screen.ts"

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
  const loaded = loadSettings({
    file: values.config,
    readFile: readConfigurationFile,
    overrides: upOverrides(values),
    machine: { cores: availableParallelism(), interfaces: machineAddresses() }
  })
  if (loaded.diagnostics.length > 0)
    process.stderr.write(`${formatDiagnostics(loaded.diagnostics, { colour: colours })}\n`)
  if (!loaded.usable)
    return fail(2, `${values.config ?? "the command line"} cannot be used as it is; nothing was started`)
  return { settings: loaded.settings, stateFlag: values.state === undefined ? "" : ` --state ${values.state}` }
}

const planOf = (settings: Settings): NodePlan => {
  const stateDirectory = settings.stateDirectory.value ?? defaultStateDirectory(programRoot, isRoot, process.env)
  if (settings.user.value !== undefined && !isRoot)
    fail(1, `--user ${settings.user.value} needs root: start as root, or leave --user away`)
  try {
    return nodePlan(settings, {
      version: manifest.version,
      programRoot,
      stateDirectory: resolve(stateDirectory),
      native: native.addon !== undefined,
      clusterKey
    })
  } catch (error) {
    return fail(1, (error as Error).message)
  }
}

/** How often a service manager that does not watch hears how the node does. */
const STATUS_LINE_MS = 10_000

type Signal = "SIGTERM" | "SIGINT" | "SIGHUP"

// Children inherit the environment, and the key is the coordinator's alone.
const clusterKey = process.env[CLUSTER_KEY_VARIABLE]
delete process.env[CLUSTER_KEY_VARIABLE]
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

const reload = (node: RunningNode): Effect.Effect<void> =>
  Effect.logInfo("replacing the workers one by one (SIGHUP)").pipe(
    Effect.andThen(node.reload),
    Effect.andThen(Effect.logInfo("the workers are replaced"))
  )

const program = Effect.gen(function* () {
  const oneReload = yield* Semaphore.make(1)
  const signals = yield* Queue.unbounded<Signal>()
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
    process.on(signal, () => void Queue.offerUnsafe(signals, signal))
  const node = yield* startNode(plan)
  process.stdout.write(
    firstScreen({
      version: plan.version,
      listening: listeningOn(plan),
      workers: plan.workers,
      io: plan.native ? "native" : "fallback",
      ioReason: native.reason,
      localStratum: plan.discipline.localReference?.stratum,
      sources: [
        ...plan.discipline.sources.map(({ host }) => host),
        ...plan.discipline.referenceClocks.map(({ driver, unit }) => `${driver.toUpperCase()}(${unit})`)
      ],
      access: accessSummary(settings.access),
      stateDirectory: relative(process.cwd(), plan.stateDirectory) || ".",
      stateFlag,
      port: plan.ports[0] ?? 0,
      nts: plan.nts && {
        port: plan.nts.port,
        developmentCertificate: plan.nts.settings.certificates.length === 0
      },
      user: plan.identity?.name,
      root: isRoot
    })
  )
  releaseStartupPagesSoon()
  const manager = serviceManager(process.env, process.pid)
  const inOneLine = (): string => {
    const { clock, totals } = node.status()
    const how = clock.synchronised
      ? `synchronised, stratum ${clock.stratum}, following ${clock.source}`
      : "not synchronised"
    return `${how}; ${totals.replied} replies`
  }
  manager.ready(inOneLine())
  const beat = setInterval(() => manager.alive(inOneLine()), manager.watchdogMs ?? STATUS_LINE_MS)
  yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(beat)))
  for (;;) {
    const signal = yield* Queue.take(signals)
    if (signal === "SIGHUP") {
      manager.reloading()
      log.reopen()
      // Not waited for: whoever wants the node to end meanwhile has it end.
      yield* Effect.forkScoped(
        oneReload.withPermit(
          Effect.andThen(
            reload(node),
            Effect.sync(() => manager.ready(inOneLine()))
          )
        )
      )
      continue
    }
    for (const again of ["SIGTERM", "SIGINT"] as const) process.on(again, () => process.exit(130))
    manager.stopping()
    yield* node.drain
    const { received, replied } = node.status().totals
    yield* Effect.logInfo(`drained and ended (${signal}): ${received} received, ${replied} replied`)
    return
  }
}).pipe(Effect.scoped, Effect.provide(log.layer), Effect.result)

const outcome = await Effect.runPromise(program)
if (outcome._tag === "Failure") fail(1, outcome.failure.message)
process.exit(0)
