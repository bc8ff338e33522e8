/**
 * Reading a stream. An ordered consumer pushes into a queue; the reader takes whatever has come as one batch. When the
 * reader falls behind, the consumer is stopped and a new one begins where the queue ends, so memory stays bounded.
 */
import {
  type Consumer,
  type ConsumerMessages,
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  type StoredMsg
} from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/nats-core"
import { setTimeout as sleep } from "node:timers/promises"
import { BatchQueue } from "./batch-queue.ts"
import type { RawCommit } from "./commit.ts"
import { type CommitStore, type RawBatch, wants } from "./commit-store.ts"
import { LogUnavailable, type ReadOptions } from "./event-log.ts"

/** Commits queued at which the consumer is stopped, and at which it begins again. */
const HIGH_WATER = 50_000
/** Commits asked of the server at a time. */
const PULL = 5_000
/** How long a finite read waits for the next commit. */
const PATIENCE_MS = 10_000
const RETRY_MS = 250
/** How long a request for commits stands; two halves of it without a sign, and the consumer is made anew. */
const PULL_MS = 5_000
/** How often, and how many times, to look whether a new consumer has our request. */
const FLOW_LOOK_MS = 30
const FLOW_LOOKS = 8

export interface JetStreamReader extends Pick<CommitStore, "read" | "tail"> {
  /** Sequence of a subject's first commit stored at or after a moment (milliseconds since 1970), if there is one. */
  readonly firstSince: (subject: string, moment: number) => Promise<number | undefined>
}

/** The first message of a subject at or after a sequence. */
export interface NextOf {
  readonly seq: number
  readonly next_by_subj: string
}

/** The last message of a subject. */
export interface LastOf {
  readonly last_by_subj: string
}

/** A message as the stream's leader has it, null where there is none. Direct gets would be answered by any replica. */
export const storedMessage = (
  manager: JetStreamManager,
  stream: string,
  query: NextOf | LastOf
): Promise<StoredMsg | null> =>
  // The server has known next_by_subj here since 2.9; the client's types have it for direct gets only.
  manager.streams.getMessage(stream, query as LastOf)

const decoder = new TextDecoder()

const filterOf = (prefix: string, only: ReadOptions["only"]): string => {
  if (only === undefined) return `${prefix}.>`
  if ("subject" in only) return `${prefix}.${only.subject}`
  return only.family === "policy" ? `${prefix}.policy` : `${prefix}.${only.family}.*`
}

export const jetstreamReader = (
  connection: NatsConnection,
  client: JetStreamClient,
  manager: JetStreamManager,
  stream: string,
  prefix: string
): JetStreamReader => {
  const sources = new Set<Source>()
  const source = (from: number, filter: string): Source => {
    const opened = new Source(connection, client, stream, prefix.length + 1, from, filter, () => sources.delete(opened))
    sources.add(opened)
    return opened
  }
  void afterReconnects(connection, () => {
    for (const opened of sources) opened.restart()
  })
  /** Whether the log holds nothing from a place on; asks until it is answered or given up. */
  const nothingFrom = async (from: number, filter: string, givenUp: () => boolean): Promise<boolean> => {
    while (!givenUp() && !connection.isClosed()) {
      try {
        return (await storedMessage(manager, stream, { seq: Math.max(1, from), next_by_subj: filter })) === null
      } catch {
        await sleep(RETRY_MS)
      }
    }
    return false
  }
  return {
    read: async function* ({ from, only }): AsyncGenerator<RawBatch> {
      const filter = filterOf(prefix, only)
      const { state } = await manager.streams.info(stream)
      const [first, last] = await Promise.all([
        storedMessage(manager, stream, { seq: Math.max(1, from), next_by_subj: filter }),
        storedMessage(manager, stream, { last_by_subj: filter })
      ])
      const end = Math.min(state.last_seq, last?.seq ?? 0)
      if (first === null || first.seq > end) return
      const open = source(first.seq, filter)
      try {
        for (;;) {
          const batch = await open.take(PATIENCE_MS)
          if (batch === undefined) return
          const stop = batch.items.findIndex((it) => it.seq >= end)
          const commits = stop === -1 ? batch.items : batch.items.slice(0, stop + 1)
          const caughtUp = stop !== -1 || batch.caughtUp
          yield { commits: only === undefined ? commits : commits.filter((it) => wants(only, it.subject)), caughtUp }
          if (caughtUp) return
        }
      } finally {
        await open.close()
      }
    },
    tail: ({ from, only }) => ({
      [Symbol.asyncIterator]: () => {
        const filter = filterOf(prefix, only)
        let open: Source | undefined
        let ended = false
        return {
          next: async () => {
            if (open === undefined) {
              const empty = await nothingFrom(from, filter, () => ended)
              open = source(from, filter)
              if (ended) await open.close()
              if (empty) return { done: false, value: { commits: [], caughtUp: true } }
            }
            const batch = await open.take(Infinity)
            if (batch === undefined) return { done: true, value: undefined }
            return { done: false, value: { commits: batch.items, caughtUp: batch.caughtUp } }
          },
          return: async () => {
            ended = true
            await open?.close()
            return { done: true, value: undefined }
          }
        }
      }
    }),
    firstSince: async (subject, moment) => {
      const consumer = await client.consumers.get(stream, {
        deliver_policy: DeliverPolicy.StartTime,
        opt_start_time: new Date(moment).toISOString(),
        filter_subjects: `${prefix}.${subject}`
      })
      const message = await consumer.next({ expires: PULL_MS })
      await consumer.delete().catch(() => {})
      return message?.seq
    }
  }
}

const connectionClosed = (): LogUnavailable =>
  new LogUnavailable({ detail: "the connection to NATS was closed", uncertain: false })

/** Runs something after each new connection, for as long as the connection lives. */
const afterReconnects = async (connection: NatsConnection, action: () => void): Promise<void> => {
  for await (const status of connection.status()) if (status.type === "reconnect") action()
}

/** The commits from a place on, for as long as it is open. */
class Source {
  readonly #connection: NatsConnection
  readonly #client: JetStreamClient
  readonly #stream: string
  readonly #cut: number
  readonly #filter: string
  readonly #queue: BatchQueue<RawCommit>
  #next: number
  #running: { readonly consumer: Consumer; readonly messages: ConsumerMessages } | undefined
  #received = 0
  #paused = false
  #closed = false
  readonly #onClose: () => void

  constructor(
    connection: NatsConnection,
    client: JetStreamClient,
    stream: string,
    cut: number,
    from: number,
    filter: string,
    onClose: () => void
  ) {
    this.#onClose = onClose
    this.#connection = connection
    this.#client = client
    this.#stream = stream
    this.#cut = cut
    this.#next = Math.max(1, from)
    this.#filter = filter
    this.#queue = new BatchQueue<RawCommit>(() => this.#resume())
    void this.#open()
    void connection.closed().then(() => this.#queue.fail(connectionClosed()))
  }

  take(patienceMs: number): ReturnType<BatchQueue<RawCommit>["take"]> {
    return this.#queue.take(
      patienceMs,
      () =>
        new LogUnavailable({
          detail: `stream ${this.#stream} sent nothing for ${patienceMs} ms while more was due`,
          uncertain: false
        })
    )
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#onClose()
    this.#queue.end()
    await this.#stop()
  }

  /** Begins anew where it is: a server that was away may have forgotten the consumer, and would not say so for seconds. */
  restart(): void {
    if (this.#closed || this.#paused || this.#running === undefined) return
    void this.#stop().then(() => this.#open())
  }

  /** Begins a consumer at the next place; tries again for as long as the stream is out of reach. */
  async #open(): Promise<void> {
    while (!this.#closed && !this.#connection.isClosed()) {
      try {
        const consumer = await this.#client.consumers.get(this.#stream, {
          deliver_policy: DeliverPolicy.StartSequence,
          opt_start_seq: this.#next,
          filter_subjects: this.#filter
        })
        const received = this.#received
        const messages = await consumer.consume({
          max_messages: PULL,
          expires: PULL_MS,
          callback: (message) => this.#receive(message)
        })
        this.#running = { consumer, messages }
        if (this.#closed) return await this.#stop()
        if (await this.#flows(consumer, received)) return
        await this.#stop()
      } catch {
        await sleep(RETRY_MS)
      }
    }
  }

  /**
   * Whether commits come or the server holds our request for them. In a cluster the first request can reach the consumer's
   * server before that server knows where to listen, and is lost.
   */
  async #flows(consumer: Consumer, received: number): Promise<boolean> {
    for (let look = 0; look < FLOW_LOOKS; look++) {
      if (this.#closed || this.#paused || this.#received > received) return true
      const { num_waiting } = await consumer.info()
      if (num_waiting > 0 || this.#received > received) return true
      await sleep(FLOW_LOOK_MS)
    }
    return false
  }

  #receive(message: JsMsg): void {
    this.#received += 1
    const { streamSequence, pending } = message.info
    // A consumer that was stopped may still hand over what was on its way.
    if (streamSequence < this.#next || this.#paused || this.#closed) return
    this.#next = streamSequence + 1
    this.#queue.push({
      seq: streamSequence,
      subject: message.subject.slice(this.#cut),
      body: decoder.decode(message.data)
    })
    if (pending === 0) this.#queue.markCaughtUp()
    if (this.#queue.size >= HIGH_WATER) {
      this.#paused = true
      void this.#stop()
    }
  }

  async #stop(): Promise<void> {
    const running = this.#running
    this.#running = undefined
    if (running === undefined) return
    running.messages.stop()
    // The server would forget the consumer by itself, but only after minutes.
    if (!this.#connection.isClosed()) void running.consumer.delete().catch(() => {})
    await running.messages.close().catch(() => {})
  }

  #resume(): void {
    if (!this.#paused || this.#closed) return
    this.#paused = false
    void this.#open()
  }
}
