/**
 * A coordinator: folds the event log, mints and rotates keys while it leads, sends its supervisor the keys to serve with
 * and speaks for the node in the cluster, until told to drain.
 *
 * Exit codes: 0 ended as asked, 1 could not start (a wrong cluster key says which), 2 its plan cannot be read.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { unixClock } from "@meridian/clocks/clock-page"
import { releaseStartupPagesSoon } from "@meridian/system/memory"
import { type CoordinatorPlan, coordinatorPlan } from "@meridian/ipc/coordinator-plan"
import { type FromCoordinator, parseToCoordinator, type ToCoordinator } from "@meridian/ipc/coordinator-report"
import { LONGEST_SILENCE_MS, ReportPace, reportEverySecond } from "@meridian/ipc/report-pace"
import { inherited, SupervisorChannel } from "@meridian/ipc/supervised"
import { reasonOf } from "@meridian/system/errno-words"
import { makeDirectory } from "@meridian/system/make-directory"
import { openApi } from "./api.ts"
import { type ClusterKeys, openClusterKeys } from "./cluster-keys.ts"
import { CookieKeyFile } from "./cookie-key-file.ts"
import { Coordinator } from "./coordinator.ts"
import { openEmbedded } from "./embedded.ts"
import { openNotices, sentence } from "./notices.ts"
import { SNAPSHOT_NAME } from "./snapshot-keeper.ts"

/** The supervisor hears why, and starts another after a while. The process ends when that is said. */
const fail = (message: string): Promise<never> => {
  if (process.connected) channel.end({ type: "warning", message }, 1)
  else {
    channel.warn(message)
    process.exit(1)
  }
  return new Promise(() => {})
}

const readClusterKeys = async ({
  clusterKeyFile,
  clusterKey,
  directory,
  nats
}: CoordinatorPlan): Promise<ClusterKeys> => {
  try {
    makeDirectory(directory, 0o750)
  } catch (error) {
    return fail(`there is no state directory ${directory} and none can be made: ${reasonOf(error)}`)
  }
  try {
    return openClusterKeys({
      file: clusterKeyFile ?? undefined,
      credentials: process.env["CREDENTIALS_DIRECTORY"],
      variable: clusterKey ?? undefined,
      directory,
      create: nats === null
    })
  } catch (error) {
    return fail(sentence(error))
  }
}

const handed = inherited(process, "coordinator", "its plan and takes the keys it sends", { "clock-page": "optional" })
const channel = new SupervisorChannel<CoordinatorPlan, ToCoordinator, FromCoordinator | ServingKeys>({
  service: "coordinator",
  plan: coordinatorPlan,
  read: parseToCoordinator
})
const { plan: settings } = await channel.first
const keys = await readClusterKeys(settings)

const notices = openNotices((message) => channel.warn(message))

let readySaid = false
const sayReady = (): void => {
  if (readySaid) return
  readySaid = true
  channel.send({ type: "ready" })
}

/** NATS is not loaded where the log is a file. */
const startCluster = async () => {
  const { nats, node } = settings
  return nats === null ? undefined : { ...(await import("./cluster.ts")), nats, node }
}

const served = unixClock(handed["clock-page"][0])
/** Served time, whole milliseconds: keys are minted, rotated and retired by it, whatever this machine's clock says. */
const now = (): number => Math.floor(served() * 1e3) + settings.clockOffsetMs

const cookieKeys =
  settings.cookieKeyFile === null
    ? undefined
    : new CookieKeyFile(settings.cookieKeyFile, (message) => notices.warnOnce(message, message))

/** The file has what is in use before anybody seals with it. */
const sendKeys = (keys: ServingKeys): void => {
  const at = now()
  const used = keys.generations.filter(({ activation }) => activation * 1_000 <= at)
  cookieKeys?.keep(
    used.map(({ id, key }) => ({ generation: id, key })),
    at
  )
  channel.send(keys)
}

const program = Effect.gen(function* () {
  const cluster = yield* Effect.promise(startCluster)
  const local = cluster === undefined ? undefined : yield* cluster.openLocal(settings.directory, notices.warn)
  const coordinator = new Coordinator({
    settings,
    keys,
    notices,
    sendKeys,
    onReady: sayReady,
    onNews: (report) => channel.send(report),
    now,
    mirror: local?.mirror
  })
  listen(coordinator)
  yield* openApi(coordinator)
  if (cluster === undefined || local === undefined) {
    const backend = yield* openEmbedded(settings.directory, coordinator.scrutiny, notices.warn)
    coordinator.use(backend)
    const earlier = cookieKeys?.read()
    if (earlier !== undefined) coordinator.inherit(earlier)
    yield* coordinator.restore(yield* backend.log.loadSnapshot(SNAPSHOT_NAME))
    return yield* Effect.raceFirst(coordinator.keepServing, coordinator.workWith(backend))
  }
  const restored = yield* coordinator.restore(yield* Effect.promise(() => local.snapshots.load(SNAPSHOT_NAME)))
  const working = Effect.flatMap(
    cluster.openCluster(cluster, local, coordinator.scrutiny, coordinator.candidacy, (why) => {
      const meanwhile = restored
        ? `this node goes on from its snapshot of place ${coordinator.foldedSeq}`
        : "this node has no snapshot and waits, without keys"
      notices.warnOnce(`waiting: ${why}`, `${why}; ${meanwhile}`)
      sayReady()
    }),
    (backend) => coordinator.workWith(backend)
  )
  return yield* Effect.raceFirst(coordinator.keepServing, working)
}).pipe(Effect.scoped)

const listen = (coordinator: Coordinator): void => {
  channel.run({
    // What its plan says is decided when it starts: another plan is another process's.
    take: () => {},
    obey: (told) => {
      switch (told.type) {
        case "health":
          return coordinator.useHealth(told)
        case "clock-events":
          return coordinator.hearClock(told.events)
        case "drain":
          return void drain(coordinator)
      }
    }
  })
  process.on("SIGTERM", () => void drain(coordinator))
  const pace = new ReportPace(0)
  // What NATS and other nodes do is in no event; on a node of its own all that changes is.
  const quietMs = settings.nats === null ? LONGEST_SILENCE_MS : undefined
  const look = (): void => {
    if (pace.isDue(JSON.stringify(coordinator.state))) channel.send(coordinator.report)
  }
  const reporting = reportEverySecond(pace, look, quietMs)
  coordinator.onActivity = reporting.stir
  releaseStartupPagesSoon()
  setTimeout(() => {
    if (!readySaid) notices.warnOnce("no keys", `no keys to serve with yet: ${coordinator.reason}`)
    sayReady()
  }, settings.readyLimitMs)
}

const DRAIN_LIMIT = "2 seconds"
const CLOSE_LIMIT = "500 millis"

const drain = async (coordinator: Coordinator): Promise<void> => {
  const resigned = coordinator.leader?.resign ?? Effect.void
  await Effect.runPromise(Effect.timeoutOption(Effect.andThen(resigned, coordinator.save), DRAIN_LIMIT))
  // Closes what is open: the log is then one file, and a copy of it is the log.
  await Effect.runPromise(Effect.timeoutOption(Fiber.interrupt(running), CLOSE_LIMIT))
  channel.end({ type: "drained", report: coordinator.report })
}

const running = Effect.runFork(Effect.result(program))
const exit = await Effect.runPromise(Fiber.await(running))
// An interruption is the drain's, which ends the process by itself.
if (Exit.isSuccess(exit) && exit.value._tag === "Failure") await fail(sentence(exit.value.failure))
if (Exit.isFailure(exit) && !Exit.hasInterrupts(exit)) await fail(sentence(exit.cause))
