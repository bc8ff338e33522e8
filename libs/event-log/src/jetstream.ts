/**
 * The log in a NATS JetStream stream: the cluster's. One message a commit, one NATS subject an aggregate.
 *
 * One winner per version rests on two locks. The message id is `<subject>:<version>`, so a rival for the same version is
 * answered as a duplicate, and that answer is never taken for success without looking at what is stored. The expected
 * last sequence of the subject does the same for writers that come after the window of duplicates. Servers before 2.10
 * let several racers past the second lock in replicated streams; the first one holds there too. A server of 2.10 knows the id
 * of a message that it has refused for as long as that of one it has stored, and anybody may use up ids: where an id is taken
 * and nothing is stored, one of the commit's own is used, and the second lock decides.
 *
 * The client buffers nothing across a disconnect: an append is sent again with its message id until it is acknowledged
 * or its deadline has passed.
 */
import { jetstream, JetStreamApiError, type StoredMsg } from "@nats-io/jetstream"
import { nanos, type NatsConnection } from "@nats-io/nats-core"
import { setTimeout as sleep } from "node:timers/promises"
import { claimOf, type Commit, type CommitClaim, type Inspect, mayFollow, type RawCommit } from "./commit.ts"
import { type CommitStore } from "./commit-store.ts"
import { serverAtLeast } from "./connect.ts"
import { type Appended, LogFull, LogUnavailable, messageOf, type SubjectStatus, VersionConflict } from "./event-log.ts"
import { jetstreamReader } from "./jetstream-read.ts"
import { snapshotMemory, type SnapshotStore } from "./snapshot-file.ts"
import {
  apiCode,
  ATTEMPT_MS,
  DEADLINE_MS,
  type LastOf,
  differences,
  type NextOf,
  type OpenedStream,
  openStream,
  PAUSE_MS,
  persist,
  storedMessage,
  subjectsOf,
  WRONG_LAST_SEQUENCE
} from "./stream.ts"

export interface JetStreamOptions {
  /** With the client's own inbox prefix, `_INBOX`. */
  readonly connection: NatsConnection
  /** Name of the stream. */
  readonly stream: string
  /** What subjects begin with in NATS: `meridian` makes `meridian.keys.nts`. */
  readonly prefix: string
  /** Copies of the stream: 1, or 3 in a cluster. */
  readonly replicas: number
  /** Longest the stream may grow, bytes. */
  readonly maxBytes: number
  /** Whether to create or update the stream; needs the permission. Others find it or fail. */
  readonly manage: boolean
  /** How long an append is repeated before it fails, 15 s by default: a SIGKILLed stream leader takes up to 8 s to replace. */
  readonly deadlineMs?: number
  /** Where snapshots go; a directory of this machine in production, memory when absent. */
  readonly snapshots?: SnapshotStore
  readonly inspect?: Inspect
  /** Whether a commit is one that a log of ours has stored. */
  readonly believes?: (commit: RawCommit) => boolean
}

/** How long the server knows a message id; longer than any append is repeated. */
const DUPLICATE_WINDOW_MS = 120_000

const MESSAGE_ID = "Nats-Msg-Id"
const messageId = (subject: string, version: number): string => `${subject}:${version}`
/** Whether a message's id is one that a log gives to a commit that begins with this version. */
const isMessageId = (id: string, subject: string, version: number): boolean =>
  id === messageId(subject, version) || id.startsWith(`${messageId(subject, version)}:`)

/** JetStream API error codes that the client has no names for. */
const ID_IN_PROCESS = 10158
const NO_ROOM = new Set([10023, 10025, 10047, 10077, 10110, 10120, 10122])

/** The aggregate's head as far as this process knows. */
interface Head {
  readonly version: number
  /** Stream sequence of the subject's last message, 0 for none. */
  readonly seq: number
}

/** A store over a stream. Rejects with LogUnavailable where the stream is not there and cannot be made. */
export const jetstreamStore = async (options: JetStreamOptions): Promise<CommitStore> => {
  const { connection, stream, prefix } = options
  const { manager, wanted, created } = await openLog(options)
  const client = jetstream(connection, { timeout: ATTEMPT_MS })
  const snapshots = options.snapshots ?? snapshotMemory()
  const heads = new Map<string, Head>()
  const believes = options.believes ?? ((): boolean => true)
  const reader = jetstreamReader(connection, manager, stream, prefix, created)

  const stored = (query: NextOf | LastOf): Promise<StoredMsg | null> => storedMessage(manager, stream, query)

  /**
   * The head as the stream's leader knows it. A message that no log has stored (it has no id of ours) or that lays no claim
   * to a version is looked past, or anyone who may publish there could take a subject back to an old version; and so is one
   * that no node of ours wrote, or he could use up all versions there are. Such a one counts only where it has the next.
   */
  const readHead = async (subject: string): Promise<Head> => {
    const last = await stored({ last_by_subj: `${prefix}.${subject}` })
    if (last === null) return { version: 0, seq: 0 }
    const body = last.string()
    const claim = claimOf(subject, body)
    const isOurs = claim !== undefined && isMessageId(last.header.get(MESSAGE_ID), subject, claim.first)
    if (isOurs && believes({ seq: last.seq, subject, body })) return { version: claim.last, seq: last.seq }
    let version = 0
    for await (const { commits } of reader.read({ from: 1, only: { subject } }))
      for (const commit of commits) {
        const said = claimOf(subject, commit.body)
        if (said !== undefined && (said.first === version + 1 || believes(commit)))
          version = Math.max(version, said.last)
      }
    return { version, seq: last.seq }
  }

  /** What is stored of a version, if anything: from the given sequence on. */
  const findVersion = async (
    subject: string,
    first: number,
    from: number
  ): Promise<(CommitClaim & { readonly seq: number }) | undefined> => {
    for (let seq = from; ;) {
      const message = await stored({ seq, next_by_subj: `${prefix}.${subject}` })
      if (message === null) return undefined
      const claim = claimOf(subject, message.string())
      if (claim !== undefined && claim.first >= first)
        return claim.first === first ? { ...claim, seq: message.seq } : undefined
      seq = message.seq + 1
    }
  }

  /** The outcome where something may be stored at the version: ours, a rival's, or nothing yet. */
  const settle = async (commit: Commit, from: number): Promise<Appended | undefined> => {
    const head = await readHead(commit.subject)
    heads.set(commit.subject, head)
    if (head.version < commit.first) {
      if (mayFollow(commit, head.version)) return undefined
      throw new VersionConflict({ subject: commit.subject, expected: commit.first - 1, actual: head.version })
    }
    const found = await findVersion(commit.subject, commit.first, from)
    if (found?.id === commit.id) return { seq: found.seq, version: found.last, duplicate: true }
    throw new VersionConflict({ subject: commit.subject, expected: commit.first - 1, actual: head.version })
  }

  const publish = async (commit: Commit, msgID: string, head: Head, timeout: number): Promise<Appended | undefined> => {
    const ack = await client.publish(`${prefix}.${commit.subject}`, commit.body, {
      msgID,
      timeout,
      expect: { streamName: stream, lastSubjectSequence: head.seq }
    })
    if (ack.duplicate) return settle(commit, Math.max(1, head.seq))
    heads.set(commit.subject, { version: commit.last, seq: ack.seq })
    return { seq: ack.seq, version: commit.last, duplicate: false }
  }

  const append = async (commit: Commit): Promise<Appended> => {
    const deadline = performance.now() + (options.deadlineMs ?? DEADLINE_MS)
    let sent = false
    let msgID = messageId(commit.subject, commit.first)
    for (let pause = 0; ; pause = PAUSE_MS) {
      if (pause > 0) await sleep(pause)
      const left = deadline - performance.now()
      try {
        let head = heads.get(commit.subject)
        if (head === undefined || !mayFollow(commit, head.version)) {
          const outcome = await settle(commit, 1)
          if (outcome !== undefined) return outcome
          head = heads.get(commit.subject) as Head
        }
        sent = true
        const outcome = await publish(commit, msgID, head, Math.max(1, Math.min(ATTEMPT_MS, left)))
        if (outcome !== undefined) return outcome
        if (serverAtLeast(connection, 2, 10)) msgID = `${messageId(commit.subject, commit.first)}:${commit.id}`
      } catch (error) {
        if (error instanceof VersionConflict) throw error
        if (NO_ROOM.has(apiCode(error))) throw new LogFull({ detail: messageOf(error) })
        if (WRONG_LAST_SEQUENCE.has(apiCode(error))) {
          heads.delete(commit.subject)
          const outcome = await settle(commit, 1).catch((reason: unknown) => {
            if (reason instanceof VersionConflict) throw reason
          })
          if (outcome !== undefined) return outcome
        } else if (apiCode(error) !== ID_IN_PROCESS && !isPassing(error))
          throw new LogUnavailable({ detail: messageOf(error), uncertain: sent, cause: error })
        if (performance.now() + PAUSE_MS >= deadline)
          throw new LogUnavailable({
            detail: `no acknowledgement in time: ${messageOf(error)}`,
            uncertain: sent,
            cause: error
          })
      }
      if (performance.now() + PAUSE_MS >= deadline)
        throw new LogUnavailable({ detail: "no acknowledgement in time", uncertain: sent })
    }
  }

  const subjectStatus = async (subject: string): Promise<SubjectStatus | undefined> => {
    const head = await readHead(subject)
    const first = await stored({ seq: 1, next_by_subj: `${prefix}.${subject}` })
    const claim = first === null ? undefined : claimOf(subject, first.string())
    if (first === null) return undefined
    return { subject, firstSeq: first.seq, firstVersion: claim?.first ?? 1, version: head.version }
  }

  return {
    adapter: "jetstream",
    warnings: warningsOf(options),
    append,
    read: reader.read,
    tail: reader.tail,
    version: async (subject) => (await readHead(subject)).version,
    saveSnapshot: snapshots.save,
    loadSnapshot: snapshots.load,
    retain: async ({ below, storedBefore, commits, bytes }) => {
      // The stream holds more than any subject of it, so where it is small enough nothing needs counting.
      const { state } = await manager.streams.info(stream)
      const surplus = state.messages > commits
      let gone = 0
      for (const [subject, stays] of below) {
        const filter = `${prefix}.${subject}`
        if (surplus && stays === Infinity)
          gone += (await manager.streams.purge(stream, { filter, keep: commits })).purged
        const last = await stored({ last_by_subj: filter })
        if (last === null) continue
        const young = (await reader.firstSince(subject, storedBefore)) ?? last.seq
        const counted = state.bytes > bytes || (surplus && stays !== Infinity)
        const within = counted ? await reader.firstWithin(subject, commits, bytes) : 0
        const seq = Math.min(last.seq, stays, Math.max(young, within))
        // A purge up to the first place would be one of everything.
        if (seq > 1) gone += (await manager.streams.purge(stream, { filter, seq })).purged
      }
      return gone
    },
    subjects: async () => {
      const { state, config, created: now } = await manager.streams.info(stream)
      const all = await Promise.all((await subjectsOf(manager, options)).map(subjectStatus))
      const faults = differences(config, wanted).map((it) => `stream ${stream} has ${it}`)
      return {
        lastSeq: state.last_seq,
        beginsAt: state.first_seq,
        subjects: all.filter((it) => it !== undefined),
        created: now,
        faults
      }
    }
  }
}

/** Faults that pass: elections, restarts, lost connections. The client calls a missing leader "not enabled". */
const isPassing = (error: unknown): boolean => {
  const name = error instanceof Error ? error.name : ""
  if (error instanceof JetStreamApiError) return error.status === 503 || error.code === 10008 || error.code === 10009
  return !["PermissionViolationError", "ClosedConnectionError", "InvalidArgumentError", "InvalidSubjectError"].includes(
    name
  )
}

const warningsOf = ({ connection, replicas, maxBytes }: JetStreamOptions): ReadonlyArray<string> => {
  const version = connection.info?.version ?? "unknown"
  const old = !serverAtLeast(connection, 2, 10)
  return [
    ...(old
      ? [
          `nats-server ${version} is older than 2.10: its optimistic locks do not hold in replicated streams, so only ` +
            `message ids guard the versions, and leases in key-value buckets are not safe to update by several. Upgrade`
        ]
      : []),
    ...(replicas === 1 ? ["the stream has one copy: the log ends with its server's disk"] : []),
    ...(maxBytes <= 0 ? ["the stream has no size limit"] : [])
  ]
}

/** Finds the log's stream, or makes it as it should be; tries again while JetStream is out of reach. */
const openLog = async (options: JetStreamOptions): Promise<OpenedStream & { readonly created: string }> => {
  const open = async () => {
    const opened = await openStream(options, "file", {
      max_bytes: options.maxBytes,
      duplicate_window: nanos(DUPLICATE_WINDOW_MS),
      deny_delete: true,
      allow_direct: true
    })
    const { created } = await opened.manager.streams.info(options.stream)
    return { ...opened, created }
  }
  try {
    return await persist(options.deadlineMs ?? DEADLINE_MS, open, (error) => apiCode(error) !== 0 && !isPassing(error))
  } catch (error) {
    throw unavailable(error, `stream ${options.stream}: ${messageOf(error)}`)
  }
}

const unavailable = (cause: unknown, detail = messageOf(cause)): LogUnavailable =>
  cause instanceof LogUnavailable ? cause : new LogUnavailable({ detail, uncertain: false, cause })
