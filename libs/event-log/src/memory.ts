/** The log in memory: for tests and the simulator. Gone with the process. */
import { BatchQueue } from "./batch-queue.ts"
import { type Commit, mayFollow, type RawCommit } from "./commit.ts"
import { type CommitStore, type RawBatch, wants } from "./commit-store.ts"
import { type ReadOptions, type Snapshot, type SubjectStatus, VersionConflict } from "./event-log.ts"

const BATCH = 1_000

interface Held extends RawCommit {
  readonly commit: Commit
  readonly storedAt: number
}

/** `clock` gives the time commits are stored at, milliseconds since 1970. */
export const memoryStore = (
  clock: () => number = Date.now
): CommitStore & { readonly inject: (subject: string, body: string) => void } => {
  let commits: Array<Held> = []
  let lastSeq = 0
  const snapshots = new Map<string, Snapshot>()
  const tails = new Set<BatchQueue<RawCommit>>()
  const ofSubject = (subject: string): Array<Held> => commits.filter((it) => it.subject === subject)
  const version = (subject: string): number => commits.findLast((it) => it.subject === subject)?.commit.last ?? 0
  const store = (commit: Commit): number => {
    const held = { seq: (lastSeq += 1), subject: commit.subject, body: commit.body, commit, storedAt: clock() }
    commits.push(held)
    for (const tail of tails) {
      tail.push(held)
      tail.markCaughtUp()
    }
    return held.seq
  }
  return {
    adapter: "memory",
    warnings: ["the log is in memory and ends with this process"],
    append: async (commit) => {
      const actual = version(commit.subject)
      if (mayFollow(commit, actual)) return { seq: store(commit), version: commit.last, duplicate: false }
      const there = commits.find((it) => it.subject === commit.subject && it.commit.first === commit.first)
      if (there?.commit.id === commit.id) return { seq: there.seq, version: there.commit.last, duplicate: true }
      throw new VersionConflict({ subject: commit.subject, expected: commit.first - 1, actual })
    },
    read: async function* ({ from, only }: ReadOptions): AsyncGenerator<RawBatch> {
      const wanted = commits.filter((it) => it.seq >= from && wants(only, it.subject))
      for (let at = 0; at < wanted.length; at += BATCH)
        yield { commits: wanted.slice(at, at + BATCH), caughtUp: at + BATCH >= wanted.length }
    },
    tail: ({ from, only }) => {
      const queue = new BatchQueue<RawCommit>()
      for (const held of commits) if (held.seq >= from) queue.push(held)
      queue.markCaughtUp()
      tails.add(queue)
      return iterable(queue, only, () => tails.delete(queue))
    },
    version: async (subject) => version(subject),
    saveSnapshot: async (name, snapshot) => void snapshots.set(name, snapshot),
    loadSnapshot: async (name) => snapshots.get(name),
    retain: async ({ below, storedBefore, commits: most, bytes }) => {
      const gone = new Set<Held>()
      for (const [subject, stays] of below) {
        const held = ofSubject(subject)
        let size = 0
        const kept = held.findLastIndex((it, index) => {
          size += Buffer.byteLength(it.body)
          const age = held.length - 1 - index
          return age > 0 && (age >= most || size > bytes || it.storedAt < storedBefore)
        })
        for (const it of held.slice(0, kept + 1)) if (it.seq < stays) gone.add(it)
      }
      commits = commits.filter((it) => !gone.has(it))
      return gone.size
    },
    subjects: async () => ({
      lastSeq,
      subjects: [...new Set(commits.map((it) => it.subject))].map((subject): SubjectStatus => {
        const first = commits.find((it) => it.subject === subject) as Held
        return { subject, firstSeq: first.seq, firstVersion: first.commit.first, version: version(subject) }
      })
    }),
    inject: (subject, body) => {
      const last = version(subject)
      store({ subject, first: last, last, id: "", body })
    }
  }
}

/** A queue of raw commits as the stores hand them out; `close` runs when the reader leaves. */
const iterable = (
  queue: BatchQueue<RawCommit>,
  only: ReadOptions["only"],
  close: () => unknown
): AsyncIterable<RawBatch> => ({
  [Symbol.asyncIterator]: () => ({
    next: async () => {
      const batch = await queue.take()
      if (batch === undefined) return { done: true, value: undefined }
      const commits = only === undefined ? batch.items : batch.items.filter((it) => wants(only, it.subject))
      return { done: false, value: { commits, caughtUp: batch.caughtUp } }
    },
    return: async () => {
      await close()
      queue.end()
      return { done: true, value: undefined }
    }
  })
})
