/**
 * What the node that leads does: takes over in the log under a term of its own, mints and rotates by schedule and on
 * command, shreds what has ended, and carries a change of the cluster key through. One thing at a time.
 *
 * Leading rests on the lease; being right does not. Every event a leader appends is decided under its term and at an exact
 * version, so a leader that has lost the lease without noticing is refused by the log, and steps down.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { KeyStoreUnavailable, SlotTaken } from "@meridian/event-log"
import type {
  CommandContext,
  NtsKeysState,
  NtsKeysCommand,
  NtsKeysEvent,
  SymmetricKeysCommand,
  SymmetricKeysEvent,
  SymmetricKeysState
} from "@meridian/events"
import {
  isLive,
  generationsNeeded,
  ntsKeys,
  pendingGenerations,
  NTS_KEYS_SUBJECT,
  setNeeded,
  symmetricKeys
} from "@meridian/events"
import { clusterKeyAggregate, ntsAggregate, symmetricAggregate } from "./cluster-fold.ts"
import type { ClusterKeys } from "./cluster-keys.ts"
import { carryOut, catchUp, type CommandError, CommandRefused, type Writer } from "./command.ts"
import type { KeyManager, KeyUnopened, LiveKey } from "./key-manager.ts"
import type { Lease } from "./lease.ts"
import type { Mint } from "./minting.ts"
import { ntsPlan, symmetricPlan } from "./leader-plans.ts"
import { isHeldElsewhere, liveKeys, wantedKeys } from "./serving.ts"
import { LOOK_MS, REST_LOOK_MS } from "./rounds.ts"
import { type ClockRetention, Upkeep } from "./upkeep.ts"

/** Another node leads, or none does. */
export class NotLeading extends Data.TaggedError("NotLeading")<{ readonly leader: string | null }> {
  override get message(): string {
    return this.leader === null ? "no node leads at the moment: try again" : `node ${this.leader} leads: ask it`
  }
}

/** This node's clock is not to be believed, and so it must not lead. */
class ClockDoubtful extends Data.TaggedError("ClockDoubtful")<{ readonly doubt: string }> {
  override get message(): string {
    return this.doubt
  }
}

type LeaderError = CommandError | NotLeading | ClockDoubtful | KeyUnopened | KeyStoreUnavailable | SlotTaken

type NtsBody =
  | { readonly _tag: "Tick" }
  | { readonly _tag: "Rotate" }
  | { readonly _tag: "Revoke"; readonly generation: number; readonly reason: string }
type SymmetricBody =
  | { readonly _tag: "Tick" }
  | { readonly _tag: "Rotate" }
  | { readonly _tag: "Revoke"; readonly set: number; readonly reason: string }

interface LeaderPlan {
  readonly mint: { readonly nts: boolean; readonly symmetric: boolean }
  /** Milliseconds; undefined for the policy's. */
  readonly rotationMs: number | null
  readonly clockRetention: ClockRetention
}

/** How long the others have to lay in again what the key store has lost. */
const ABSENT_MS = 15_000

export class Leader {
  readonly #writer: Writer
  readonly #lease: Lease
  readonly #plan: LeaderPlan
  readonly #keyManager: KeyManager
  readonly #mint: Mint
  readonly #keys: ClusterKeys
  readonly #doubt: () => string
  readonly #standsBack: () => boolean
  readonly #permit = Semaphore.makeUnsafe(1)
  #leading: { readonly revision: number; readonly term: number } | undefined
  /** Who led before and gave the lease up or let it lapse, and when we took over. */
  #lapsed: { readonly node: string; readonly at: number } | undefined
  readonly #upkeep: Upkeep

  /** `doubt`: why this node's clock must not decide, empty when it may. `standsBack`: whether it leaves leading to others. */
  constructor(
    writer: Writer,
    lease: Lease,
    plan: LeaderPlan,
    keyManager: KeyManager,
    mint: Mint,
    keys: ClusterKeys,
    doubt: () => string,
    standsBack: () => boolean = () => false
  ) {
    this.#standsBack = standsBack
    this.#doubt = doubt
    this.#writer = writer
    this.#lease = lease
    this.#plan = plan
    this.#keyManager = keyManager
    this.#mint = mint
    this.#keys = keys
    this.#upkeep = new Upkeep(writer, plan.clockRetention, keyManager, mint)
  }

  get leading(): boolean {
    return this.#leading !== undefined && this.#lease.held() === this.#leading.revision && !this.#standsBack()
  }

  /**
   * Milliseconds until {@link step} would do something as far as time says, none or fewer when it would now: mostly it would not, and that is found
   * out at little cost. Nobody says when the rules will have something to say, so where they have before the next look at rest, it is looked at each second.
   */
  get dueIn(): number {
    const { fold } = this.#writer
    const revision = this.#lease.held()
    if (revision === undefined || this.#doubt() !== "" || this.#standsBack())
      return this.#leading === undefined ? Infinity : 0
    if (this.#leading?.revision !== revision || this.#isOverlaid) return 0
    const { term } = this.#leading
    const { current, changingTo } = fold.clusterKey
    if (current === null || changingTo !== null || this.#keyManager.hasCondemned || this.#isSealDue) return 0
    const { dueIn } = this.#upkeep
    if (dueIn <= 0 || !this.#areRulesDue(term, REST_LOOK_MS + LOOK_MS)) return dueIn
    return this.#areRulesDue(term, 0) ? 0 : Math.min(dueIn, LOOK_MS)
  }

  #areRulesDue(term: number, ahead: number): boolean {
    return (this.#plan.mint.nts && this.#isNtsDue(term, ahead)) || this.#isSymmetricDue(term, ahead)
  }

  /** Everything that is due. Does nothing without the lease. Steps down where the log says that another has taken over. */
  readonly step: Effect.Effect<void, LeaderError> = Effect.suspend(() => this.#step()).pipe((it) => this.#alone(it))

  rotateNts(author?: string): Effect.Effect<ReadonlyArray<NtsKeysEvent>, LeaderError> {
    return this.#asLeader((term) => this.#changeNts(term, { _tag: "Rotate" }, author))
  }

  revokeNts(
    generation: number,
    reason: string,
    author?: string
  ): Effect.Effect<ReadonlyArray<NtsKeysEvent>, LeaderError> {
    return this.#asLeader((term) => this.#changeNts(term, { _tag: "Revoke", generation, reason }, author))
  }

  rotateSymmetric(author?: string): Effect.Effect<ReadonlyArray<SymmetricKeysEvent>, LeaderError> {
    return this.#asLeader((term) => this.#changeSymmetric(term, { _tag: "Rotate" }, author))
  }

  revokeSymmetric(
    set: number,
    reason: string,
    author?: string
  ): Effect.Effect<ReadonlyArray<SymmetricKeysEvent>, LeaderError> {
    return this.#asLeader((term) => this.#changeSymmetric(term, { _tag: "Revoke", set, reason }, author))
  }

  get mustStandBack(): boolean {
    return this.#standsBack() && this.#lease.held() !== undefined
  }

  /** Waits for what is under way, then gives the lease up if this node is to leave leading to another. */
  readonly standBack: Effect.Effect<void> = Effect.suspend(() => {
    if (!this.#standsBack() || this.#lease.held() === undefined) return Effect.void
    this.#leading = undefined
    return this.#lease.release
  }).pipe((it) => this.#alone(it))

  /** Waits for what is under way, then gives the lease up for good. */
  readonly resign: Effect.Effect<void> = Effect.suspend(() => {
    this.#leading = undefined
    return this.#lease.resign
  }).pipe((it) => this.#alone(it))

  #alone<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return this.#permit.withPermit(effect)
  }

  #asLeader<A>(run: (term: number) => Effect.Effect<A, LeaderError>): Effect.Effect<A, LeaderError> {
    return this.#alone(
      Effect.gen({ self: this }, function* () {
        const term = this.leading ? this.#leading?.term : undefined
        if (term === undefined) return yield* new NotLeading({ leader: this.#otherLeader })
        const result = yield* this.#steppingDown(run(term))
        yield* this.#upkeep.tidy(() => this.leading)
        return result
      })
    )
  }

  /** As far as the log tells; one that has given leadership away has no successor yet where it is named there itself. */
  get #otherLeader(): string | null {
    const { fold, node } = this.#writer
    return fold.nts.leader === node ? null : fold.nts.leader
  }

  #step(): Effect.Effect<void, LeaderError> {
    return Effect.gen({ self: this }, function* () {
      const revision = this.#lease.held()
      if (revision === undefined || this.#doubt() !== "" || this.#standsBack()) {
        this.#leading = undefined
        return
      }
      if (this.#leading?.revision !== revision || this.#isOverlaid) yield* this.#takeOver(revision)
      const term = this.#leading?.term
      if (term === undefined) return
      yield* this.#introduceClusterKey()
      if (this.#isSealDue)
        yield* carryOut(this.#writer, clusterKeyAggregate, () => Effect.succeed({ _tag: "Seal" as const }))
      yield* this.#steppingDown(this.#revokeCondemned(term))
      if (this.#plan.mint.nts && this.#isNtsDue(term))
        yield* this.#steppingDown(this.#changeNts(term, { _tag: "Tick" }))
      yield* this.#steppingDown(this.#tickSymmetric(term))
      yield* this.#changeClusterKey()
      if (this.#upkeep.isTidyDue) yield* this.#upkeep.tidy(() => this.leading)
      yield* this.#upkeep.retain
    })
  }

  /** A term above every other: the lease's revision, or more should the lease's store have been lost and begun anew. */
  #takeOver(revision: number): Effect.Effect<void, CommandError> {
    return Effect.gen({ self: this }, function* () {
      const { fold, node } = this.#writer
      for (const { subject } of [ntsAggregate, symmetricAggregate]) yield* catchUp(this.#writer, subject)
      const predecessor = fold.nts.leader
      const term = Math.max(revision, fold.nts.term + 1, fold.symmetric.term + 1)
      const command = { _tag: "TakeOver", term, leader: node } as const
      const taken = Effect.andThen(
        carryOut(this.#writer, ntsAggregate, () => Effect.succeed<NtsKeysCommand>(command)),
        carryOut(this.#writer, symmetricAggregate, () => Effect.succeed<SymmetricKeysCommand>(command))
      )
      yield* this.#steppingDown(taken)
      const mine = [fold.nts, fold.symmetric].every((it) => it.term === term && it.leader === node)
      // Somebody else has used this very term since: try again under a later one.
      if (!mine) return yield* this.#lease.release
      this.#mint.forget()
      this.#leading = { revision, term }
      this.#lapsed =
        predecessor === null || predecessor === node ? undefined : { node: predecessor, at: this.#writer.now() }
      this.#upkeep.beginToLead()
    })
  }

  #steppingDown<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.tapError(effect, (error) => {
      const over = error instanceof CommandRefused && (error.rule === "fenced" || error.rule === "not-leader")
      if (!over) return Effect.void
      this.#leading = undefined
      return this.#lease.release
    })
  }

  #introduceClusterKey(): Effect.Effect<unknown, CommandError> {
    if (this.#writer.fold.clusterKey.current !== null) return Effect.void
    return carryOut(this.#writer, clusterKeyAggregate, () =>
      Effect.succeed({ _tag: "Introduce" as const, key: this.#keys.first })
    )
  }

  /** Another led under this very term, says what was laid into a log that had lost it: leading begins anew. */
  get #isOverlaid(): boolean {
    const { fold, node } = this.#writer
    return [fold.nts, fold.symmetric].some((it) => it.term === this.#leading?.term && it.leader !== node)
  }

  get #isSealDue(): boolean {
    const { fold, maySeal } = this.#writer
    return fold.clusterKey.sealed !== true && fold.clusterKey.current !== null && maySeal?.() === true
  }

  /** The key to wrap under: the new one as soon as a change is under way and this node has it. */
  #under(): string {
    const { current, changingTo } = this.#writer.fold.clusterKey
    return changingTo !== null && this.#keys.has(changingTo) ? changingTo : (current ?? this.#keys.first)
  }

  #changeNts(term: number, body: NtsBody, author?: string): Effect.Effect<ReadonlyArray<NtsKeysEvent>, LeaderError> {
    const make = (state: NtsKeysState, context: CommandContext): Effect.Effect<NtsKeysCommand, LeaderError> =>
      Effect.gen({ self: this }, function* () {
        yield* this.#stillHeld()
        const plan = ntsPlan(this.#writer.fold.policy.settings, this.#plan.rotationMs)
        const earlier = this.#mint.earlier(state, plan.rotationMs)
        const bare = { ...body, term, plan, supply: [], laggards: this.#laggards(state), earlier }
        const needed = generationsNeeded(state, bare, context)
        return { ...bare, supply: yield* this.#mint.generations(needed, this.#under()) }
      })
    return carryOut(this.#writer, ntsAggregate, make, author)
  }

  /** Whether the rules have anything to say to the time, so many milliseconds from now. */
  #isNtsDue(term: number, ahead = 0): boolean {
    const { fold, node, now } = this.#writer
    const plan = ntsPlan(fold.policy.settings, this.#plan.rotationMs)
    const tick = { _tag: "Tick", term, plan, supply: [] } as const
    const decision = ntsKeys.decide(fold.nts, tick, { id: "due", node, now: now() + ahead })
    return decision._tag === "Refused" || decision.events.length > 0
  }

  /** A key that no node can open stands in a good one's place: it is revoked, and another minted. One at a time. */
  #revokeCondemned(term: number): Effect.Effect<unknown, LeaderError> {
    const { fold, now } = this.#writer
    const condemned = liveKeys(wantedKeys(fold, now())).find((live) => this.#isNobodys(live))
    if (condemned === undefined) return Effect.void
    const { subject, generation: number } = condemned.place
    const reason =
      this.#keyManager.condemnation(condemned) === "sealing"
        ? "wrongly sealed: no node can open it"
        : "gone from the key store: nobody can open it any more"
    return subject === NTS_KEYS_SUBJECT
      ? this.#changeNts(term, { _tag: "Revoke", generation: number, reason })
      : this.#changeSymmetric(term, { _tag: "Revoke", set: number, reason })
  }

  /** No node can open it: so its box says, or its slot has been empty for a while and nobody says that he holds it. */
  #isNobodys(live: LiveKey): boolean {
    const { fold, node, now } = this.#writer
    if (this.#keyManager.condemnation(live) !== undefined) return true
    const absent = this.#keyManager.absentFor(live) ?? 0
    return absent >= ABSENT_MS && !isHeldElsewhere(fold, live, node, now())
  }

  #isSymmetricDue(term: number, ahead: number): boolean {
    const { fold, node, now } = this.#writer
    if (fold.symmetric.next === 1) return this.#plan.mint.symmetric
    const tick = { _tag: "Tick", term, plan: symmetricPlan(fold.policy.settings) } as const
    const decision = symmetricKeys.decide(fold.symmetric, tick, { id: "due", node, now: now() + ahead })
    return decision._tag === "Refused" || decision.events.length > 0
  }

  #tickSymmetric(term: number): Effect.Effect<unknown, LeaderError> {
    const { symmetric } = this.#writer.fold
    const first = symmetric.next === 1
    if (first && !this.#plan.mint.symmetric) return Effect.void
    return this.#changeSymmetric(term, first ? { _tag: "Rotate" } : { _tag: "Tick" })
  }

  #changeSymmetric(
    term: number,
    body: SymmetricBody,
    author?: string
  ): Effect.Effect<ReadonlyArray<SymmetricKeysEvent>, LeaderError> {
    const make = (
      state: SymmetricKeysState,
      context: CommandContext
    ): Effect.Effect<SymmetricKeysCommand, LeaderError> =>
      Effect.gen({ self: this }, function* () {
        yield* this.#stillHeld()
        const bare = { ...body, term, plan: symmetricPlan(this.#writer.fold.policy.settings) }
        const needed = setNeeded(state, bare, context)
        return needed === undefined ? bare : { ...bare, supply: yield* this.#mint.set(needed, this.#under()) }
      })
    return carryOut(this.#writer, symmetricAggregate, make, author)
  }

  /** Asked after the moment of the decision was taken, so that a clock that is stepped in between is noticed. */
  #stillHeld(): Effect.Effect<void, NotLeading | ClockDoubtful> {
    const doubt = this.#doubt()
    if (doubt !== "") return new ClockDoubtful({ doubt })
    const lost = this.#lease.held() === undefined || this.#standsBack()
    return lost ? new NotLeading({ leader: this.#otherLeader }) : Effect.void
  }

  /**
   * Other live nodes, not drained, that do not say they hold the generation that is next. The leader before us is not waited
   * for until it is heard again: it would lead still.
   */
  #laggards(state: NtsKeysState): ReadonlyArray<string> {
    const { fold, node, now } = this.#writer
    const at = now()
    const [next] = pendingGenerations(state, at)
    if (next === undefined) return []
    return [...fold.members.values()]
      .filter((it) => it.node !== node && !it.drained && isLive(it, at, fold.policy.settings.memberSilenceMs))
      .filter((it) => it.node !== this.#lapsed?.node || it.heardAt > this.#lapsed.at)
      .filter((it) => (it.health?.ntsGeneration ?? 0) < next.generation)
      .map((it) => it.node)
  }

  /** Goes on with a change of the cluster key, if this node has the key that is changed to. */
  #changeClusterKey(): Effect.Effect<void, LeaderError> {
    return Effect.gen({ self: this }, function* () {
      const { changingTo } = this.#writer.fold.clusterKey
      if (changingTo === null || !this.#keys.has(changingTo)) return
      const remaining = yield* this.#keyManager.rewrap(changingTo, true)
      if (remaining > 0) return
      yield* carryOut(this.#writer, clusterKeyAggregate, () =>
        // Another leader may lack the new key and have wrapped a slot under the old one since we counted.
        Effect.as(this.#stillHeld(), { _tag: "FinishChange" as const, remaining })
      )
    })
  }
}
