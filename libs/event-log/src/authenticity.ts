/**
 * Who wrote what stands in the log. Whoever may write to the stream (a node's nkey is enough) could otherwise end leadership
 * or revoke keys; only who has the cluster key can write an event that anybody believes.
 *
 * Every event of keys, policy and members bears an HMAC-SHA-256 over the stream's name and the event's own text, in which
 * subject and version are. Its key, the log key, is derived from the cluster key. Clock events bear none: they are many,
 * change nothing that is shared, and each node may write its own alone.
 *
 * A log of release 0.2 or older has events without. They are read until an event says that the log is sealed
 * (`LogSealed`), which a leader appends as soon as all nodes that were heard lately sign; from there on none is believed.
 */
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js"
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"
import { type AnyEvent, encodeEvent, familyOf, isRestoration, CLUSTER_KEY_SUBJECT } from "@meridian/events"
import type { QuarantineReason } from "./event-log.ts"

/**
 * Places after the change of a cluster key in which events under the former one still count: of nodes that had not heard of
 * the change when they wrote.
 */
export const LATE_PLACES = 256

/** The key that events are signed under, of a cluster key. Nothing of that can be learned from it. */
export const logKeyOf = (clusterKey: Uint8Array): Uint8Array =>
  new Uint8Array(createHmac("sha256", clusterKey).update("meridian event log 1").digest())

/** Log keys by the fingerprint of their cluster key. */
export interface LogKeys {
  readonly logKey: (print: string) => Uint8Array | undefined
  /** Remembers one that the log gave away. */
  readonly addLogKey: (print: string, key: Uint8Array) => void
}

/** What is to be known of a log before its events can be judged, for a snapshot. */
export interface AuthenticityState {
  /** The place from which on every event bears a MAC, null while the log is not sealed. */
  readonly sealedAt: number | null
  /** Fingerprints of former cluster keys, and the place at which each was changed. */
  readonly former: ReadonlyArray<readonly [string, number]>
  /** Nodes that sign what they say. */
  readonly signers: ReadonlyArray<string>
  /** Fingerprints of cluster keys that events were put aside for want of. */
  readonly lacking: ReadonlyArray<string>
}

/** A commit as a store hands it back. */
interface StoredCommit {
  readonly seq: number
  readonly subject: string
  readonly body: string
}

interface Doubt {
  readonly reason: QuarantineReason
  readonly detail: string
}

/** Anybody may write any fingerprint. */
const MOST_LACKING = 64
const MAC = /^([0-9a-f]{16})\.([A-Za-z0-9_-]{43})$/
const NONCE_BYTES = 24

export class Authenticity {
  readonly #stream: string
  readonly #keys: LogKeys
  readonly #signWith: () => string
  #sealedAt: number | undefined
  readonly #former = new Map<string, number>()
  readonly #signers = new Set<string>()
  readonly #lacking = new Set<string>()

  /**
   * @param stream what tells this log from others under the same cluster key
   * @param signWith fingerprint of the cluster key to sign under
   */
  constructor(stream: string, keys: LogKeys, signWith: () => string) {
    this.#stream = stream
    this.#keys = keys
    this.#signWith = signWith
  }

  /** Nodes that sign what they say. */
  get signers(): ReadonlySet<string> {
    return this.#signers
  }

  /** Fingerprints of cluster keys that events were put aside for want of. */
  get lacking(): ReadonlySet<string> {
    return this.#lacking
  }

  get state(): AuthenticityState {
    const [former, signers, lacking] = [[...this.#former], [...this.#signers], [...this.#lacking]]
    return { sealedAt: this.#sealedAt ?? null, former, signers, lacking }
  }

  /** Goes on from what a snapshot knows. */
  restore({ sealedAt, former, signers, lacking }: AuthenticityState): void {
    this.forget()
    this.#sealedAt = sealedAt ?? undefined
    for (const [print, seq] of former) this.#former.set(print, seq)
    for (const node of signers) this.#signers.add(node)
    for (const print of lacking) this.#lacking.add(print)
  }

  /** Begins anew, for a log that is read from its start. */
  forget(): void {
    this.#sealedAt = undefined
    for (const known of [this.#former, this.#signers, this.#lacking]) known.clear()
  }

  /** The log was begun anew, and what is known of the one before is laid into it: it is sealed from its start. */
  carryOver(): void {
    if (this.#sealedAt !== undefined) this.#sealedAt = 0
  }

  /** The event as it is to be stored. */
  sign(event: AnyEvent): AnyEvent {
    if (!isSigned(event.subject)) return event
    const { mac: _, ...bare } = event
    const print = this.#signWith()
    const key = this.#keys.logKey(print)
    return key === undefined ? event : { ...bare, mac: `${print}.${this.#tag(key, encodeEvent(bare as AnyEvent))}` }
  }

  /** Why a parsed event at a place is not to be believed, undefined where it is. What is no event at all is others' matter. */
  doubt(subject: string, value: unknown, seq: number): Doubt | undefined {
    if (!isSigned(subject) || typeof value !== "object" || value === null) return undefined
    const { mac, ...bare } = value as { readonly mac?: unknown; readonly type?: unknown }
    if (mac === undefined) return this.#unsigned(bare.type, seq)
    const [, print = "", tag = ""] = (typeof mac === "string" ? MAC.exec(mac) : null) ?? []
    const key = this.#keys.logKey(print)
    if (print !== "" && key === undefined) {
      if (this.#lacking.size < MOST_LACKING) this.#lacking.add(print)
      return { reason: "unknown-key", detail: `it was written under cluster key ${print}, which this node lacks` }
    }
    const until = this.#former.get(print)
    if (until !== undefined && seq > until + LATE_PLACES)
      return { reason: "forged", detail: `it was written under cluster key ${print} after that was changed` }
    const good = key !== undefined && isSame(tag, this.#tag(key, JSON.stringify(bare)))
    return good
      ? undefined
      : { reason: "forged", detail: "its MAC does not fit: no node with the cluster key wrote it" }
  }

  /** An event that is believed has been met at a place. */
  hear(event: AnyEvent, seq: number): void {
    if (event.mac === undefined) return
    if (event.subject === `members.${event.node}`) this.#signers.add(event.node)
    const seals = event.type === "LogSealed" || (event.type === "ClusterKeyRestored" && event.data.sealed)
    if (seals) this.#sealedAt = Math.min(this.#sealedAt ?? seq, seq)
    // What the change was from is what the event that ends it is written under.
    const [print = ""] = event.mac.split(".")
    if (event.type === "ClusterKeyChanged" && event.data.key !== print && !this.#former.has(print))
      this.#former.set(print, seq)
  }

  /** Whether everything of the cluster's bears a MAC by now. */
  get isSealed(): boolean {
    return this.#sealedAt !== undefined
  }

  /** A MAC over what goes from node to node beside the log; undefined where this node lacks the key. */
  vouch(text: string): string | undefined {
    const print = this.#signWith()
    const key = this.#keys.logKey(print)
    return key === undefined ? undefined : `${print}.${messageTag(key, this.#stream, text)}`
  }

  /** Whether a node with the cluster key, and not a former one, has written it. */
  isVouched(text: string, mac: string): boolean {
    const [, print = "", tag = ""] = MAC.exec(mac) ?? []
    const key = this.#keys.logKey(print)
    return key !== undefined && !this.#former.has(print) && isSame(tag, messageTag(key, this.#stream, text))
  }

  /** Whether a commit is one that a log of ours has stored, as far as its MACs tell. */
  believes({ subject, body, seq }: StoredCommit): boolean {
    if (!isSigned(subject)) return true
    try {
      const values: unknown = JSON.parse(body)
      return Array.isArray(values) && values.every((value) => this.doubt(subject, value, seq) === undefined)
    } catch {
      return false
    }
  }

  /** The former key's log key, sealed for those who have the new one. Undefined where this node lacks either. */
  handDown(from: string, to: string): string | undefined {
    const [former, key] = [this.#keys.logKey(from), this.#keys.logKey(to)]
    if (former === undefined || key === undefined) return undefined
    const nonce = randomBytes(NONCE_BYTES)
    const box = xchacha20poly1305(sealingKey(key), nonce, this.#place(from, to)).encrypt(former)
    return Buffer.concat([nonce, box]).toString("base64")
  }

  /** Takes the log keys that earlier changes of the cluster key have handed down, as far as they open. */
  async learn(
    read: (subject: string) => AsyncIterable<{ readonly commits: ReadonlyArray<StoredCommit> }>
  ): Promise<void> {
    const handed: Array<HandedDown> = []
    for await (const { commits } of read(CLUSTER_KEY_SUBJECT))
      for (const { body } of commits) handed.push(...handedDownIn(body))
    // The newest first: each opens with the one that came after it.
    for (const { from, to, log } of handed.toReversed()) {
      const key = this.#keys.logKey(to)
      if (key === undefined || this.#keys.logKey(from) !== undefined) continue
      const box = Buffer.from(log, "base64")
      try {
        const place = this.#place(from, to)
        const opening = xchacha20poly1305(sealingKey(key), box.subarray(0, NONCE_BYTES), place)
        this.#keys.addLogKey(from, opening.decrypt(box.subarray(NONCE_BYTES)))
      } catch {
        // Whoever wrote that had no key of ours.
      }
    }
  }

  #unsigned(type: unknown, seq: number): Doubt | undefined {
    if (typeof type === "string" && (isRestoration(type) || type === "LogSealed"))
      return { reason: "forged", detail: `${type} without a MAC: only a node with the cluster key may write it` }
    return this.#sealedAt !== undefined && seq > this.#sealedAt
      ? { reason: "forged", detail: "it bears no MAC, in a log where every such event has one" }
      : undefined
  }

  #tag(key: Uint8Array, text: string): string {
    return createHmac("sha256", key).update(`meridian event 1\n${this.#stream}\n${text}`).digest("base64url")
  }

  #place(from: string, to: string): Uint8Array {
    return Buffer.from(`meridian log key 1\n${this.#stream}\n${from}\n${to}`)
  }
}

/** Never the tag of an event, whatever the text. */
const messageTag = (key: Uint8Array, stream: string, text: string): string =>
  createHmac("sha256", key).update(`meridian message 1\n${stream}\n${text}`).digest("base64url")

interface HandedDown {
  readonly from: string
  readonly to: string
  readonly log: string
}

const handedDownIn = (body: string): ReadonlyArray<HandedDown> => {
  try {
    const values: unknown = JSON.parse(body)
    return Array.isArray(values) ? values.flatMap((value) => handedDownOf(value)) : []
  } catch {
    return []
  }
}

const handedDownOf = (value: unknown): ReadonlyArray<HandedDown> => {
  const data = (value as { readonly data?: Partial<HandedDown> } | null)?.data
  if (typeof data !== "object" || data === null) return []
  const { from, to, log } = data
  const texts = typeof from === "string" && typeof to === "string" && typeof log === "string"
  return texts ? [{ from, to, log }] : []
}

/** A key of its own for sealing. */
const sealingKey = (logKey: Uint8Array): Uint8Array =>
  new Uint8Array(createHmac("sha256", logKey).update("meridian log key sealing 1").digest())

const isSigned = (subject: string): boolean => {
  const family = familyOf(subject)
  return family !== undefined && family !== "clock"
}

const isSame = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
