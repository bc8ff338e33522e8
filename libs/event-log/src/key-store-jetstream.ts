/**
 * The key store in a JetStream stream of its own, one subject a slot. Deleting or purging in JetStream, and a key-value
 * bucket's history, only unlink a message: its bytes stay in the block on disk. Here every message that goes is erased
 * with the server's secure delete, which overwrites the record in its block before it is unlinked.
 *
 * That reaches the stream's blocks. In a cluster the servers also keep a log of proposals (Raft), and there the bytes stay
 * until the servers compact it. So a replicated key store belongs in memory (`storage: "memory"`, the default for more than
 * one copy), where neither blocks nor proposals touch a disk, and the leader lays the live keys in again should all
 * servers ever go at once; on disk only with encryption at rest, and then a warning says so.
 */
import { jetstream, JetStreamApiError, type StoredMsg } from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/nats-core"
import { sameKey, type SlotStore, SlotTaken, type WrappedKey } from "./key-store.ts"
import {
  apiCode,
  ATTEMPT_MS,
  DEADLINE_MS,
  openStream,
  persist,
  storedMessage,
  subjectsOf,
  WRONG_LAST_SEQUENCE
} from "./stream.ts"

interface KeyStoreOptions {
  readonly connection: NatsConnection
  readonly stream: string
  /** What subjects begin with; must not overlap the log's. */
  readonly prefix: string
  readonly replicas: number
  readonly storage?: "memory" | "file"
  /** Whether to create the stream; needs the permission. */
  readonly manage: boolean
  /** How long a write is repeated before it fails, 15 s by default. */
  readonly deadlineMs?: number
}

const FINGERPRINT_LENGTH = 16
const MAX_BYTES = 16 * 1024 * 1024

/** A record is the fingerprint's 16 characters and the box. */
const encode = ({ under, box }: WrappedKey): Uint8Array => Buffer.concat([Buffer.from(under, "latin1"), box])

const decode = (data: Uint8Array): WrappedKey => ({
  under: Buffer.from(data.subarray(0, FINGERPRINT_LENGTH)).toString("latin1"),
  box: new Uint8Array(data.subarray(FINGERPRINT_LENGTH))
})

/** A key store in a stream. Rejects with KeyStoreUnavailable where the stream is not there and cannot be made. */
export const jetstreamKeyStore = async (options: KeyStoreOptions): Promise<SlotStore> => {
  const { connection, stream, prefix, replicas } = options
  const storage = options.storage ?? (replicas > 1 ? "memory" : "file")
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS
  // Direct gets are off: answers from any replica could come after the shredding.
  const { manager } = await repeat(deadlineMs, () =>
    openStream(options, storage, { max_bytes: MAX_BYTES, allow_direct: false })
  )
  const client = jetstream(connection, { timeout: ATTEMPT_MS })
  const last = (slot: string): Promise<StoredMsg | null> =>
    storedMessage(manager, stream, { last_by_subj: `${prefix}.${slot}` })
  const publish = (slot: string, key: WrappedKey, after: number): Promise<unknown> =>
    client.publish(`${prefix}.${slot}`, encode(key), {
      expect: { streamName: stream, lastSubjectSequence: after }
    })
  /** Overwrites and unlinks the slot's messages below a sequence. */
  const erase = async (slot: string, below: number): Promise<void> => {
    for (;;) {
      const message = await storedMessage(manager, stream, { seq: 1, next_by_subj: `${prefix}.${slot}` })
      if (message === null || message.seq >= below) return
      await manager.streams.deleteMessage(stream, message.seq, true)
    }
  }

  return {
    warnings: warningsOf(storage, replicas),
    put: (slot, key) =>
      repeat(deadlineMs, async () => {
        try {
          await publish(slot, key, 0)
        } catch (error) {
          if (!WRONG_LAST_SEQUENCE.has(apiCode(error))) throw error
          const there = await last(slot)
          if (there !== null && !sameKey(decode(there.data), key)) throw new SlotTaken({ slot })
          if (there === null) throw error
        }
      }),
    get: async (slot) => {
      const message = await last(slot)
      return message === null ? undefined : decode(message.data)
    },
    rewrap: (slot, from, key) =>
      repeat(deadlineMs, async () => {
        const there = await last(slot)
        if (there === null) return false
        const mine = sameKey(decode(there.data), key)
        if (!mine && decode(there.data).under !== from) return false
        if (!mine) await publish(slot, key, there.seq)
        const newest = await last(slot)
        await erase(slot, newest?.seq ?? 0)
        return true
      }),
    shred: (slot) => repeat(deadlineMs, () => erase(slot, Infinity)),
    list: async () => {
      const found = await Promise.all(
        (await subjectsOf(manager, options)).map(async (slot) => {
          const message = await last(slot)
          // A change of wrapping that was cut short leaves the old record below the new one.
          if (message !== null) await erase(slot, message.seq)
          return message === null ? [] : [{ slot, under: decode(message.data).under }]
        })
      )
      return found.flat()
    }
  }
}

const warningsOf = (storage: "memory" | "file", replicas: number): ReadonlyArray<string> => {
  if (storage === "memory")
    return replicas === 1 ? ["the key store ends with its one server: keys are then minted anew"] : []
  return replicas === 1
    ? []
    : ["the key store is replicated on disk: shredded keys stay in the servers' Raft logs until those are compacted"]
}

const repeat = <A>(deadlineMs: number, run: () => Promise<A>): Promise<A> =>
  persist(
    deadlineMs,
    run,
    (error) =>
      error instanceof SlotTaken || (error instanceof JetStreamApiError && error.status < 500 && error.status !== 408)
  )
