/**
 * The node: sockets, clock page, the processes and their keys, the control socket; what signals do to them. Everything is
 * acquired in one scope and given back in reverse order.
 */
import { availableParallelism, hostname } from "node:os"
import { closeClockPage, makeClockPage, openClockPageReader } from "@meridian/clocks/clock-page"
import { systemClock } from "@meridian/clocks/system-clock"
import type { CoordinatorReport } from "@meridian/ipc/coordinator-report"
import type { DisciplineConfiguration } from "@meridian/ipc/discipline-report"
import type { OutliveMessage } from "@meridian/ipc/outlive"
import type { NodeStatus } from "@meridian/ipc/node-status"
import { addCounters, noCounters, type WorkerCounters } from "@meridian/ipc/worker-report"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import { AccessBoard } from "./access-board.ts"
import type { ClientOrder } from "@meridian/protocol/access/client-list"
import { clientList, MOST_LISTED, orderOf } from "./client-list.ts"
import { openClientMemory } from "./client-memory.ts"
import { AnycastSlot, tellFacts } from "./anycast-slot.ts"
import { holdServiceAddresses } from "./service-addresses.ts"
import { AutokeyBoard } from "./autokey-board.ts"
import { AutokeySlot } from "./autokey-slot.ts"
import { ClockPlace, clockStatus, startingText } from "./clock-place.ts"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { errnoWords } from "@meridian/system/errno-words"
import { errnoName } from "@meridian/system/native"
import { CoordinatorPlace } from "./coordinator-place.ts"
import { carryOut } from "./acts.ts"
import { ControlSlot } from "./control-slot.ts"
import { openControlSocket, type Resource } from "./control-socket.ts"
import { claimStateDirectory } from "./state-directory.ts"
import { KeyBoard, unreadableLater } from "./key-board.ts"
import { Journal } from "./journal.ts"
import { type Legacy, memoryLayout } from "./legacy.ts"
import { NodeDrain, wasDrained } from "./node-drain.ts"
import type { NodePlan } from "./node-plan.ts"
import { nodeSnapshots, systemFacts } from "./node-snapshots.ts"
import { NtsKeSlot } from "./nts-ke-slot.ts"
import { PlanBoard } from "./plan-board.ts"
import { settlePrivilege } from "./privilege.ts"
import { openCommandSockets } from "./sockets.ts"
import { Listening } from "./listening.ts"
import { AddressWatch, awaited } from "./address-watch.ts"
import { PortWatch } from "./port-watch.ts"
import { mayAskForMore } from "@meridian/config/listen"
import { machineAddresses } from "@meridian/system/configuration-files"
import { SigndSlot } from "./signd-slot.ts"
import type { SupervisedProcess } from "./supervised-process.ts"
import { systemCounters } from "@meridian/ipc/system-counters"
import { WorkerSlot } from "./worker-slot.ts"
import { XdpPlace } from "./xdp-place.ts"

export interface RunningNode {
  readonly status: () => NodeStatus
  /** Has the log say what happens from now on: not before whoever started it has seen that it runs. */
  readonly keepJournal: () => void
  /** Replaces the workers one by one; each successor reads before its predecessor stops. */
  readonly replaceWorkers: Effect.Effect<void>
  /** Works by another plan, as far as that is possible without a start; key files and certificates are read again. Returns what went wrong. */
  readonly apply: (next: NodePlan) => Effect.Effect<readonly string[]>
  /** Takes the node out as an operator's drain does, for one that is about to end: nobody is cut off. */
  readonly leave: Effect.Effect<void>
  /** Why this process cannot become another version's supervisor; undefined where it can. */
  readonly cannotHandOver: string | undefined
  /** Ends all but who serves time and keys, and says what the program that this process becomes finds. There is no way back. */
  readonly handOver: Effect.Effect<Legacy>
  /** Withdraws the route, has every process finish what it holds, then ends them and the clock. */
  readonly drain: Effect.Effect<void>
}

/** What stopped the node from starting, in one line that says what to do. */
export interface StartFailed {
  readonly _tag: string
  readonly message: string
}

const attempt = <A>(what: () => A | Promise<A>): Effect.Effect<A, StartFailed> =>
  Effect.tryPromise({
    try: async () => what(),
    catch: (error) => {
      const known = error as Partial<StartFailed>
      if (known._tag !== undefined) return { _tag: known._tag, message: known.message ?? String(error) }
      const name = errnoName(error)
      return { _tag: "StartFailed", message: name === "UNKNOWN" ? (known.message ?? String(error)) : errnoWords(name) }
    }
  })

/** How often the coordinator hears how the node is; it decides itself what of that is worth an event. */
const HEALTH_INTERVAL_MS = 2_000

/** Whether the clock's process must start anew for this: it takes other sources by itself, and nothing else. */
const needsNewClock = (before: DisciplineConfiguration, after: DisciplineConfiguration): boolean => {
  const besides = ({ sources: _sources, ...rest }: DisciplineConfiguration): string => JSON.stringify(rest)
  const usesNts = ({ sources }: DisciplineConfiguration): boolean => sources.some(({ nts }) => nts !== null)
  const usesAutokey = ({ sources }: DisciplineConfiguration): boolean =>
    sources.some(({ autokey }) => (autokey ?? null) !== null)
  return (
    besides(before) !== besides(after) ||
    (before.sources.length === 0) !== (after.sources.length === 0) ||
    (!usesNts(before) && usesNts(after)) ||
    (!usesAutokey(before) && usesAutokey(after))
  )
}

/** The event by which the clock follows what it follows, as far as the log has it. */
const decisionOf = (report: CoordinatorReport | undefined): string => (report?.clockDecision ?? "").slice(0, 64)

/** How often the control process gets a new picture. */
const SNAPSHOT_INTERVAL_MS = 1_000

/** While nothing is new, so many pass between two pictures: they age by less than what makes one stale. */
const QUIET_PICTURES = 3
/** A coordinator that has just begun to listen may have missed what it was told. */
const HEALTH_REPEATED = 5

/** Whether a text is another than before, or has stayed the same for so many calls. */
const onNews = (most: number): ((news: string) => boolean) => {
  let known = ""
  let same = 0
  return (news) => {
    same = news === known ? same + 1 : 0
    known = news
    return same % most === 0
  }
}

/** The picture holds so many of the latest clients, read again after so many seconds: the list may be long. */
const CLIENTS_IN_PICTURE = 1_000
const CLIENTS_INTERVAL_SECONDS = 10

/** What was read last, for so many seconds, and for as long as nothing `changed`. */
const seldom = <A>(seconds: number, now: () => number, changed: () => number, read: () => A): (() => A) => {
  let known = changed()
  let last = read()
  let at = now()
  return () => {
    if (now() - at < seconds || known === changed()) return last
    known = changed()
    at = now()
    return (last = read())
  }
}

/** How often the clock's process hears what lines of sysstats are made of; only where they are written. */
const COUNTERS_INTERVAL_MS = 10_000

/** How long a start waits for those that bring and use keys. Time is served meanwhile, and after. */
const KEYS_PATIENCE = "20 seconds"

/** Starts processes together; succeeds when all are ready. */
const startAll = (places: readonly SupervisedProcess[]): Effect.Effect<void, StartFailed, Scope.Scope> =>
  Effect.gen(function* () {
    for (const place of places) yield* Effect.forkScoped(place.keepFilled)
    yield* Effect.forEach(places, (place) => place.firstReady, { concurrency: "unbounded", discard: true }).pipe(
      Effect.mapError((message): StartFailed => ({ _tag: "ProcessNotReady", message }))
    )
  })

/**
 * Starts everything; succeeds when every worker reads its sockets.
 * @param doors resources of the control socket that are the caller's to answer
 * @param legacy of the program before, whose place this one takes without a packet lost
 */
export const startNode = (
  plan: NodePlan,
  doors: Partial<Record<Resource, (query: URLSearchParams) => unknown>>,
  legacy?: Legacy
): Effect.Effect<RunningNode, StartFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const system = systemClock()
    const { monotonic } = system
    const startedAt = monotonic.seconds()
    const silentUntil = startedAt + plan.silentSeconds
    const log = yield* FiberSet.makeRuntime<never>()
    /** Filled in when everything runs; a question that comes earlier is told to wait. */
    const started: Partial<Record<Resource, (query: URLSearchParams) => unknown>> = { ...doors }
    const warn = (message: string): void => void log(Effect.logWarning(message))

    /** What the node lacks for as long as it runs; it serves time all the same. */
    const lacking: string[] = []
    const lack = (what: string): void => {
      lacking.push(what)
      warn(`${what}; time is served all the same`)
    }
    const directory = yield* attempt(() => claimStateDirectory(plan.stateDirectory))
    yield* Effect.addFinalizer(() => Effect.sync(directory.release))
    if (directory.problem !== undefined) lack(directory.problem)
    const control = yield* Effect.result(
      attempt(() => openControlSocket(plan.stateDirectory, (resource, query) => started[resource]?.(query)))
    )
    if (control._tag === "Success") yield* Effect.addFinalizer(() => Effect.sync(() => void control.success.close()))
    else
      lack(
        `no control socket can be made in ${plan.stateDirectory} (${control.failure.message}): nobody can ask for its status`
      )
    // Before the sockets, which may be bound to them.
    const held = plan.anycast === undefined ? undefined : holdServiceAddresses(plan.anycast)
    yield* Effect.addFinalizer(() => Effect.sync(() => held?.release()))
    for (const problem of held?.problems ?? []) lack(problem)
    const sockets = yield* attempt(() => Listening.open({ ...plan, rules: plan.listen }, machineAddresses(), legacy))
    for (const address of sockets.absent) warn(awaited(address))
    if (sockets.unsteered !== undefined && plan.native)
      warn(`packets are spread over the workers by the kernel's hash, not by address: ${sockets.unsteered}`)
    const commandSockets = legacy?.commands ?? (yield* attempt(() => openCommandSockets(plan.commandPort, plan.native)))
    const opened = yield* attempt(() => XdpPlace.open(plan, sockets.hosts))
    const xdp = opened instanceof XdpPlace ? opened : undefined
    if (typeof opened === "string") lack(opened)
    if (xdp !== undefined) yield* Effect.addFinalizer(() => Effect.sync(() => xdp.close()))
    /** Memory of another version's shape is left behind. */
    const memory = legacy?.layout === memoryLayout() ? legacy : undefined
    const page = xdp?.clockPage ?? memory?.page ?? (yield* attempt(() => makeClockPage()))
    if (xdp === undefined) yield* Effect.addFinalizer(() => Effect.sync(() => closeClockPage(page)))
    const reader = openClockPageReader(page.readable)
    const steers = plan.discipline.mode === "kernel"
    /** Until there is a plan to change, nobody is told. */
    let tellKeys = (_keys: ServingKeys): void => {}
    const autokeyBoard = plan.autokey === undefined ? undefined : new AutokeyBoard(plan.autokey)
    const keyBoard = new KeyBoard(plan.keyFile, plan.sendCryptoNak, (keys) => tellKeys(keys))
    // Key files are root's alone, as their makers leave them: they are read while this process is root.
    const keyProblems = [
      ...keyBoard.readFile(),
      ...(autokeyBoard?.readFiles() ?? []),
      ...unreadableLater(plan.keyFile, plan.identity)
    ]
    const bindsLater =
      mayAskForMore(plan.listen) && [...plan.ports, plan.nts?.port ?? 65_535].some((port) => port < 1024)
    const privilege = yield* attempt(() =>
      settlePrivilege(plan.identity, plan.stateDirectory, { steers, bindsLater, logFile: plan.logFile })
    )
    if (privilege.warning !== undefined) warn(privilege.warning)

    const servesKeys = ({ keyFile }: NodePlan): boolean =>
      keyFile !== undefined || plan.nts !== undefined || plan.coordinator.mint.symmetric
    const hasKeys = servesKeys(plan)
    const access = new AccessBoard(
      plan.access,
      (encoded) => {
        board.change({ serving: { ...board.plan.serving, access: encoded } })
        tellXdp()
      },
      warn
    )
    yield* Effect.addFinalizer(() => Effect.sync(() => access.stop()))
    const clients = yield* attempt(() =>
      openClientMemory(plan.access.settings.clientList.bytes.value, plan.workers, memory?.clients)
    )
    const board: PlanBoard = new PlanBoard({
      keys: keyBoard.keys,
      servesKeys: hasKeys,
      serving: {
        gatherMicroseconds: plan.gatherMicroseconds,
        silentUntil,
        // A client's poll interval is echoed as it is, the negative ones of sub-second polls too.
        minimumPoll: -128,
        // Told where two answer, which must say the same.
        precision: xdp === undefined ? null : system.measurePrecision(),
        tellPeers: (plan.discipline.passivePeers ?? 0) > 0,
        access: access.encoded
      },
      ntsKe: plan.nts?.settings ?? null,
      acceptsNtsKe: !wasDrained(plan.stateDirectory),
      anycast: plan.anycast?.settings ?? null,
      announces: !wasDrained(plan.stateDirectory),
      identity: plan.identifiesAs === undefined ? null : { ...plan.identifiesAs, decision: "" },
      signd: plan.signdSocket === undefined ? null : { socket: plan.signdSocket },
      discipline: { ...plan.discipline, serving: sockets.serving },
      autokey: autokeyBoard?.serving(keyBoard.keys) ?? null,
      coordinator: plan.coordinator,
      control: { stateDirectory: plan.stateDirectory, http: plan.http, controlKey: plan.controlKey ?? null }
    })
    const tellXdp = (): void => {
      const { precision, minimumPoll } = board.plan.serving
      xdp?.use({ strangers: access.strangers, precision: precision ?? 0, minimumPoll })
    }
    tellXdp()
    tellKeys = (keys) => board.change({ keys, autokey: autokeyBoard?.serving(keys) ?? null })
    const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index)
    const workers: readonly WorkerSlot[] = numbers(plan.workers).map(
      (index) =>
        new WorkerSlot({
          index,
          program: plan.programs.worker,
          clockPage: page.readable,
          clients: clients[index]?.descriptor,
          sockets: sockets.worker(index),
          board,
          onPeers: (seen) => clock.service.process.broadcast(seen),
          warn
        })
    )
    const ntsKe: readonly NtsKeSlot[] = numbers(plan.nts?.processes ?? 0).map(
      (index) =>
        new NtsKeSlot({
          index,
          program: plan.programs.ntsKe,
          clockPage: page.readable,
          sockets: sockets.ntsKe(index),
          board,
          warn
        })
    )

    const coordinator: CoordinatorPlace = new CoordinatorPlace({
      program: plan.programs.coordinator,
      clockPage: page.readable,
      board,
      onKeys: (given) => keyBoard.useLog(given),
      onReport: (report) => {
        drain.hear(report)
        if (board.plan.identity === null || board.plan.identity.decision === decisionOf(report)) return
        board.change({ identity: { ...board.plan.identity, decision: decisionOf(report) } })
      },
      warn
    })
    const anycast =
      plan.anycast === undefined
        ? undefined
        : new AnycastSlot({
            program: plan.programs.anycast,
            clockPage: page.readable,
            device: held?.device,
            board,
            warn,
            inform: (message) => void log(Effect.logInfo(message))
          })
    const drain = new NodeDrain({
      stateDirectory: plan.stateDirectory,
      board,
      ntsKe,
      isWithdrawn: anycast && (() => anycast.isWithdrawn),
      ...plan.drain,
      monotonic: () => monotonic.seconds(),
      listeners: () => sockets.listeners,
      report: () => coordinator.report,
      renew: (slot) => void log(slot.service.process.renew),
      warn
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => drain.end()))
    const clock: ClockPlace = new ClockPlace({
      program: plan.programs.discipline,
      page: page.writable,
      board,
      maySetClock: privilege.forClock,
      onEvents: (events) => coordinator.tellClockEvents(events),
      onCertificates: (certificates) => {
        autokeyBoard?.learn(certificates)
        if (autokeyBoard !== undefined) board.change({ autokey: autokeyBoard.serving(keyBoard.keys) })
      },
      warn
    })
    const shown: ControlSlot = new ControlSlot({
      program: plan.programs.control,
      sockets: sockets.ofKind("control"),
      commandSockets,
      board,
      warn,
      act: (asked) => carryOut(asked, { readKeys: () => keyBoard.readFile() })
    })
    const signing = sockets.ofKind("signd")
    const isSteered = sockets.unsteered === undefined
    const signd =
      plan.signdSocket === undefined || !isSteered
        ? undefined
        : new SigndSlot({ program: plan.programs.signd, clockPage: page.readable, sockets: signing, board, warn })
    if (plan.signdSocket !== undefined && signd === undefined)
      warn(`Windows clients are not served, since packets are not steered by kind: ${sockets.unsteered ?? "unknown"}`)
    const readAutokeyFiles = (): readonly string[] => {
      if (autokeyBoard === undefined) return []
      const problems = autokeyBoard.readFiles()
      board.change({ autokey: autokeyBoard.serving(keyBoard.keys) })
      return problems
    }
    const autokeySockets = sockets.ofKind("autokey")
    const autokey =
      plan.autokey === undefined || !isSteered
        ? undefined
        : new AutokeySlot({
            program: plan.programs.autokey,
            clockPage: page.readable,
            sockets: autokeySockets,
            board,
            warn
          })
    if (plan.autokey !== undefined && autokey === undefined)
      warn("Autokey is not served: its packets cannot be told from others here, for which the addon is needed")
    // Everything that is served by the plan; a service that is added is added here.
    const services: readonly { readonly tellPlan: () => void }[] = [
      ...workers,
      ...ntsKe,
      ...(signd === undefined ? [] : [signd]),
      clock,
      shown,
      ...(autokey === undefined ? [] : [autokey]),
      ...(anycast === undefined ? [] : [anycast])
    ].map(({ service }) => service)
    for (const service of services) board.whenChanged(() => service.tellPlan())
    for (const problem of keyProblems) warn(problem)
    void access.resolveNames()
    const timeServing = [clock.service.process, ...workers.map(({ service }) => service.process)]
    const keyServing = [coordinator.service.process, ...ntsKe.map(({ service }) => service.process)]
    const served = [
      ...workers,
      ...ntsKe,
      shown,
      ...(signd === undefined ? [] : [signd]),
      ...(autokey === undefined ? [] : [autokey])
    ]
    const network: AddressWatch = new AddressWatch({
      listening: sockets,
      addresses: machineAddresses,
      changed: () => {
        drain.holdShut()
        board.change({ discipline: { ...board.plan.discipline, serving: sockets.serving } })
      },
      renew: () =>
        new Promise<void>((done) => {
          const all = Effect.forEach(served, ({ service }) => service.process.refresh, { discard: true })
          log(Effect.ensuring(all, Effect.sync(done)))
        }),
      inform: (message) => void log(Effect.logInfo(message)),
      warn
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => network.close()))
    const ports = new PortWatch({
      places: () => sockets.places,
      // With the addon the sockets are the supervisor's.
      own: () => (plan.native ? ["self"] : ["self", ...workers.flatMap(({ service }) => service.process.pid ?? [])]),
      inform: (message) => void log(Effect.logInfo(message)),
      warn
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => ports.close()))
    const clockSource = (): string => {
      const tracking = clock.report?.tracking
      return tracking?.systemPeer ?? (tracking?.state === "local" ? "local-reference" : "none")
    }
    const missing = (): readonly string[] => [
      ...lacking,
      ...(xdp?.missing === undefined ? [] : [xdp.missing]),
      ...network.missing,
      ...[coordinator, ...ntsKe].flatMap(({ service, trouble }) =>
        service.process.state === "running"
          ? []
          : [`${service.name} does not serve${trouble === undefined ? "" : `: ${trouble}`}`]
      ),
      ...ntsKe.flatMap((slot) => slot.missing),
      ...(plan.nts !== undefined && board.plan.keys.generations.length === 0
        ? ["no master key: NTS is refused until the coordinator has one"]
        : []),
      ...workers.flatMap(({ service: { name, holdsPlan } }) =>
        holdsPlan ? [] : [`${name} does not work by the newest keys and settings`]
      )
    ]
    /** What all that answer requests for time counted together. */
    const totalCounters = (): WorkerCounters =>
      workers.reduce((sum, slot) => addCounters(sum, slot.counters), xdp?.counters ?? noCounters)
    const status = (): NodeStatus => {
      const own = workers.map((slot) => slot.status())
      const answering = xdp?.status() ?? null
      const { keys } = board.plan
      return {
        node: hostname(),
        version: plan.version,
        pid: process.pid,
        uptime: monotonic.seconds() - startedAt,
        listening: sockets.addresses,
        io: plan.native ? "native" : "fallback",
        unsteered: sockets.unsteered ?? null,
        state: plan.stateDirectory,
        clock: clockStatus(reader, clockSource(), system),
        starting: startingText(clock.report?.tracking, silentUntil - monotonic.seconds()),
        waitingFor: clock.report?.tracking.waitingFor ?? [],
        missing: missing(),
        shared: ports.shared,
        drain: drain.status(),
        anycast: anycast?.status() ?? null,
        workers: own,
        xdp: answering,
        ntsKe: ntsKe.map((slot) => slot.status()),
        signd: signd?.status() ?? null,
        autokey: autokey?.status() ?? null,
        coordinator: coordinator.report ?? null,
        keys: {
          masterKeyGenerations: keys.generations.map(({ id, activation, retirement }) => ({
            id,
            activation,
            retirement
          })),
          symmetricKeyIds: keys.symmetric.map(({ id }) => id),
          symmetricKeyTypes: keys.symmetric.map(({ algorithm }) => algorithm),
          symmetricKeyBits: keys.symmetric.map(({ secret }) => secret.length * 8)
        },
        totals: {
          ...totalCounters(),
          overflow: own.reduce((sum, worker) => sum + worker.overflow, 0),
          receivedPerSecond: own.reduce((sum, each) => sum + each.receivedPerSecond, answering?.receivedPerSecond ?? 0),
          repliedPerSecond: own.reduce((sum, each) => sum + each.repliedPerSecond, answering?.repliedPerSecond ?? 0)
        }
      }
    }
    // The coordinator is the heaviest to start and plain time does not need it: it comes first only where its keys do.
    if (hasKeys) for (const place of keyServing) yield* Effect.forkScoped(place.keepFilled)
    yield* startAll(timeServing)
    if (!hasKeys) for (const place of keyServing) yield* Effect.forkScoped(place.keepFilled)
    // As the workers, the program answers nobody without time while the node has just started.
    const mayAnswer = (): boolean => clockStatus(reader, "", system).synchronised || monotonic.seconds() >= silentUntil
    if (mayAnswer()) xdp?.begin()
    else if (xdp !== undefined)
      yield* Effect.forkScoped(
        Effect.gen(function* () {
          while (!mayAnswer()) yield* Effect.sleep("100 millis")
          xdp.begin()
        })
      )
    const receivedNow = (): number => workers.reduce((sum, slot) => sum + slot.received, xdp?.counters.received ?? 0)
    const listed = (order: ClientOrder, most: number) =>
      clientList(
        clients.map(({ buffer }) => buffer),
        { realtime: Date.now() / 1e3, monotonic: monotonic.seconds() },
        order,
        most,
        xdp?.clients(monotonic.seconds(), order, Math.min(most, MOST_LISTED))
      )
    const clientsNow = seldom(CLIENTS_INTERVAL_SECONDS, monotonic.seconds, receivedNow, () =>
      clients.length === 0 && xdp === undefined ? null : listed("last", CLIENTS_IN_PICTURE)
    )
    const use = ({ pid, restarts }: SupervisedProcess, rss: number | undefined) => ({ pid, restarts, rss: rss ?? 0 })
    const snapshot = nodeSnapshots(systemFacts(systemClock().measurePrecision(), availableParallelism()), {
      status,
      clock: () => clock.report,
      autokey: () => autokeyBoard?.report ?? null,
      clients: clientsNow,
      monotonic: () => monotonic.seconds(),
      processes: () => [
        { name: "clock", ...use(clock.service.process, clock.report?.rss) },
        { name: "coordinator", ...use(coordinator.service.process, coordinator.report?.rss) },
        { name: "control", ...use(shown.service.process, shown.report?.rss) },
        ...(autokey === undefined ? [] : [{ name: "autokey", ...use(autokey.service.process, autokey.status().rss) }]),
        ...(anycast === undefined ? [] : [{ name: "anycast", ...use(anycast.service.process, anycast.report?.rss) }])
      ]
    })
    // Nothing waits for these: a node that cannot be looked at, or cannot sign, serves all the same.
    if (signd !== undefined) yield* Effect.forkScoped(signd.service.process.keepFilled)
    if (autokey !== undefined) yield* Effect.forkScoped(autokey.service.process.keepFilled)
    yield* Effect.forkScoped(shown.service.process.keepFilled)
    if (anycast !== undefined) yield* Effect.forkScoped(anycast.service.process.keepFilled)
    let latest = snapshot()
    const journal = new Journal({ inform: (message) => void log(Effect.logInfo(message)), warn })
    let keepsJournal = false
    const filled = [clock, coordinator, shown, ...workers, ...ntsKe, signd, autokey, anycast].filter(
      (it) => it !== undefined
    )
    const newsNow = (): string => {
      const { synchronised } = clockStatus(reader, clockSource(), system)
      return `${board.version} ${synchronised} ${ports.shared.length} ${filled.map(({ service }) => service.process.news).join(" ")}`
    }
    const isPictureDue = onNews(QUIET_PICTURES)
    const pictures = setInterval(() => {
      if (!isPictureDue(newsNow())) return
      latest = snapshot()
      shown.show(latest)
      if (keepsJournal) journal.look(latest)
    }, SNAPSHOT_INTERVAL_MS)
    yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(pictures)))
    started["/snapshot"] = () => latest
    started["/status"] = status
    started["/clients"] = (query) => listed(orderOf(query.get("sort")), Number(query.get("limit") ?? 100) || 100)
    started["/sources"] = () => clock.report?.sources ?? []
    started["/tracking"] = () => clock.report?.tracking
    const isHealthDue = onNews(HEALTH_REPEATED)
    const health = setInterval(() => {
      const { synchronised, stratum } = clockStatus(reader, clockSource(), system)
      const running = workers.filter(({ service }) => service.process.state === "running" && service.holdsPlan).length
      const health = { workers: running, synchronised, stratum }
      const { pid } = coordinator.service.process
      if (isHealthDue([running, synchronised, stratum, pid].join(" "))) coordinator.tellHealth(health)
      access.useSources((clock.report?.sources ?? []).map(({ address }) => address))
    }, HEALTH_INTERVAL_MS)
    yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(health)))
    if (anycast !== undefined) {
      const facts = tellFacts(anycast, () => ({
        workers: workers.filter(({ service }) => service.process.state === "running").length,
        exchanging: ntsKe.filter(({ service }) => service.process.state === "running").length,
        keyProblem: coordinator.report?.keyProblem ?? "",
        received: receivedNow(),
        monotonic: monotonic.seconds()
      }))
      yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(facts)))
    }
    const writesCounters = plan.discipline.filegen.some(({ name }) => name === "sysstats")
    const tellCounters = (): void => {
      if (!writesCounters) return
      clock.service.process.broadcast(systemCounters(totalCounters()))
    }
    tellCounters()
    yield* Effect.forEach(keyServing, (place) => Effect.ignore(place.firstReady), { concurrency: "unbounded" }).pipe(
      Effect.timeoutOption(KEYS_PATIENCE)
    )
    const told = setInterval(tellCounters, COUNTERS_INTERVAL_MS)
    yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(told)))
    const serving = [...workers, ...ntsKe, ...(signd === undefined ? [] : [signd])].map((slot) => slot.service.process)
    return {
      status,
      keepJournal: () => {
        keepsJournal = true
        journal.look(latest)
      },
      replaceWorkers: Effect.forEach(workers, (slot) => slot.service.process.replace, { discard: true }),
      apply: (next) =>
        Effect.gen(function* () {
          const { mode } = plan.discipline
          const { serving } = board.plan.discipline
          const discipline: DisciplineConfiguration = {
            ...next.discipline,
            mode,
            ...(serving === undefined ? {} : { serving })
          }
          const before = board.plan
          const ntsKeChanged = JSON.stringify(before.ntsKe) !== JSON.stringify(next.nts?.settings ?? null)
          access.use(next.access)
          keyBoard.use(next.keyFile, next.sendCryptoNak)
          board.change({
            servesKeys: servesKeys(next),
            identity:
              next.identifiesAs === undefined
                ? null
                : { ...next.identifiesAs, decision: decisionOf(coordinator.report) },
            serving: { ...board.plan.serving, tellPeers: (discipline.passivePeers ?? 0) > 0 },
            ntsKe: plan.nts === undefined ? null : (next.nts?.settings ?? before.ntsKe),
            discipline,
            control: { ...before.control, controlKey: next.controlKey ?? null }
          })
          const problems = [...keyBoard.readFile(), ...readAutokeyFiles()]
          if (needsNewClock(before.discipline, discipline)) yield* clock.service.process.renew
          for (const slot of ntsKe) {
            if (ntsKeChanged) yield* slot.service.process.replace
            else slot.service.process.broadcast({ type: "reload" })
          }
          return problems
        }),
      leave: Effect.promise(() => drain.leave()),
      cannotHandOver: !plan.native
        ? "the node runs without the addon"
        : xdp !== undefined
          ? "xdp is on"
          : anycast === undefined
            ? undefined
            : "a route is announced from here",
      handOver: Effect.gen(function* () {
        const outliving = [...workers, ...ntsKe]
        for (const { service } of outliving) service.process.broadcast({ type: "outlive" } satisfies OutliveMessage)
        const others = [coordinator, clock, shown, signd, autokey].filter((it) => it !== undefined)
        yield* Effect.forEach(others, ({ service }) => service.process.stop, {
          concurrency: "unbounded",
          discard: true
        })
        return {
          ...sockets.legacy,
          layout: memoryLayout(),
          commands: commandSockets,
          page,
          clients: clients.map(({ descriptor }) => descriptor),
          processes: outliving.flatMap(({ service }) => service.process.pid ?? [])
        } satisfies Legacy
      }),
      drain: (anycast === undefined ? Effect.void : anycast.service.process.stop).pipe(
        Effect.andThen(Effect.sync(() => xdp?.stop())),
        Effect.andThen(Effect.forEach(serving, (place) => place.stop, { concurrency: "unbounded", discard: true })),
        Effect.andThen(autokey === undefined ? Effect.void : autokey.service.process.stop),
        Effect.andThen(shown.service.process.stop),
        Effect.andThen(coordinator.service.process.stop),
        Effect.andThen(Effect.sync(tellCounters)),
        Effect.andThen(clock.service.process.stop)
      )
    }
  })
