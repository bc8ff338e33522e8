/** Reading a stream: to its end as it is now, or on and on. Either takes whatever its source has queued as one batch. */
import type { JetStreamManager } from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/nats-core"
import { setTimeout as sleep } from "node:timers/promises"
import { type CommitStore, type RawBatch, wants } from "./commit-store.ts"
import type { ReadOptions } from "./event-log.ts"
import { RETRY_MS, Source } from "./jetstream-source.ts"
import { storedMessage } from "./stream.ts"

/** How long a finite read waits for the next commit. */
const PATIENCE_MS = 10_000

interface JetStreamReader extends Pick<CommitStore, "read" | "tail"> {
  /** Sequence of a subject's first commit stored at or after a moment (milliseconds since 1970), if there is one. */
  readonly firstSince: (subject: string, moment: number) => Promise<number | undefined>
  /** Sequence of the first commit of a subject from which on there are no more than so many, and no more bytes. */
  readonly firstWithin: (subject: string, commits: number, bytes: number) => Promise<number>
}

const filterOf = (prefix: string, only: ReadOptions["only"]): string => {
  if (only === undefined) return `${prefix}.>`
  if ("subject" in only) return `${prefix}.${only.subject}`
  return only.family === "policy" ? `${prefix}.policy` : `${prefix}.${only.family}.*`
}

export const jetstreamReader = (
  connection: NatsConnection,
  manager: JetStreamManager,
  stream: string,
  prefix: string,
  created: string
): JetStreamReader => {
  const sources = new Set<Source>()
  const source = (from: number, filter: string, sizesOnly = false): Source => {
    const options = { connection, manager, stream, cut: prefix.length + 1, from, filter, created, sizesOnly }
    const opened = new Source(options, () => sources.delete(opened))
    sources.add(opened)
    return opened
  }
  void connection.closed().then(() => {
    for (const opened of sources) opened.lost()
  })
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
  /** What a filter lets through, from a place up to the end as it is now. */
  const upToNow = async function* (from: number, filter: string, sizesOnly: boolean): AsyncGenerator<RawBatch> {
    const { state } = await manager.streams.info(stream)
    const [first, last] = await Promise.all([
      storedMessage(manager, stream, { seq: Math.max(1, from), next_by_subj: filter }),
      storedMessage(manager, stream, { last_by_subj: filter })
    ])
    const end = Math.min(state.last_seq, last?.seq ?? 0)
    if (first === null || first.seq > end) return
    const open = source(first.seq, filter, sizesOnly)
    try {
      for (;;) {
        const batch = await open.take(PATIENCE_MS)
        if (batch === undefined) return
        const stop = batch.items.findIndex((it) => it.seq >= end)
        const commits = stop === -1 ? batch.items : batch.items.slice(0, stop + 1)
        const caughtUp = stop !== -1 || batch.caughtUp
        yield { commits, caughtUp }
        if (caughtUp) return
      }
    } finally {
      open.close()
    }
  }
  return {
    read: async function* ({ from, only }): AsyncGenerator<RawBatch> {
      for await (const batch of upToNow(from, filterOf(prefix, only), false))
        yield only === undefined ? batch : { ...batch, commits: batch.commits.filter((it) => wants(only, it.subject)) }
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
              if (ended) open.close()
              if (empty) return { done: false, value: { commits: [], caughtUp: true } }
            }
            const batch = await open.take(Infinity)
            if (batch === undefined) return { done: true, value: undefined }
            return { done: false, value: { commits: batch.items, caughtUp: batch.caughtUp } }
          },
          return: async () => {
            ended = true
            open?.close()
            return { done: true, value: undefined }
          }
        }
      }
    }),
    firstWithin: async (subject, commits, bytes) => {
      const seqs: Array<number> = []
      const sizes: Array<number> = []
      let [least, held] = [0, 0]
      for await (const batch of upToNow(1, `${prefix}.${subject}`, true))
        for (const { seq, body } of batch.commits) {
          seqs.push(seq)
          sizes.push(Number(body))
          held += Number(body)
          while (least < seqs.length && (seqs.length - least > commits || held > bytes)) held -= sizes[least++] ?? 0
        }
      return seqs[least] ?? Number.MAX_SAFE_INTEGER
    },
    firstSince: async (subject, moment) => {
      const filter = `${prefix}.${subject}`
      const last = await storedMessage(manager, stream, { last_by_subj: filter })
      if (last === null || last.time.getTime() < moment) return undefined
      // Times go up with sequences, so halving finds the least place from which on all are young enough.
      let [least, most] = [1, last.seq]
      while (least < most) {
        const middle = Math.floor((least + most) / 2)
        const message = await storedMessage(manager, stream, { seq: middle, next_by_subj: filter })
        if (message === null || message.time.getTime() >= moment) most = middle
        else least = message.seq + 1
      }
      return (await storedMessage(manager, stream, { seq: least, next_by_subj: filter }))?.seq
    }
  }
}

/** Runs something after each new connection, for as long as the connection lives. */
const afterReconnects = async (connection: NatsConnection, action: () => void): Promise<void> => {
  for await (const status of connection.status()) if (status.type === "reconnect") action()
}
