/**
 * A stream's commits from a place on: in order, without holes, for as long as it is open. The server pushes them to an
 * inbox as fast as it may (a push consumer with flow control), which costs a third of what pulling them through the
 * client's own consumers does. Each delivery carries its number: where one is missing, where heartbeats stop or say that
 * more was sent than came, and after each reconnect, a new consumer begins at the next place. When the reader falls
 * behind, the server's request to go on is left unanswered, so memory stays bounded.
 */
import { AckPolicy, DeliverPolicy, type JetStreamManager } from "@nats-io/jetstream"
import { createInbox, type Msg, nanos, type NatsConnection, type Subscription } from "@nats-io/nats-core"
import { randomBytes } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import { BatchQueue } from "./batch-queue.ts"
import { FoundCommit, type RawCommit } from "./commit.ts"
import { type Delivery, readDelivery } from "./delivery.ts"
import { takeDeliveries, textOf } from "./delivery-frames.ts"
import { LogUnavailable } from "./event-log.ts"

/** Commits queued from which on the server is not told to go on. It may have sent up to 32 MB more by then. */
const HIGH_WATER = 20_000
export const RETRY_MS = 250
const HEARTBEAT_MS = 1_000
/**
 * How often to look whether there was a sign; a consumer without one is made anew, since nobody tells when a server has
 * lost it. One that never gave a sign may have been made anew too soon: each of those has twice as many looks, up to 8.
 */
const LOOK_MS = 2_500
const MOST_LOOKS = 8
/** After this long without a listener the server forgets a consumer that could not be deleted. */
const FORGET_MS = 60_000

interface SourceOptions {
  readonly connection: NatsConnection
  readonly manager: JetStreamManager
  readonly stream: string
  /** How much of a NATS subject stands before the log's. */
  readonly cut: number
  /** First sequence wanted. */
  readonly from: number
  readonly filter: string
  /** The stream's creation time when it was opened: at another one it is another stream. */
  readonly created: string
  /** Have no bodies sent: a commit's body is then the text of its length in bytes. */
  readonly sizesOnly?: boolean
}

interface Running {
  readonly name: string
  readonly inbox: string
  readonly subscription: Subscription
  /** Ends the short way of its deliveries. */
  readonly release: () => void
  delivered: number
  /** Looks since something came, -1 before the first. */
  silent: number
  /** Where to say that the server may go on; it waits for that. */
  owed: string | undefined
}

const encoder = new TextEncoder()

export class Source {
  readonly #options: SourceOptions
  readonly #queue = new BatchQueue<RawCommit>(() => this.#goOn())
  readonly #watch: NodeJS.Timeout
  readonly #onClose: () => void
  #next: number
  /** The last commit that was handed out. */
  #last = { seq: 0, body: "" }
  #running: Running | undefined
  #closed = false
  /** Consumers in a row that gave no sign. */
  #fruitless = 0
  /** The last commit's subject in NATS and in the log: mostly the next one's too. */
  #wired = ""
  #subject = ""

  constructor(options: SourceOptions, onClose: () => void) {
    this.#options = options
    this.#onClose = onClose
    this.#next = Math.max(1, options.from)
    this.#watch = setInterval(() => this.#look(), LOOK_MS)
    void options.connection
      .closed()
      .then(() =>
        this.#queue.fail(new LogUnavailable({ detail: "the connection to NATS was closed", uncertain: false }))
      )
    this.restart()
  }

  take(patienceMs: number): ReturnType<BatchQueue<RawCommit>["take"]> {
    const { stream } = this.#options
    const detail = `stream ${stream} sent nothing for ${patienceMs} ms while more was due`
    return this.#queue.take(patienceMs, () => new LogUnavailable({ detail, uncertain: false }))
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#watch)
    this.#onClose()
    this.#queue.end()
    this.#stop()
  }

  /** Tells the reader that the connection is closed for good. */
  lost(): void {
    clearInterval(this.#watch)
    this.#queue.fail(new LogUnavailable({ detail: "the connection to NATS was closed", uncertain: false }))
  }

  /** Begins anew where it is. */
  restart(): void {
    this.#stop()
    if (!this.#closed && !this.#options.connection.isClosed()) void this.#begin()
  }

  /** The same after a fault: soon, but not as fast as faults may come. */
  async #restartSoon(): Promise<void> {
    this.#stop()
    await sleep(RETRY_MS)
    if (this.#running === undefined) this.restart()
  }

  /** Begins a consumer at the next place; tries again for as long as the stream is out of reach. */
  async #begin(): Promise<void> {
    const { connection, manager, stream, filter, sizesOnly } = this.#options
    const inbox = createInbox()
    const subscription = connection.subscribe(inbox, {
      callback: (error, message) => {
        if (this.#running === running) this.#receive(running, error, message)
      }
    })
    // Short, because the name comes back with every message.
    const name = randomBytes(6).toString("base64url")
    const sid = subscription.getID()
    const take = (delivery: Delivery, subject: string, body: string): void => {
      if (this.#running === running) this.#deliver(running, delivery, subject, body)
    }
    // Of a message without its body the size is in a header, which only the client reads.
    const release = sizesOnly === true ? () => {} : takeDeliveries(connection, { sid, take })
    const running: Running = { name, inbox, subscription, release, delivered: 0, silent: -1, owed: undefined }
    this.#running = running
    try {
      const other = await this.#isAnother()
      if (this.#running !== running) return
      if (other !== undefined) {
        this.#queue.fail(other)
        return
      }
      await manager.consumers.add(stream, {
        name,
        deliver_subject: inbox,
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: this.#next,
        filter_subject: filter,
        ack_policy: AckPolicy.None,
        max_deliver: 1,
        headers_only: sizesOnly === true,
        flow_control: true,
        idle_heartbeat: nanos(HEARTBEAT_MS),
        inactive_threshold: nanos(FORGET_MS),
        mem_storage: true,
        num_replicas: 1
      })
      // It was stopped meanwhile, when there was nothing to delete yet.
      if (this.#running !== running) this.#forget(name)
    } catch {
      if (this.#running === running) await this.#restartSoon()
    }
  }

  /**
   * Why the stream is not the one that was read up to here: it was deleted and made anew, or put back to an earlier state, while
   * nobody here was connected. Its places then mean something else. By the commit that was handed out last: the creation time
   * alone does not tell, since servers that were killed may come back with another one (seen with 2.10). Where retention has
   * dropped that commit, it has to do.
   */
  async #isAnother(): Promise<LogUnavailable | undefined> {
    const { manager, stream, created } = this.#options
    const found = await manager.streams.info(stream)
    const replaced = (why: string): LogUnavailable =>
      new LogUnavailable({ detail: `stream ${stream} ${why}`, uncertain: false, replaced: true })
    const { seq, body } = this.#last
    if (seq === 0) return undefined
    // A server that has just begun to lead it may have to catch up. Whether it stays short is for others to find out.
    if (found.state.last_seq < seq) throw new Error(`stream ${stream} ends at ${found.state.last_seq} for now`)
    const there = await manager.streams.getMessage(stream, { seq })
    if (there === null) return found.created === created ? undefined : replaced(`was made anew at ${found.created}`)
    return there.string() === body ? undefined : replaced(`has another event at ${seq} than before`)
  }

  #receive(running: Running, error: Error | null, message: Msg): void {
    if (error !== null) return void this.#restartSoon()
    const { subject, reply, data, headers } = message
    if (subject === running.inbox) return this.#control(running, message)
    const delivery = readDelivery(encoder.encode(reply))
    if (delivery === undefined) return void this.#restartSoon()
    const body = this.#options.sizesOnly === true ? (headers?.get("Nats-Msg-Size") ?? "") : textOf(Buffer.from(data))
    this.#deliver(running, delivery, subject, body)
  }

  #deliver(running: Running, { seq, number, pending }: Delivery, subject: string, body: string): void {
    running.silent = 0
    this.#fruitless = 0
    if (number !== running.delivered + 1) return void this.#restartSoon()
    running.delivered = number
    if (seq < this.#next) return
    this.#next = seq + 1
    if (this.#options.sizesOnly !== true) this.#last = { seq, body }
    if (subject !== this.#wired) {
      this.#wired = subject
      this.#subject = subject.slice(this.#options.cut)
    }
    this.#queue.push(new FoundCommit(seq, this.#subject, body))
    if (pending === 0) this.#queue.markCaughtUp()
  }

  /** Flow control, heartbeats, and word that the consumer is gone. */
  #control(running: Running, { headers, reply }: Msg): void {
    running.silent = 0
    this.#fruitless = 0
    if (headers?.code !== 100) return void this.#restartSoon()
    const stalled = headers.get("Nats-Consumer-Stalled")
    const goOn = stalled === "" ? reply : stalled
    if (goOn !== undefined && goOn !== "") {
      running.owed = goOn
      this.#goOn()
    }
    const sent = headers.get("Nats-Last-Consumer")
    if (sent !== "" && Number(sent) > running.delivered) void this.#restartSoon()
  }

  #goOn(): void {
    const running = this.#running
    if (running?.owed === undefined || this.#queue.size >= HIGH_WATER) return
    const { connection } = this.#options
    if (connection.isClosed()) return
    connection.publish(running.owed)
    running.owed = undefined
  }

  #look(): void {
    const running = this.#running
    if (running === undefined) return
    running.silent += 1
    if (running.silent <= 2 ** this.#fruitless) return
    if (2 ** this.#fruitless < MOST_LOOKS) this.#fruitless += 1
    this.restart()
  }

  #stop(): void {
    const running = this.#running
    this.#running = undefined
    if (running === undefined || this.#options.connection.isClosed()) return
    running.release()
    running.subscription.unsubscribe()
    this.#forget(running.name)
  }

  #forget(name: string): void {
    const { connection, manager, stream } = this.#options
    if (!connection.isClosed()) void manager.consumers.delete(stream, name).catch(() => {})
  }
}
