/** What goes on around a node that serves: its picture for whoever looks, its health for the coordinator, its facts for the routes. */
import { availableParallelism } from "node:os"
import { systemClock } from "@meridian/clocks/system-clock"
import type { AutokeyHostReport } from "@meridian/ipc/node-snapshot"
import { systemCounters } from "@meridian/ipc/system-counters"
import { everyTurn, type Turns } from "@meridian/ipc/turns"
import type { ClientOrder } from "@meridian/protocol/access/client-list"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { tellFacts } from "./anycast-slot.ts"
import { clientList, MOST_LISTED, orderOf } from "./client-list.ts"
import { clockStatus, isGoodFor } from "./clock-slot.ts"
import type { Resource } from "./control-socket.ts"
import { Journal } from "./journal.ts"
import type { NodeParts } from "./node-parts.ts"
import { nodeSnapshots, systemFacts } from "./node-snapshots.ts"
import { clockSource, nodeStatus, totalCounters } from "./node-status-view.ts"
import { afterReports, onNews, seldom, togetherWithin } from "./pacing.ts"
import type { SupervisedProcess } from "./supervised-process.ts"

/** How often the control process gets a new picture, and the coordinator hears how the node is: it decides itself what of that is worth an event. */
const LOOK_MS = 1_000
/** While nothing is new: pictures age by less than what makes one stale. */
const QUIET_LOOK_MS = 4_000
/** A coordinator that has just begun to listen may have missed what it was told. */
const HEALTH_REPEATED_SECONDS = 60

/** A worker that says nothing for so long does not keep whoever asks: it is shown as it was. */
const LONGEST_LOOK_MS = 150

/** The picture holds so many of the latest clients, read again after so many seconds: the list may be long. */
const CLIENTS_IN_PICTURE = 1_000
const CLIENTS_INTERVAL_SECONDS = 10

interface Watching {
  /** Answers of the control socket. */
  readonly resources: Partial<Record<Resource, (query: URLSearchParams) => unknown>>
  /** Has the journal say from now on what changes. */
  readonly keepJournal: () => void
  /** Tells the clock's process what lines of sysstats are made of; only where they are written. */
  readonly tellCounters: () => void
}

/** For as long as the scope lives. @param autokey the report of Autokey's server */
export const watchNode = (
  parts: NodeParts,
  autokey: () => AutokeyHostReport | null,
  log: { readonly inform: (message: string) => void; readonly warn: (message: string) => void }
): Effect.Effect<Watching, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { plan, live, access, clients, reader, system, clock, coordinator, shown, workers, ntsKe } = parts
    const { signd, anycast, xdp, ports } = parts
    const { monotonic } = system
    const status = () => nodeStatus(parts)
    const receivedNow = (): number => workers.reduce((sum, slot) => sum + slot.received, xdp?.counters.received ?? 0)
    const listed = (order: ClientOrder, most: number) =>
      clientList(
        clients.tables,
        access.clientAges,
        { realtime: Date.now() / 1e3, monotonic: monotonic.seconds() },
        order,
        most,
        xdp?.clients(monotonic.seconds(), order, Math.min(most, MOST_LISTED))
      )
    const clientsNow = seldom(CLIENTS_INTERVAL_SECONDS, monotonic.seconds, receivedNow, () =>
      clients.tables.length === 0 && xdp === undefined ? null : listed("last", CLIENTS_IN_PICTURE)
    )
    /** Read where somebody looks: a thousand of them are 200 kB. */
    let clientsShown = clientsNow()
    const use = ({ pid, restarts }: SupervisedProcess, rss: number | undefined) => ({ pid, restarts, rss: rss ?? 0 })
    const snapshot = nodeSnapshots(systemFacts(systemClock().measurePrecision(), availableParallelism()), {
      status,
      clock: () => clock.reportAt(monotonic.seconds()),
      autokey,
      clients: () => clientsShown,
      monotonic: () => monotonic.seconds(),
      processes: () => [
        { name: "clock", ...use(clock.service.process, clock.report?.rss) },
        { name: "coordinator", ...use(coordinator.service.process, coordinator.report?.rss) },
        { name: "control", ...use(shown.service.process, shown.report?.rss) },
        ...(parts.autokey === undefined
          ? []
          : [{ name: "autokey", ...use(parts.autokey.service.process, parts.autokey.status().rss) }]),
        ...(anycast === undefined ? [] : [{ name: "anycast", ...use(anycast.service.process, anycast.report?.rss) }])
      ]
    })
    let latest = snapshot()
    const journal = new Journal(log)
    let keepsJournal = false
    const filled = [clock, coordinator, shown, ...workers, ...ntsKe, signd, parts.autokey, anycast].filter(
      (it) => it !== undefined
    )
    const newsNow = (): string => {
      const { synchronised } = clockStatus(reader, clockSource(parts), system)
      return `${live.version} ${synchronised} ${ports.shared.length} ${filled.map(({ service }) => service.process.news).join(" ")}`
    }
    const isPictureDue = onNews(QUIET_LOOK_MS / 1e3, monotonic.seconds)
    const isHealthDue = onNews(HEALTH_REPEATED_SECONDS, monotonic.seconds)
    const show = (isAskedFor = false): void => {
      latest = snapshot()
      shown.show(latest, isAskedFor)
      if (keepsJournal) journal.look(latest)
    }
    const everyonesWord = togetherWithin(LONGEST_LOOK_MS, () => workers.map((slot) => slot.look()))
    shown.showNow = () => show()
    const freshen = async (): Promise<void> => {
      await everyonesWord()
      clientsShown = clientsNow()
    }
    shown.onLook = () =>
      void freshen().then(() => {
        // What was new is shown by this, and is no reason for another.
        isPictureDue(newsNow())
        show(true)
      })
    const tellHealth = (): void => {
      const { synchronised, stratum } = clockStatus(reader, clockSource(parts), system)
      const running = workers.filter(({ service }) => service.process.state === "running" && service.holdsPlan).length
      const health = { workers: running, synchronised, stratum }
      const { pid } = coordinator.service.process
      if (isHealthDue([running, synchronised, stratum, pid].join(" "))) coordinator.tellHealth(health)
    }
    const looks = everyTurn(
      // What the page says may end without a word.
      () => (isGoodFor(reader, QUIET_LOOK_MS / 1e3, system) ? QUIET_LOOK_MS : LOOK_MS),
      () => {
        if (isPictureDue(newsNow())) show()
        tellHealth()
        access.useSources((clock.report?.sources ?? []).map(({ address }) => address))
      },
      afterReports
    )
    yield* Effect.addFinalizer(() => Effect.sync(looks.stop))
    let facts: Turns | undefined
    const lookSoon = (): void => {
      looks.sooner(LOOK_MS)
      facts?.sooner(LOOK_MS)
    }
    for (const { service } of filled) service.process.onNews = lookSoon
    live.whenChanged(lookSoon)
    if (anycast !== undefined) {
      facts = tellFacts(anycast, everyonesWord, () => ({
        workers: workers.filter(({ service }) => service.process.state === "running").length,
        exchanging: ntsKe.filter(({ service }) => service.process.state === "running").length,
        keyProblem: coordinator.report?.keyProblem ?? "",
        clockDoubt: coordinator.report?.clockDoubt ?? "",
        received: receivedNow(),
        monotonic: monotonic.seconds()
      }))
      yield* Effect.addFinalizer(() => Effect.sync(() => facts?.stop()))
    }
    const writesCounters = plan.discipline.filegen.some(({ name }) => name === "sysstats")
    const tellCounters = (): void => {
      if (!writesCounters) return
      clock.service.process.broadcast(systemCounters(totalCounters(parts)))
    }
    return {
      resources: {
        "/snapshot": () => freshen().then(snapshot),
        "/status": () => everyonesWord().then(status),
        "/clients": (query) => listed(orderOf(query.get("sort")), Number(query.get("limit") ?? 100) || 100),
        "/sources": () => clock.reportAt(monotonic.seconds())?.sources ?? [],
        "/tracking": () => clock.reportAt(monotonic.seconds())?.tracking
      },
      keepJournal: () => {
        keepsJournal = true
        journal.look(latest)
      },
      tellCounters
    }
  })
