/**
 * The BPF program that answers plain requests before they reach a socket: attached while this process still may, told from then on who may be answered
 * and where, and counted like one more worker. It leaves with this process.
 */
import { beginClockPage, type ClockPageDescriptors } from "@meridian/clocks/clock-page"
import { systemClock } from "@meridian/clocks/system-clock"
import type { XdpStatus } from "@meridian/ipc"
import { noCounters, type WorkerCounters } from "@meridian/ipc/worker-report"
import type { ClientEntry, ClientOrder } from "@meridian/protocol/access/client-list"
import { giveUpCapability } from "@meridian/system/capabilities"
import type { Listening, Strangers, AnswerCounts } from "@meridian/xdp"
import { XdpError, hopLimits, ownAddresses, XdpAnswering } from "@meridian/xdp"
import type { NodePlan } from "./node-plan.ts"
import { clientEntry } from "./xdp-clients.ts"

/** How often the addresses of this machine are looked at. */
const LOOK_INTERVAL_MS = 2_000

/** Bytes that the kernel takes for a client: key, record, and what its table needs for an entry. */
const CLIENT_BYTES = 136
const FEWEST_CLIENTS = 1_024
const MOST_CLIENTS = 2 ** 22

const CAP_NET_ADMIN = 12
const CAP_BPF = 39

const MODE_CLIENT = 3

interface XdpRules {
  readonly strangers: Strangers
  /** log2 seconds, as replies say them. */
  readonly precision: number
  readonly minimumPoll: number
}

export class XdpSlot {
  readonly clockPage: ClockPageDescriptors
  private readonly answering: XdpAnswering
  private readonly listening: Listening
  private rules: XdpRules | undefined
  private answers = false
  private looked = ""
  private timer: NodeJS.Timeout | undefined
  private trouble: string | undefined
  private seen = { at: 0, received: 0, replied: 0 }
  private rates = { receivedPerSecond: 0, repliedPerSecond: 0 }

  private constructor(answering: XdpAnswering, listening: Listening) {
    this.answering = answering
    this.listening = listening
    this.clockPage = answering.clockPage
  }

  /**
   * Attaches where the plan asks for it, and gives up what that takes, for good. Returns what is missing where it cannot be done: the workers then
   * answer all requests.
   * @param listening as it is whenever it is asked
   */
  static open(plan: NodePlan, listening: Listening): XdpSlot | string | undefined {
    if (plan.xdp === undefined) return undefined
    const { interface: name, mode } = plan.xdp
    const room = Math.floor(plan.access.settings.clientList.bytes.value / CLIENT_BYTES)
    const clients = Math.min(MOST_CLIENTS, Math.max(FEWEST_CLIENTS, room))
    try {
      const answering = XdpAnswering.open({ interfaceName: name, mode, clients })
      beginClockPage(answering.clockPage.writable)
      return new XdpSlot(answering, listening)
    } catch (error) {
      if (!(error instanceof XdpError)) throw error
      return `xdp ${name} answers nothing: ${error.message}`
    } finally {
      // Where service addresses are this process's, it takes them away again when it ends.
      for (const capability of plan.anycast === undefined ? [CAP_NET_ADMIN, CAP_BPF] : [CAP_BPF])
        giveUpCapability(capability)
    }
  }

  /** By whom and how requests are answered from now on. */
  use(rules: XdpRules): void {
    if (rules.strangers !== this.rules?.strangers) this.answering.useRules(rules.strangers.known)
    this.rules = rules
    this.looked = ""
    this.look()
  }

  /** Answers from now on, as the workers do. */
  begin(): void {
    this.answers = true
    this.looked = ""
    this.look()
    this.timer = setInterval(() => this.look(), LOOK_INTERVAL_MS).unref()
  }

  /** Answers no more: every packet goes to the workers. */
  stop(): void {
    clearInterval(this.timer)
    this.answers = false
    this.answering.stop()
  }

  /** The program leaves its interface. */
  close(): void {
    clearInterval(this.timer)
    this.answering.close()
  }

  /** What the node lacks for its sake; undefined where all is well. */
  get missing(): string | undefined {
    const { interfaceName } = this.answering
    if (this.trouble !== undefined) return `xdp ${interfaceName} answers nothing: ${this.trouble}`
    const reason = this.rules?.strangers.reason
    return reason === undefined ? undefined : `xdp ${interfaceName} leaves requests to the workers: ${reason}`
  }

  /** Like a worker's. */
  get counters(): WorkerCounters {
    return countersOf(this.answering.counts())
  }

  status(): XdpStatus {
    const counts = this.answering.counts()
    const { received, replied } = countersOf(counts)
    return {
      interface: this.answering.interfaceName,
      mode: this.answering.mode,
      answers: this.answers && this.trouble === undefined,
      received,
      replied,
      limited: counts.limited,
      passed: counts.passed,
      ...this.rates
    }
  }

  /** The first `most` clients by an order, and how many it remembers. @param now CLOCK_MONOTONIC, seconds */
  clients(now: number, order: ClientOrder, most: number): { entries: readonly ClientEntry[]; known: number } {
    const isHeadway = this.rules?.strangers.limit?.limit.law === "headway"
    const entries = this.answering.clients(isHeadway, order, most).map((client) => clientEntry(client, now))
    return { entries, known: this.answering.rememberedClients }
  }

  /** Looks at this machine's addresses, and tells the program what changed. */
  private look(): void {
    const { rules, answering } = this
    if (rules === undefined) return
    this.noteRates()
    try {
      this.trouble = answering.isAttached ? undefined : "the interface has gone; it is attached again at the next start"
      const { places, mac } = ownAddresses(answering.interfaceName, this.listening)
      const looked = JSON.stringify([places, mac])
      if (looked === this.looked) return
      this.looked = looked
      answering.usePlaces(places)
      const { families, familiesFromNtpPort, limit, noteEvery, ipv6Prefix } = rules.strangers
      answering.use({
        answers: this.answers,
        families,
        familiesFromNtpPort,
        limit,
        noteEvery,
        ipv6Prefix,
        precision: rules.precision,
        minimumPoll: rules.minimumPoll,
        ...hopLimits(answering.interfaceName),
        mac
      })
    } catch (error) {
      // Asked again at the next look; requests pass to the workers, or are answered as before.
      this.trouble = error instanceof Error ? error.message : String(error)
    }
  }

  private noteRates(): void {
    const at = systemClock().monotonic.seconds()
    const { received, replied } = this.counters
    const seconds = at - this.seen.at
    this.rates = {
      receivedPerSecond: Math.round((received - this.seen.received) / seconds),
      repliedPerSecond: Math.round((replied - this.seen.replied) / seconds)
    }
    this.seen = { at, received, replied }
  }
}

const countersOf = (counts: AnswerCounts): WorkerCounters => {
  const { served, servedUnsynchronised, kissed, limited, oldVersion, versions } = counts
  const replied = served + servedUnsynchronised + kissed
  const kinds = Array.from({ length: 64 }, () => 0)
  versions.forEach((count, index) => (kinds[(index + 1) * 8 + MODE_CLIENT] = count))
  return {
    ...noCounters,
    received: replied + limited,
    replied,
    served: { served, "served-unsynchronised": servedUnsynchronised, "rate-kiss-sent": kissed },
    dropped: { "rate-limited": limited },
    oldVersion,
    kinds
  }
}
