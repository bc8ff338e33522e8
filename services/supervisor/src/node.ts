/**
 * The node: sockets, clock page, the processes and their keys, the control socket; what signals do to them. Everything is
 * acquired in one scope and given back in reverse order.
 */
import { closeClockPage, makeClockPage, openClockPageReader } from "@meridian/clocks/clock-page"
import { systemClock } from "@meridian/clocks/system-clock"
import type { NodeStatus } from "@meridian/ipc"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { AccessPlanner } from "./access-planner.ts"
import { ClientMemory } from "./client-memory.ts"
import { everyTurn } from "@meridian/ipc/turns"
import { AnycastSlot } from "./anycast-slot.ts"
import { holdServiceAddresses } from "./service-addresses.ts"
import { AutokeySlot } from "./autokey-slot.ts"
import { ClockSlot, clockStatus } from "./clock-slot.ts"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { CoordinatorSlot } from "./coordinator-slot.ts"
import { type Act, carryOut, type RecordAct } from "./acts.ts"
import { ControlSlot } from "./control-slot.ts"
import { openControlSocket, type Resource } from "./control-socket.ts"
import { claimStateDirectory, isWritable } from "./state-directory.ts"
import { ServedKeys, unreadableLater } from "./served-keys.ts"
import { leaveMemory, type Legacy, memoryLayout } from "./legacy.ts"
import { NodeDrain, wasDrained } from "./node-drain.ts"
import type { NodePlan } from "./node-plan.ts"
import { NtsKeSlot } from "./nts-ke-slot.ts"
import { firstPlan } from "./first-plan.ts"
import { ProcessRecord } from "./process-record.ts"
import { LivePlan } from "./live-plan.ts"
import { settlePrivilege } from "./privilege.ts"
import { openCommandSockets } from "./sockets.ts"
import { Listening } from "./listening.ts"
import { AddressWatch, awaited } from "./address-watch.ts"
import { PortWatch } from "./port-watch.ts"
import { mayAskForMore } from "@meridian/config/listen"
import { machineAddresses } from "@meridian/system/configuration-files"
import { SigndSlot } from "./signd-slot.ts"
import { sourceActs } from "./source-acts.ts"
import { attempt, type RunningNode, startAll, type StartFailed } from "./running-node.ts"
import { afterReports } from "./pacing.ts"
import { applyPlan, decisionOf, servesKeys, speaksToMany } from "./plan-change.ts"
import { endNode, handOver, whyNoHandOver } from "./node-ending.ts"
import type { NodeParts } from "./node-parts.ts"
import { nodeStatus } from "./node-status-view.ts"
import { WorkerSlot } from "./worker-slot.ts"

/** How often the clock's process hears what lines of sysstats are made of; only where they are written. */
const COUNTERS_INTERVAL_MS = 12_000

/** What few nodes ask for, or none needs before its processes start, is loaded then. */
const autokeyModule = Effect.promise(() => import("./autokey-material.ts"))
const xdpModule = Effect.promise(() => import("./xdp-slot.ts"))
const watchings = Effect.promise(() => import("./node-watching.ts"))

/** How long a start waits for those that bring and use keys. Time is served meanwhile, and after. */
const KEYS_PATIENCE = "20 seconds"

/** An operator waits at most so long for the clock to take what he asked for: chronyc says everything again after a second. */
const SETTLING_MS = 700

/**
 * Starts everything; succeeds when every worker reads its sockets.
 * @param resources those of the control socket that are the caller's to answer
 * @param acts what an operator may ask for, besides what the node does by itself
 * @param legacy of the program before, whose place this one takes without a packet lost
 */
export const startNode = (
  plan: NodePlan,
  resources: Partial<Record<Resource, (query: URLSearchParams) => unknown>>,
  acts: Readonly<Record<string, Act>>,
  legacy?: Legacy
): Effect.Effect<RunningNode, StartFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const system = systemClock()
    const { monotonic } = system
    const startedAt = monotonic.seconds()
    const silentUntil = startedAt + plan.silentSeconds
    const log = yield* FiberSet.makeRuntime<never>()
    /** Filled in when everything runs; a question that comes earlier is told to wait. */
    const started: Partial<Record<Resource, (query: URLSearchParams) => unknown>> = { ...resources }
    const warn = (message: string): void => void log(Effect.logWarning(message))
    const inform = (message: string): void => void log(Effect.logInfo(message))

    /** What the node lacks for as long as it runs; it serves time all the same. */
    const lacking: string[] = []
    const lack = (what: string): void => {
      lacking.push(what)
      warn(`${what}; time is served all the same`)
    }
    const directory = yield* attempt(() => claimStateDirectory(plan.stateDirectory))
    yield* Effect.addFinalizer(() => Effect.sync(directory.release))
    if (directory.problem !== undefined) lack(directory.problem)
    const processes = new ProcessRecord(plan.stateDirectory)
    yield* Effect.addFinalizer(() => Effect.sync(() => processes.close()))
    const killed = yield* attempt(() => processes.begin(Object.values(plan.programs)))
    if (killed.length > 0)
      warn(`killed what a node before left in ${plan.stateDirectory} and did not end: process ${killed.join(", ")}`)
    const control = yield* Effect.result(
      attempt(() => openControlSocket(plan.stateDirectory, (resource, query) => started[resource]?.(query)))
    )
    if (control._tag === "Success") yield* Effect.addFinalizer(() => Effect.sync(() => void control.success.close()))
    else if (directory.problem === undefined)
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
    const xdpSlot = plan.xdp === undefined ? undefined : (yield* xdpModule).XdpSlot
    const opened = yield* attempt(() => xdpSlot?.open(plan, sockets.hosts))
    const xdp = typeof opened === "string" ? undefined : opened
    if (typeof opened === "string") lack(opened)
    if (xdp !== undefined) yield* Effect.addFinalizer(() => Effect.sync(() => xdp.close()))
    /** Memory of another version's shape is left behind. */
    const memory = legacy?.layout === memoryLayout() ? legacy : undefined
    if (legacy !== undefined && memory === undefined) leaveMemory(legacy)
    const page = xdp?.clockPage ?? memory?.page ?? (yield* attempt(() => makeClockPage()))
    if (xdp === undefined) yield* Effect.addFinalizer(() => Effect.sync(() => closeClockPage(page)))
    const reader = openClockPageReader(page.readable)
    const steers = plan.discipline.mode === "kernel"
    /** Until there is a plan to change, nobody is told. */
    let tellKeys = (_keys: ServingKeys): void => {}
    const autokeyMaterial =
      plan.autokey === undefined ? undefined : new (yield* autokeyModule).AutokeyMaterial(plan.autokey)
    const servedKeys = new ServedKeys(plan.keyFile, plan.sendCryptoNak, (keys) => tellKeys(keys))
    // Key files are root's alone, as their makers leave them: they are read while this process is root.
    const keyProblems = [
      ...servedKeys.readFile(),
      ...(autokeyMaterial?.readFiles() ?? []),
      ...unreadableLater(plan.keyFile, plan.identity)
    ]
    const bindsLater =
      mayAskForMore(plan.listen) && [...plan.ports, plan.nts?.port ?? 65_535].some((port) => port < 1024)
    const privilege = yield* attempt(() =>
      settlePrivilege(plan.identity, plan.stateDirectory, { steers, bindsLater, logFile: plan.logFile })
    )
    if (privilege.warning !== undefined) warn(privilege.warning)

    const hasKeys = servesKeys(plan)
    const access: AccessPlanner = new AccessPlanner(
      plan.access,
      (encoded) => {
        const { serving, control } = live.plan
        live.change({ serving: { ...serving, access: encoded }, control: { ...control, rules: access.shown } })
        tellXdp()
      },
      warn,
      { own: machineAddresses().map(({ address }) => address) }
    )
    yield* Effect.addFinalizer(() => Effect.sync(() => access.stop()))
    const clients = yield* attempt(
      () => new ClientMemory(plan.access.settings, plan.workers, memory?.clients, monotonic.seconds)
    )
    const live: LivePlan = new LivePlan(
      firstPlan(plan, {
        keys: servedKeys.keys,
        autokey: autokeyMaterial?.serving(servedKeys.keys) ?? null,
        access,
        silentUntil,
        // Told where two answer, which must say the same.
        precision: xdp === undefined ? null : system.measurePrecision(),
        serving: sockets.serving,
        offline: legacy?.offline ?? [],
        wasDrained: wasDrained(plan.stateDirectory)
      })
    )
    const tellXdp = (): void => {
      const { precision, minimumPoll } = live.plan.serving
      xdp?.use({ strangers: access.strangers, precision: precision ?? 0, minimumPoll })
    }
    tellXdp()
    tellKeys = (keys) => live.change({ keys, autokey: autokeyMaterial?.serving(keys) ?? null })
    const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index)
    const launch = (program: keyof NodePlan["programs"]) => ({
      program: plan.programs[program],
      clockPage: page.readable,
      live,
      warn,
      processes
    })
    const workers: readonly WorkerSlot[] = numbers(plan.workers).map(
      (index) =>
        new WorkerSlot({
          ...launch("worker"),
          index,
          clients: () => clients.descriptors[index],
          sockets: sockets.worker(index),
          onPeers: (seen) => clock.service.process.broadcast(seen)
        })
    )
    const ntsKe: readonly NtsKeSlot[] = numbers(plan.nts?.processes ?? 0).map(
      (index) => new NtsKeSlot(index, { ...launch("ntsKe"), sockets: sockets.ntsKe(index) })
    )
    const coordinator: CoordinatorSlot = new CoordinatorSlot({
      ...launch("coordinator"),
      onKeys: (given) => servedKeys.useLog(given),
      onReport: (report) => {
        drain.hear(report)
        anycast?.hearCoordinator(report)
        if (live.plan.identity === null || live.plan.identity.decision === decisionOf(report)) return
        live.change({ identity: { ...live.plan.identity, decision: decisionOf(report) } })
      }
    })
    const anycast =
      plan.anycast === undefined ? undefined : new AnycastSlot({ ...launch("anycast"), device: held?.device, inform })
    const drain = new NodeDrain({
      stateDirectory: plan.stateDirectory,
      live,
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
    const clock: ClockSlot = new ClockSlot({
      ...launch("discipline"),
      page: page.writable,
      maySetClock: privilege.forClock,
      onEvents: (events) => coordinator.tellClockEvents(events),
      onCertificates: (certificates) => {
        autokeyMaterial?.learn(certificates)
        if (autokeyMaterial !== undefined) live.change({ autokey: autokeyMaterial.serving(servedKeys.keys) })
      },
      onLists: (lists) => {
        autokeyMaterial?.useLists(lists)
        if (autokeyMaterial !== undefined) live.change({ autokey: autokeyMaterial.serving(servedKeys.keys) })
      }
    })
    const settled = (): Promise<void> => clock.service.holding(SETTLING_MS)
    const record: RecordAct = (act, author, changes) =>
      coordinator.tellClockEvents([{ _tag: "Act", act, author, changes }])
    const shown: ControlSlot = new ControlSlot({
      ...launch("control"),
      sockets: sockets.ofKind("control"),
      commandSockets,
      act: async (asked) => {
        const acted = await carryOut(asked, {
          ...acts,
          ...sourceActs({ live, tell: (command) => clock.service.process.broadcast(command), inform, record }),
          rekey: async (_, author) => {
            record("rekey", author, [])
            const problems = servedKeys.readFile()
            return { ok: problems.length === 0, message: problems[0] ?? "the key file was read again" }
          }
        })
        await settled()
        return acted
      }
    })
    const isSteered = sockets.unsteered === undefined
    const signd =
      plan.signdSocket === undefined || !isSteered
        ? undefined
        : new SigndSlot({ ...launch("signd"), sockets: sockets.ofKind("signd") })
    if (plan.signdSocket !== undefined && signd === undefined)
      warn(`Windows clients are not served, since packets are not steered by kind: ${sockets.unsteered ?? "unknown"}`)
    const readAutokeyFiles = (): readonly string[] => {
      if (autokeyMaterial === undefined) return []
      const problems = autokeyMaterial.readFiles()
      live.change({ autokey: autokeyMaterial.serving(servedKeys.keys) })
      return problems
    }
    const autokey =
      plan.autokey === undefined || !isSteered
        ? undefined
        : new AutokeySlot({ ...launch("autokey"), sockets: sockets.ofKind("autokey") })
    if (plan.autokey !== undefined && autokey === undefined)
      warn("Autokey is not served: its packets cannot be told from others here, for which the addon is needed")
    // Everything that is served by the plan; a service that is added is added here.
    const services = [...workers, ...ntsKe, signd, clock, shown, autokey, anycast].filter((it) => it !== undefined)
    for (const { service } of services) live.whenChanged(() => service.tellPlan())
    for (const problem of keyProblems) warn(problem)
    void access.resolveNames()
    const timeServing = [clock.service.process, ...workers.map(({ service }) => service.process)]
    const keyServing = [coordinator.service.process, ...ntsKe.map(({ service }) => service.process)]
    const served = [...workers, ...ntsKe, shown, signd, autokey].filter((it) => it !== undefined)
    const network: AddressWatch = new AddressWatch({
      listening: sockets,
      addresses: machineAddresses,
      seen: (there) => access.useOwn(there.map(({ address }) => address)),
      changed: () => {
        drain.holdShut()
        live.change({ discipline: { ...live.plan.discipline, serving: sockets.serving } })
      },
      renew: () =>
        new Promise<void>((done) => {
          const all = Effect.forEach(served, ({ service }) => service.process.refresh, { discard: true })
          log(Effect.ensuring(all, Effect.sync(done)))
        }),
      inform,
      warn
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => network.close()))
    const ports = new PortWatch({
      places: () => sockets.places,
      // With the addon the sockets are the supervisor's, but for those at groups and broadcast addresses.
      own: () => [
        "self",
        ...[...(plan.native ? [] : workers), ...(speaksToMany(live.plan.discipline) ? [clock] : [])].flatMap(
          ({ service }) => service.process.pid ?? []
        )
      ],
      inform,
      warn
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => ports.close()))
    const parts: NodeParts = {
      plan,
      live,
      access,
      servedKeys,
      readAutokeyFiles,
      sockets,
      commandSockets,
      page,
      clients,
      reader,
      system,
      startedAt,
      silentUntil,
      lacking,
      clock,
      coordinator,
      shown,
      workers,
      ntsKe,
      signd,
      autokey,
      anycast,
      xdp,
      drain,
      network,
      ports
    }
    const status = (): NodeStatus => nodeStatus(parts)
    /** Those that keep something there would end again and again, each time with a line about it. */
    const writable = Effect.repeat(
      Effect.sync(() => isWritable(plan.stateDirectory)),
      { schedule: Schedule.spaced("5 seconds"), until: (is) => is }
    )
    // The coordinator is the heaviest to start and plain time does not need it: it comes first only where its keys do.
    if (hasKeys) for (const place of keyServing) yield* Effect.forkScoped(Effect.andThen(writable, place.keepFilled))
    // While the processes start.
    const [, { watchNode }] = yield* Effect.all([startAll(timeServing), watchings], { concurrency: "unbounded" })
    if (!hasKeys) for (const place of keyServing) yield* Effect.forkScoped(Effect.andThen(writable, place.keepFilled))
    // As the workers, the program answers nobody without time while the node has just started.
    const mayAnswer = Effect.sync(
      () => clockStatus(reader, "", system).synchronised || monotonic.seconds() >= silentUntil
    )
    const begun = Effect.repeat(mayAnswer, { schedule: Schedule.spaced("100 millis"), until: (may) => may })
    if (xdp !== undefined)
      yield* Effect.forkScoped(
        Effect.andThen(
          begun,
          Effect.sync(() => xdp.begin())
        )
      )
    // Nothing waits for these: a node that cannot be looked at, or cannot sign, serves all the same.
    if (signd !== undefined) yield* Effect.forkScoped(signd.service.process.keepFilled)
    if (autokey !== undefined) yield* Effect.forkScoped(autokey.service.process.keepFilled)
    yield* Effect.forkScoped(shown.service.process.keepFilled)
    if (anycast !== undefined) yield* Effect.forkScoped(anycast.service.process.keepFilled)
    const watching = yield* watchNode(parts, () => autokeyMaterial?.report ?? null, { inform, warn })
    Object.assign(started, watching.resources)
    const { tellCounters } = watching
    tellCounters()
    const expected = directory.problem === undefined ? keyServing : []
    yield* Effect.forEach(expected, (place) => Effect.ignore(place.firstReady), { concurrency: "unbounded" }).pipe(
      Effect.timeoutOption(KEYS_PATIENCE)
    )
    const told = everyTurn(COUNTERS_INTERVAL_MS, tellCounters, afterReports)
    yield* Effect.addFinalizer(() => Effect.sync(told.stop))
    return {
      status,
      keepJournal: watching.keepJournal,
      replaceWorkers: Effect.forEach(workers, (slot) => slot.service.process.replace, { discard: true }),
      apply: (next) => applyPlan(parts, next),
      record,
      settled,
      sources: () => clock.report?.sources ?? [],
      leave: Effect.promise(() => drain.leave()),
      cannotHandOver: whyNoHandOver(parts),
      handOver: handOver(parts),
      drain: endNode(parts, tellCounters)
    }
  })
