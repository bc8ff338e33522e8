/** Streams in JetStream: finding one or making it as it should be, and looking at what it holds. */
import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StoredMsg,
  type StreamConfig,
  type StreamUpdateConfig
} from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/nats-core"
import { setTimeout as sleep } from "node:timers/promises"

/** How long one request to JetStream may take, and the pause before it is repeated. */
export const ATTEMPT_MS = 2_500
export const PAUSE_MS = 100

/** Tries until it succeeds, fails for good, or the deadline has passed; then the last error is thrown. */
export const persist = async <A>(
  deadlineMs: number,
  run: () => Promise<A>,
  isFinal: (error: unknown) => boolean
): Promise<A> => {
  const deadline = performance.now() + deadlineMs
  for (;;) {
    try {
      return await run()
    } catch (error) {
      if (isFinal(error) || performance.now() + PAUSE_MS >= deadline) throw error
      await sleep(PAUSE_MS)
    }
  }
}
/** How long something is repeated before it fails: a SIGKILLed stream leader takes up to 8 s to replace. */
export const DEADLINE_MS = 15_000

/** JetStream API error codes that the client has no names for. */
export const WRONG_LAST_SEQUENCE: ReadonlySet<number> = new Set([10071, 10164])
const STREAM_NAME_IN_USE = 10058

/** The code of JetStream's error, 0 for any other. */
export const apiCode = (error: unknown): number => (error instanceof JetStreamApiError ? error.code : 0)

interface StreamOptions {
  readonly connection: NatsConnection
  readonly stream: string
  /** What its subjects begin with. */
  readonly prefix: string
  readonly replicas: number
  /** Whether to make or change it; needs the permission. Others find it or fail. */
  readonly manage: boolean
}

type StreamSettings = Partial<StreamUpdateConfig> & { readonly deny_delete?: boolean }

/** What each setting is when nobody asks for another, and what it is called. */
const SETTINGS: ReadonlyArray<readonly [keyof StreamConfig, string | number | boolean, string]> = [
  ["num_replicas", 1, "copies"],
  ["max_bytes", -1, "most bytes"],
  ["max_msgs", -1, "most messages"],
  ["max_msgs_per_subject", -1, "most messages of a subject"],
  ["max_age", 0, "longest age in nanoseconds"],
  ["discard", DiscardPolicy.New, "what happens when it is full"],
  ["retention", RetentionPolicy.Limits, "retention"]
]

/** Where a stream's settings are others than they should be, in words. */
export const differences = (found: Partial<StreamConfig>, wanted: Partial<StreamConfig>): ReadonlyArray<string> =>
  SETTINGS.flatMap(([name, usual, words]) => {
    const [is, should] = [found[name] ?? usual, wanted[name] ?? usual]
    return is === should ? [] : [`${words}: ${JSON.stringify(is)}, and should be ${JSON.stringify(should)}`]
  })

/** A stream, and how it should be. */
export interface OpenedStream {
  readonly manager: JetStreamManager
  readonly wanted: Partial<StreamConfig>
}

/**
 * A stream that refuses what it has no room for instead of dropping what it has: found, or made and brought to what is
 * asked. Rejects with the client's error.
 */
export const openStream = async (
  { connection, stream, prefix, replicas, manage }: StreamOptions,
  storage: "memory" | "file",
  config: StreamSettings
): Promise<OpenedStream> => {
  const manager = await jetstreamManager(connection, { timeout: ATTEMPT_MS })
  const wanted = {
    ...config,
    name: stream,
    subjects: [`${prefix}.>`],
    storage: storage === "memory" ? StorageType.Memory : StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.New,
    num_replicas: replicas
  }
  if (!manage) {
    await manager.streams.info(stream)
    return { manager, wanted }
  }
  await manager.streams.add(wanted).catch(async (error: unknown) => {
    if (apiCode(error) !== STREAM_NAME_IN_USE) throw error
    // To change it is an administrator's, where coordinators are not let: it is used as it is then, and said.
    await manager.streams.update(stream, wanted).catch((refusal: unknown) => {
      if (!isForbidden(refusal)) throw refusal
    })
  })
  return { manager, wanted }
}

const isForbidden = (error: unknown): boolean =>
  error instanceof Error && /permission/i.test(`${error.name} ${error.message}`)

/** The names, without the prefix, of a stream's subjects. */
export const subjectsOf = async (
  manager: JetStreamManager,
  { stream, prefix }: Pick<StreamOptions, "stream" | "prefix">
): Promise<ReadonlyArray<string>> => {
  const info = await manager.streams.info(stream, { subjects_filter: `${prefix}.>` })
  return Object.keys(info.state.subjects ?? {}).map((it) => it.slice(prefix.length + 1))
}

/** The first message of a subject at or after a sequence. */
export interface NextOf {
  readonly seq: number
  readonly next_by_subj: string
}

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
