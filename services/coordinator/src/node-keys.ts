/**
 * The keys that this node serves with: opened as the fold and the clock want them, handed to the supervisor whenever they
 * are other than before, and let go of when they have ended.
 */
import * as Effect from "effect/Effect"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import type { ClusterFold } from "./cluster-fold.ts"
import type { ClusterKeys } from "./cluster-keys.ts"
import { type KeyManager, keyName, type LiveKey } from "./key-manager.ts"
import type { Mint } from "./minting.ts"
import { type Notices, sentence } from "./notices.ts"
import {
  isHeldElsewhere,
  liveKeys,
  liveSlots,
  nextTurn,
  servingKeys,
  signatureOf,
  symmetricKey,
  type Wanted,
  wantedKeys
} from "./serving.ts"

/** This node's cluster key is not the cluster's. */
export class WrongKey extends Error {
  readonly _tag = "WrongKey"
}

/** What to do where the cluster's key is not at hand. */
export const lacksKey = (print: string): string =>
  `this node lacks cluster key ${print}: give it that with meridian cluster rekey FILE`

interface NodeKeysPlan {
  /** This node's name. */
  readonly node: string
  readonly keyManager: KeyManager
  readonly mint: Mint
  readonly keys: ClusterKeys
  readonly notices: Notices
  /** What the leader is going to mint first, as far as this node's arguments tell. */
  readonly expects: { readonly nts: boolean; readonly symmetric: boolean }
  readonly send: (keys: ServingKeys) => void
  /** Told once of each key that is put aside because nobody can open it. */
  readonly condemned: () => void
}

export class NodeKeys {
  /** Why a key that is needed is missing; undefined when none is. A key that nobody can open is not missed. */
  problem: string | undefined
  /** Live keys that are put aside as wrongly sealed, in words. */
  putAside: ReadonlyArray<string> = []
  /** Highest generation and set that are held, 0 for none. */
  held = { ntsGeneration: 0, symmetricSet: 0 }
  readonly #plan: NodeKeysPlan
  #sent = ""
  #kept = ""
  #fitted = false
  #settledFor = ""
  /** The last look, and the next where nothing else happens: milliseconds since 1970; at once where something is amiss. */
  #lookedAt = 0
  #nextLook = Number.NEGATIVE_INFINITY

  constructor(plan: NodeKeysPlan) {
    this.#plan = plan
  }

  /**
   * Looks at the fold at a moment (milliseconds since 1970). `inStep`: this process has read the log to its end, and so may
   * shred; what a snapshot does not know of may be newer than it. Fails where the node never had the cluster's key.
   */
  follow(fold: ClusterFold, now: number, inStep: boolean): Effect.Effect<void, WrongKey> {
    return Effect.gen({ self: this }, function* () {
      yield* this.#checkClusterKey(fold)
      const wanted = wantedKeys(fold, now)
      const opened = yield* this.#openAll(wanted, inStep, (live) => isHeldElsewhere(fold, live, this.#plan.node, now))
      const keys = servingKeys(fold, wanted, opened, now)
      const sets = wanted.sets.filter((it) => it.keys.every((key) => opened.has(keyName(symmetricKey(it, key).place))))
      this.held = {
        ntsGeneration: Math.max(0, ...keys.generations.map(({ id }) => id)),
        symmetricSet: Math.max(0, ...sets.map(({ set }) => set))
      }
      this.problem ??= this.#noneActive(fold, keys, now)
      this.#tell(fold, keys)
      if (inStep) yield* this.#letGo(fold)
      const isWell = this.problem === undefined && this.putAside.length === 0 && this.#isAtRest(fold)
      this.#lookedAt = now
      this.#nextLook = isWell ? nextTurn(fold, now) : Number.NEGATIVE_INFINITY
    })
  }

  /** Milliseconds until time alone asks for another look; none also where the clock has been set back. */
  dueIn(now: number): number {
    return now < this.#lookedAt ? 0 : this.#nextLook - now
  }

  /** A key whose slot is empty is missing here where others hold it. Where nobody does, whoever leads revokes it. */
  #openAll(
    wanted: Wanted,
    inStep: boolean,
    isHeld: (live: LiveKey) => boolean
  ): Effect.Effect<ReadonlyMap<string, Uint8Array>> {
    return Effect.gen({ self: this }, function* () {
      const { keyManager, notices, condemned } = this.#plan
      const opened = new Map<string, Uint8Array>()
      const putAside: Array<string> = []
      const absent: Array<string> = []
      let problem: string | undefined
      for (const live of liveKeys(wanted)) {
        const key = yield* Effect.result(keyManager.open(live, inStep))
        if (key._tag === "Success") opened.set(keyName(live.place), key.success)
        else if (key.failure._tag === "KeyUnopened" && inStep && key.failure.isAbsent === true && !isHeld(live))
          absent.push(`${key.failure.message}, and no other node says that it holds it: it is put aside`)
        else if (key.failure._tag === "KeyUnopened") problem ??= key.failure.message
        else putAside.push(key.failure.message)
      }
      const isNew = (message: string): boolean => !this.putAside.includes(message)
      for (const message of [...putAside, ...absent].filter(isNew)) notices.warn(message)
      for (const _ of putAside.filter(isNew)) condemned()
      if (problem !== undefined) notices.warnOnce(problem, `this node is not ready: ${problem}`)
      this.putAside = [...putAside, ...absent]
      this.problem = problem
      return opened
    })
  }

  #noneActive(fold: ClusterFold, { generations }: ServingKeys, now: number): string | undefined {
    if (fold.nts.next === 1) return this.#plan.expects.nts ? "no NTS master key has been minted yet" : undefined
    const usable = generations.some((it) => it.activation * 1_000 <= now && it.retirement * 1_000 > now)
    return usable ? undefined : "no NTS master key is active: all that this node knows have ended"
  }

  /** The first message waits for the first key, where there is to be one. */
  #tell({ nts, symmetric }: ClusterFold, keys: ServingKeys): void {
    const { expects, send } = this.#plan
    const signature = signatureOf(keys)
    if (signature === this.#sent) return
    const awaited = nts.next === 1 && symmetric.next === 1 && (expects.nts || expects.symmetric)
    const empty = keys.generations.length + keys.symmetric.length === 0
    if (this.#sent === "" && empty && awaited) return
    this.#sent = signature
    send(keys)
  }

  /** Keys of generations that have ended go at once, from memory and from this node's own key store. */
  #letGo(fold: ClusterFold): Effect.Effect<void> {
    const { keyManager, mint, notices } = this.#plan
    const live = liveSlots(fold)
    const text = [...live].join(" ")
    if (text === this.#kept) return Effect.void
    return Effect.match(keyManager.keepOnly(new Set([...live, ...mint.reserved(fold)])), {
      onSuccess: () => void (this.#kept = text),
      onFailure: (error) =>
        notices.warnOnce("shredding", `keys that have ended could not be shredded, trying again: ${sentence(error)}`)
    })
  }

  /** Nothing is left to be shredded or wrapped anew. */
  #isAtRest(fold: ClusterFold): boolean {
    const isShredded = [...liveSlots(fold)].join(" ") === this.#kept
    return isShredded && this.#isSettled(fold)
  }

  #isSettled({ clusterKey: { current, changingTo, former } }: ClusterFold): boolean {
    if (current === null || changingTo !== null) return true
    return !this.#plan.keys.has(current) || former.length === 0 || this.#settledFor === current
  }

  #checkClusterKey(fold: ClusterFold): Effect.Effect<void, WrongKey> {
    const { current, changingTo, former } = fold.clusterKey
    const { keys, notices } = this.#plan
    if (current === null) return Effect.void
    const fits = keys.has(current) || (changingTo !== null && keys.has(changingTo))
    if (!fits && !this.#fitted) {
      const which = former.includes(keys.first) ? `${keys.first}, a former one` : keys.first
      return Effect.fail(
        new WrongKey(
          `wrong cluster key: ${keys.origin} holds ${which}, the cluster's is ${current}; give this node that one`
        )
      )
    }
    this.#fitted = true
    const lacking = [current, changingTo].find((it) => it !== null && !keys.has(it))
    if (typeof lacking === "string") notices.warnOnce(`key ${lacking}`, lacksKey(lacking))
    return this.#isSettled(fold) ? Effect.void : this.#settle(current, former)
  }

  /** A change is complete: what is left under old keys is on this node's own key store, and is wrapped anew there too. */
  #settle(current: string, former: ReadonlyArray<string>): Effect.Effect<void> {
    const { keyManager, keys, notices } = this.#plan
    return Effect.match(keyManager.rewrap(current, false), {
      onSuccess: () => {
        this.#settledFor = current
        try {
          const advice = keys.settle(current, former)
          if (advice !== undefined) notices.warnOnce(`settled ${current}`, advice)
        } catch (error) {
          // The keys in memory are right; at the next start it is tried again.
          notices.warnOnce(
            `settled ${current}`,
            `the cluster key has changed to ${current}, but its file could not be put in place: ${sentence(error)}`
          )
        }
      },
      onFailure: (error) => notices.warnOnce("own key store", sentence(error))
    })
  }
}
