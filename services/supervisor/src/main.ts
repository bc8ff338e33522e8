/**
 * `meridian up`: reads flags and configuration, starts the node, prints the first screen, obeys signals.
 *
 * SIGTERM and SIGINT finish what is under way and exit 0 (another one a second later ends at once; with --drain SIGTERM drains
 * the node first), SIGHUP reads the configuration again, replaces the workers one by one and reopens the log. Exit codes: 0 ended as asked, 1 could not start, 2 wrong flag or configuration.
 */
import { existsSync, statSync } from "@meridian/system/files"
import { hostname } from "node:os"
import { resolve } from "node:path"
import type { LoadInput, Settings } from "@meridian/config"
import { accessSummary, loadSettings, describeOrigin, quoteWord, NTP_PORT, fromDefault } from "@meridian/config"
import { upCommand, upOverrides } from "@meridian/config/command-lines"
import { formatDiagnostics } from "@meridian/config/diagnostic"
import { renderHelp } from "@meridian/config/flags"
import { parseFlags } from "@meridian/system/command-line"
import { withEnvironmentLines, thisMachine } from "@meridian/system/configuration-files"
import { reasonOf } from "@meridian/system/errno-words"
import { mayBindPort } from "@meridian/system/capabilities"
import { endChildren } from "@meridian/system/process-image"
import { takeSecret } from "@meridian/system/environment"
import { forbidCoreDumps, releaseStartupPagesSoon } from "@meridian/system/memory"
import { readRegularFile } from "@meridian/system/regular-file"
import { disableNative, loadNative } from "@meridian/system/native"
import { serviceManager } from "@meridian/system/service-manager"
import { openLog } from "@meridian/ipc/log"
import { defaultStateDirectory } from "@meridian/ipc/state-directory"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Semaphore from "effect/Semaphore"
import manifest from "../package.json" with { type: "json" }
import { authorOf } from "./acts.ts"
import { type Obeyed, obeySignals } from "./early-signals.ts"
import { bequeath, inherit } from "./legacy.ts"
import type { NodePlan } from "./node-plan.ts"
import { startNode } from "./node.ts"
import { everyTurn } from "@meridian/ipc/turns"
import { afterReports } from "./pacing.ts"
import type { RunningNode } from "./running-node.ts"
import { CLUSTER_KEY_VARIABLE, nodePlan } from "./plan.ts"
import { type Configured, RunningConfiguration } from "./running-configuration.ts"
import { hasIpv6 } from "./sockets.ts"
import { isWritable } from "./state-directory.ts"
import { askedSources, firstScreen, nearestName } from "./screen.ts"
import { takenByNpm } from "./npm-start.ts"
import { startPriority } from "./start-priority.ts"

const programRoot = resolve(import.meta.dirname, "../../..")
/** What starts the commands: the packages have a program for that, which Debian's has on the path. */
const launcher = resolve(programRoot, "bin/meridian")
const command = !existsSync(launcher) ? "npx meridian" : programRoot.startsWith("/usr/") ? "meridian" : launcher

if (process.env["MERIDIAN_NATIVE"] === "off") disableNative("MERIDIAN_NATIVE=off")
const native = loadNative()
const ipv6 = hasIpv6(native.addon !== undefined)
const isRoot = process.getuid?.() === 0
const ntpPort = mayBindPort(NTP_PORT)
const colours = process.stderr.isTTY && process.env["NO_COLOR"] === undefined

const fail = (code: 1 | 2, message: string): never => {
  process.stderr.write(`meridian: ${message}\n`)
  process.exit(code)
}

interface Started {
  readonly configuration: RunningConfiguration
  readonly files: readonly string[]
  readonly stateFlag: string
}

const readSettings = (args: readonly string[]): Started => {
  const parsed = parseFlags(upCommand, args)
  const taken = takenByNpm(process.env)
  if (taken !== undefined) return fail(2, taken)
  if (!parsed.ok) return fail(2, parsed.error.message)
  if (parsed.value.help) {
    process.stdout.write(renderHelp(upCommand))
    process.exit(0)
  }
  const { values } = parsed.value
  const { file, readFile } = withEnvironmentLines(values.config, process.env)
  const input: LoadInput = {
    file,
    readFile,
    overrides: upOverrides(values),
    // The privilege is given up later; a reload means the same port.
    get machine() {
      return { ...thisMachine(), ntpPort }
    }
  }
  const loaded = loadSettings(input)
  if (loaded.diagnostics.length > 0)
    process.stderr.write(`${formatDiagnostics(loaded.diagnostics, { colour: colours })}\n`)
  if (!loaded.usable) return fail(2, `${file ?? "the command line"} cannot be used as it is; nothing was started`)
  const { config } = values
  const isEmpty = (): boolean => config !== undefined && statSync(config, { throwIfNoEntry: false })?.size === 0
  const { value: state, origin } = loaded.settings.stateDirectory
  const stateFlag = state === undefined || origin.kind === "default" ? "" : ` --state ${resolve(state)}`
  return { configuration: new RunningConfiguration(loaded, { input, isEmpty }), files: loaded.files, stateFlag }
}

/** What the program has left that this process was before. */
const legacy = inherit(process.env)

/** A process that was handed over is the user already whom root would become. */
const planOf = (given: Settings): NodePlan => {
  const settings = legacy === undefined ? given : { ...given, user: fromDefault(undefined) }
  const stateDirectory = settings.stateDirectory.value ?? defaultStateDirectory(programRoot, isRoot, process.env)
  return nodePlan(settings, {
    version: manifest.version,
    programRoot,
    stateDirectory: resolve(stateDirectory),
    native: native.addon !== undefined,
    ipv6,
    hostName: hostname(),
    clusterKey
  })
}

const planOrFail = (settings: Settings): NodePlan => {
  if (settings.user.value !== undefined && !isRoot && legacy === undefined)
    fail(1, `--user ${settings.user.value} needs root: start as root, or leave --user away`)
  try {
    return planOf(settings)
  } catch (error) {
    return fail(1, (error as Error).message)
  }
}

/** How long the processes of the version before may take to finish. */
const LEGACY_PATIENCE_MS = 10_000

/** How often a service manager that does not watch hears how the node does. */
const STATUS_LINE_MS = 12_000

/** A signal, or something that somebody waits for. */
type Asked =
  | Obeyed
  /** Something to do with the node that runs, one at a time. */
  | { readonly work: (node: RunningNode) => Effect.Effect<void> }

/** The coordinator's alone: children inherit the environment, and others may read it. */
const clusterKey = takeSecret(process.env, CLUSTER_KEY_VARIABLE)
const { configuration, files, stateFlag } = readSettings(process.argv.slice(2))
const settings = configuration.started
startPriority.settle(legacy !== undefined)
// This process and all that it starts hold keys.
if (settings.coreDumps.value !== "on") forbidCoreDumps()
const plan = planOrFail(settings)
const openLogOrFail = () => {
  const file = settings.logfile.value
  try {
    return openLog({ service: "supervisor", level: "info", file, readable: process.stderr.isTTY, colours })
  } catch (error) {
    return fail(1, `the log file ${file} cannot be written: ${reasonOf(error)}; name another with logfile`)
  }
}
const log = openLogOrFail()
/** What no line says and the node chose when it started. */
const chosenHere: Readonly<Record<string, string>> = { statedir: quoteWord(plan.stateDirectory) }

/** Has the node work by other settings; who it runs as was settled when it started. */
const configured = (node: RunningNode): Configured => ({
  apply: (to) =>
    node
      .apply(planOf({ ...to, user: configuration.started.user }))
      .pipe(Effect.tap(() => Effect.sync(() => log.reopen(to.logfile.value)))),
  record: node.record
})

/** What a log begins with. */
const startLines = (node: RunningNode): readonly string[] => {
  const { listening, io } = node.status()
  const by = files.length === 0 ? "without a configuration file" : `by ${files.join(", ")}`
  const who = plan.identity === undefined ? "" : ` as ${plan.identity.name}`
  return [
    `Meridian ${plan.version} has started${who}: process ${process.pid}, ${plan.workers} workers, ${io} I/O${native.reason === undefined ? "" : ` (${native.reason}; chronyc cannot ask)`}, state in ${plan.stateDirectory}, ${by}`,
    `answers on ${listening.length === 0 ? "no address yet" : listening.join(", ")}${plan.nts === undefined ? "" : `; NTS key exchange on TCP ${plan.nts.port}`}`
  ]
}

/** `npm start` hands the terminal's Ctrl-C on to a process that the terminal has told already: both are one. */
const ECHO_MS = 1_000

const LONGEST_MANIFEST = 1024 * 1024

/** The version of what is installed now; of what runs where that cannot be told. */
const installedVersion = (): string => {
  try {
    const text = readRegularFile(resolve(import.meta.dirname, "../package.json"), LONGEST_MANIFEST).toString("utf8")
    return String((JSON.parse(text) as typeof manifest).version)
  } catch {
    return manifest.version
  }
}

/** What sockets a plan asks for: those that are handed on must be the same, since the steering programs count them. */
const socketsOf = ({ nts, anycast, ...plan }: NodePlan): string => {
  const { workers, packetKinds, ports, listen, commandPort, xdp } = plan
  return JSON.stringify([workers, packetKinds, ports, listen, commandPort, nts?.port, nts?.processes, xdp, !anycast])
}

const EARLY_SIGNALS = resolve(import.meta.dirname, "early-signals.ts")

/** For the program that follows: what this one has. Another version may have no such module, and one before had none. */
const flagsOfNode = (): readonly string[] => {
  const flags = process.execArgv.filter((flag, at, all) => flag !== "--import" && all[at - 1] !== "--import")
  return existsSync(EARLY_SIGNALS) ? [...flags, "--import", EARLY_SIGNALS] : flags
}

let isEnding = false

/** This process becomes the program that is installed now; the sockets go with it, and who answers on them goes on meanwhile. */
const becomeInstalled = (node: RunningNode) =>
  Effect.gen(function* () {
    if (node.cannotHandOver !== undefined) {
      yield* Effect.logWarning(
        `Meridian ${installedVersion()} is installed and taken up at a restart: it cannot be at a reload, since ${node.cannotHandOver}`
      )
      return
    }
    // The program that follows reads it again, and there is no way back.
    const next = configuration.readAgain()
    if (next === undefined) {
      yield* Effect.logError("the configuration cannot be used as it is now; the node runs on as it is")
      return
    }
    if (socketsOf(planOf(next)) !== socketsOf(plan)) {
      yield* Effect.logWarning(
        "the configuration asks for other ports, workers or services now, which takes a restart; the node runs on as it is"
      )
      return
    }
    if (configuration.hasSaid)
      yield* Effect.logWarning("what was said to this node by ntpq ends here: it is in no file")
    yield* Effect.logInfo(`becoming Meridian ${installedVersion()}; requests are answered meanwhile`)
    const left = yield* node.handOver
    // A signal that has come is heard of in the next turn. Whoever wants the node to end has it end.
    yield* Effect.promise(() => new Promise(setImmediate))
    if (isEnding) return
    const environment = bequeath(left, {
      ...process.env,
      ...(clusterKey === undefined ? {} : { [CLUSTER_KEY_VARIABLE]: clusterKey })
    })
    process.execve!(process.execPath, [process.execPath, ...flagsOfNode(), ...process.argv.slice(1)], environment)
  })

/** The first signal that says to end. */
const toldToEnd = (asked: Queue.Dequeue<Asked>): Effect.Effect<"SIGTERM" | "SIGINT"> =>
  Effect.flatMap(Queue.take(asked), (what) =>
    what === "SIGTERM" || what === "SIGINT" ? Effect.succeed(what) : toldToEnd(asked)
  )

const program = Effect.gen(function* () {
  const oneReload = yield* Semaphore.make(1)
  const asked = yield* Queue.unbounded<Asked>()
  obeySignals((signal) => void Queue.offerUnsafe(asked, signal))
  /** Does it once the node runs, and after what is under way; the clock has taken it then, or hangs. */
  const later = <A>(what: (node: RunningNode) => Effect.Effect<A>): Promise<A> =>
    new Promise((done) => {
      // The next one's turn comes meanwhile: where the clock's process hangs, each would wait for all before it.
      const work = (node: RunningNode) => Effect.map(what(node), (said) => done(node.settled().then(() => said)))
      Queue.offerUnsafe(asked, { work })
    })
  const begun = yield* Effect.raceFirst(
    startNode(
      plan,
      {
        "/config": () =>
          configuration.lines.map(({ directive, value, origin }) => ({
            directive,
            value: value ?? chosenHere[directive] ?? null,
            origin: describeOrigin(origin)
          })),
        "/reload": (query) =>
          later((node) => configuration.reload(configured(node), authorOf(query.get("author")), query.has("check")))
      },
      {
        configure: ({ text }, author) =>
          later((node) => configuration.configure(configured(node), String(text), author, node.sources())),
        "reload-sources": (_, author) => later((node) => configuration.reloadSources(configured(node), author)),
        saveconfig: async ({ name }) => configuration.save(String(name))
      },
      legacy
    ).pipe(
      Effect.map((node) => ({ _tag: "started" as const, node })),
      // Ctrl-C reaches the children as well, and theirs may be heard of first.
      Effect.catch((failed) => Effect.andThen(Effect.sleep("100 millis"), Effect.fail(failed)))
    ),
    Effect.map(toldToEnd(asked), (signal) => ({ _tag: "ended" as const, signal }))
  )
  if (begun._tag === "ended") {
    process.stderr.write(`meridian: ended while starting (${begun.signal})\n`)
    return begun.signal === "SIGINT" ? 130 : 0
  }
  const { node } = begun
  if (legacy !== undefined) {
    startPriority.othersServe = false
    yield* Effect.logInfo(`this is Meridian ${plan.version} now; the processes of the version before end`)
    yield* Effect.forkScoped(Effect.promise(() => endChildren(legacy.processes, LEGACY_PATIENCE_MS)))
  }
  // On a terminal the first screen says it.
  if (settings.logfile.value !== undefined || !process.stderr.isTTY)
    for (const line of startLines(node)) yield* Effect.logInfo(line)
  process.stdout.write(
    firstScreen({
      version: plan.version,
      listening: node.status().listening,
      workers: plan.workers,
      io: plan.native ? "native" : "fallback",
      ioReason: native.reason,
      localStratum: plan.discipline.localReference?.stratum,
      sources: askedSources(plan.discipline),
      starting: node.status().starting ?? null,
      ipv6,
      access: accessSummary(settings.access),
      stateDirectory: nearestName(plan.stateDirectory, programRoot, process.cwd()),
      stateKept: isWritable(plan.stateDirectory),
      command,
      stateFlag,
      port: plan.ports[0] ?? 0,
      ntpPortDenied: files.length > 0 && settings.port.origin.kind === "default" && !ntpPort,
      mayBindNtpPort: ntpPort,
      xdp: node.status().xdp ?? undefined,
      nts: plan.nts && {
        port: plan.nts.port,
        developmentCertificate: plan.nts.settings.certificates.length === 0
      },
      user: plan.identity?.name,
      root: isRoot,
      columns: process.stdout.isTTY ? process.stdout.columns : undefined
    })
  )
  node.keepJournal()
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
  const beat = everyTurn(manager.watchdogMs ?? STATUS_LINE_MS, () => manager.alive(inOneLine), afterReports)
  yield* Effect.addFinalizer(() => Effect.sync(beat.stop))
  for (;;) {
    const signal = yield* Queue.take(asked)
    if (typeof signal === "object") {
      yield* Effect.forkScoped(oneReload.withPermit(signal.work(node)))
      continue
    }
    if (signal === "SIGUSR2" || (signal === "SIGHUP" && installedVersion() !== manifest.version)) {
      manager.reloading()
      yield* Effect.forkScoped(
        oneReload.withPermit(
          Effect.andThen(
            becomeInstalled(node),
            Effect.sync(() => manager.ready(inOneLine()))
          )
        )
      )
      continue
    }
    if (signal === "SIGHUP") {
      manager.reloading()
      log.reopen()
      // Not waited for: whoever wants the node to end meanwhile has it end.
      yield* Effect.forkScoped(
        oneReload.withPermit(
          configuration
            .reload(configured(node), "SIGHUP", false)
            .pipe(
              Effect.andThen(Effect.logInfo("replacing the workers one by one (SIGHUP)")),
              Effect.andThen(node.replaceWorkers),
              Effect.andThen(Effect.logInfo("the workers are replaced")),
              Effect.andThen(Effect.sync(() => manager.ready(inOneLine())))
            )
        )
      )
      continue
    }
    isEnding = true
    const told = performance.now()
    for (const again of ["SIGTERM", "SIGINT"] as const)
      process.on(again, () => void (performance.now() - told > ECHO_MS && process.exit(130)))
    manager.stopping()
    if (settings.anycast.drainOnStop.value && signal === "SIGTERM") {
      yield* Effect.logInfo("draining the node before it ends (SIGTERM); a second signal ends it at once")
      yield* node.leave
    }
    yield* node.drain
    const { received, replied } = node.status().totals
    yield* Effect.logInfo(`drained and ended (${signal}): ${received} received, ${replied} replied`)
    return 0
  }
}).pipe(Effect.scoped, Effect.provide(log.layer), Effect.result)

const outcome = await Effect.runPromise(program)
process.exit(outcome._tag === "Success" ? outcome.success : fail(1, outcome.failure.message))
