/**
 * The NTS master keys (RFC 8915 §6): generations of the key that cookies are sealed with.
 *
 * A generation is published a full rotation before it is needed, becomes active by time alone (so nodes go on with the
 * log out of reach), and opens cookies until it retires. Numbers are given out once, in order; where an embedded log was
 * lost and its keys were kept in a file, the next log goes on from their numbers. A number below the next
 * one that is not live is retired or revoked, and stays so: there is no event that brings it back, and no clock either,
 * since states only look forward from the greatest time they have seen.
 */
import {
  type CommandContext,
  type Decider,
  type Decision,
  Draft,
  effectiveNow,
  EventRejected,
  type EventOf,
  fromIso,
  mayFollowTerm,
  refuse,
  refuseTerm,
  type Refused,
  toIso
} from "./event.ts"
import type { EarlierGeneration, NtsKeysChange, NtsKeysCommand, NtsKeysPlan, Supply } from "./nts-keys-commands.ts"
import {
  NTS_KEYS_SUBJECT,
  NtsGenerationActivated,
  NtsGenerationBroughtForward,
  NtsGenerationPublished,
  NtsGenerationRetired,
  NtsGenerationRevoked,
  type NtsKeysEvent,
  NtsKeysRestored,
  NtsLeaderTookOver
} from "./nts-keys-events.ts"
import {
  type NtsGeneration,
  type NtsKeysState,
  type NtsTombstone,
  restoration,
  restored,
  TOMBSTONES_KEPT
} from "./nts-keys-state.ts"
import type { SealedKey } from "./sealed-key.ts"

/** The generation that new cookies are sealed with, if any is fit for it. */
export const activeGeneration = (state: NtsKeysState, now: number): NtsGeneration | undefined => {
  const at = effectiveNow(state, now)
  return state.live.findLast((it) => it.activation <= at && it.generation >= state.floor)
}

/** The generations whose cookies are opened: the active one, those published ahead, those past but not yet retired. */
export const acceptedGenerations = (state: NtsKeysState, now: number): ReadonlyArray<NtsGeneration> => {
  const at = effectiveNow(state, now)
  const active = activeGeneration(state, now)
  return state.live.filter((it) => it === active || (at >= it.notBefore && at < it.retirement))
}

/** Generations published and not yet active. */
export const pendingGenerations = (state: NtsKeysState, now: number): ReadonlyArray<NtsGeneration> => {
  const at = effectiveNow(state, now)
  return state.live.filter((it) => it.generation >= state.floor && it.activation > at)
}

/** Where a number stands. Anything below `next` that is not live has ended, even if its tombstone is no longer kept. */
export const generationStatus = (
  state: NtsKeysState,
  generation: number,
  now: number
): "unknown" | "pending" | "active" | "past" | "ended" => {
  if (generation >= state.next || generation < 1) return "unknown"
  if (!state.live.some((it) => it.generation === generation)) return "ended"
  const active = activeGeneration(state, now)
  if (active?.generation === generation) return "active"
  return pendingGenerations(state, now).some((it) => it.generation === generation) ? "pending" : "past"
}

type NtsDraft = Draft<NtsKeysState, NtsKeysEvent>

/**
 * The events that carry the command out. Refused: `fenced` (another leader took over since), `not-leader` (no takeover
 * under this term yet), `key-missing` (see {@link generationsNeeded}), `unknown-generation`, `already-ended`, `under-way`
 * (an activation is due within the lead), `not-everywhere` (a live node lacks the key).
 */
const decide = (state: NtsKeysState, command: NtsKeysCommand, context: CommandContext): Decision<NtsKeysEvent> => {
  const draft: NtsDraft = new Draft(evolve, state, NTS_KEYS_SUBJECT, context)
  if (command._tag === "Restore") {
    draft.emit(NtsKeysRestored, restoration(state))
    return draft.accept()
  }
  const fenced = refuseTerm(state, command)
  if (fenced !== undefined) return fenced
  if (command._tag === "TakeOver") {
    if (command.term > state.term) draft.emit(NtsLeaderTookOver, { term: command.term, leader: command.leader })
    return draft.accept()
  }
  const refused =
    command._tag === "Rotate"
      ? bringForward(draft, command.plan, command.laggards)
      : command._tag === "Revoke"
        ? revoke(draft, command.plan, command.generation, command.reason)
        : undefined
  if (refused !== undefined) return refused
  const earlier = command._tag === "Tick" && draft.state.next === 1 ? (command.earlier ?? []) : []
  const missing =
    publishEarlier(draft, command.plan, command.supply, earlier) ?? publishAhead(draft, command.plan, command.supply)
  activateDue(draft)
  retireDue(draft, command.plan)
  return missing === undefined
    ? draft.accept()
    : refuse("key-missing", `the key of generation ${missing} is needed with this command: mint it and retry`)
}

/** The numbers of the generations that must be minted and supplied with a command. Empty also where it is refused. */
export const generationsNeeded = (
  state: NtsKeysState,
  command: NtsKeysChange,
  context: CommandContext
): ReadonlyArray<number> => {
  const placeholder: SealedKey = { slot: "nts.0.none", box: "A".repeat(64) }
  const most = state.live.length + command.plan.acceptFuture + 2
  const earlier = command._tag === "Tick" ? (command.earlier ?? []).map(({ generation }) => generation) : []
  const first = state.next === 1 ? Math.max(0, ...earlier) + 1 : state.next
  const ahead = Array.from({ length: most }, (_, index) => first + index)
  const supply = [...earlier, ...ahead].map((generation) => ({ generation, sealed: placeholder }))
  const decision = decide(state, { ...command, supply }, context)
  return decision._tag === "Refused"
    ? []
    : decision.events.flatMap((event) => (event.type === "NtsGenerationPublished" ? [event.data.generation] : []))
}

const bringForward = (draft: NtsDraft, plan: NtsKeysPlan, laggards: ReadonlyArray<string>): Refused | undefined => {
  const [first] = pendingGenerations(draft.state, draft.at)
  if (first === undefined) return undefined
  if (first.activation <= draft.at + plan.leadMs)
    return refuse(
      "under-way",
      `generation ${first.generation} becomes active at ${toIso(first.activation)}: wait for it`
    )
  if (laggards.length > 0)
    return refuse(
      "not-everywhere",
      `generation ${first.generation} is not yet on ${laggards.join(", ")}: wait or drain`
    )
  forward(draft, first, draft.at + plan.leadMs, plan, "rotate")
  return undefined
}

const revoke = (draft: NtsDraft, plan: NtsKeysPlan, generation: number, reason: string): Refused | undefined => {
  const status = generationStatus(draft.state, generation, draft.at)
  if (status === "unknown")
    return refuse("unknown-generation", `there is no generation ${generation}; the last is ${draft.state.next - 1}`)
  if (status === "ended") return refuse("already-ended", `generation ${generation} has been retired or revoked before`)
  draft.emit(NtsGenerationRevoked, { generation, reason })
  const [first] = pendingGenerations(draft.state, draft.at)
  if (status === "active" && first !== undefined) forward(draft, first, draft.at, plan, "revoke")
  return undefined
}

const forward = (
  draft: NtsDraft,
  { generation }: NtsGeneration,
  activation: number,
  plan: NtsKeysPlan,
  reason: "rotate" | "revoke"
): void =>
  draft.emit(NtsGenerationBroughtForward, {
    generation,
    activation: toIso(activation),
    retirement: toIso(activation + plan.rotationMs * (1 + plan.acceptPast)),
    reason
  })

const activateDue = (draft: NtsDraft): void => {
  const active = activeGeneration(draft.state, draft.at)
  if (active !== undefined && active.generation > draft.state.activated)
    draft.emit(NtsGenerationActivated, { generation: active.generation })
}

/**
 * Publishes the earlier generations whose cookies the policy still opens, under their numbers. Returns the first number for
 * which no key was supplied.
 */
const publishEarlier = (
  draft: NtsDraft,
  { aead, rotationMs, acceptPast }: NtsKeysPlan,
  supply: Supply,
  earlier: ReadonlyArray<EarlierGeneration>
): number | undefined => {
  const lasting = rotationMs * (1 + acceptPast)
  for (const { generation, activation } of earlier.toSorted((a, b) => a.generation - b.generation)) {
    // What is said to have begun in the time to come begins now, and so does what is out of order.
    const since = Math.max(Math.min(activation, draft.at), draft.state.live.at(-1)?.activation ?? 0)
    if (since + lasting <= draft.at || generation < draft.state.next) continue
    const sealed = supply.find((it) => it.generation === generation)?.sealed
    if (sealed === undefined) return generation
    draft.emit(NtsGenerationPublished, {
      generation,
      aead,
      notBefore: toIso(since),
      activation: toIso(since),
      retirement: toIso(since + lasting),
      predecessorUntil: toIso(since + rotationMs * acceptPast),
      sealed
    })
  }
  return undefined
}

/** Publishes until the policy's number of generations waits. Returns the first number for which no key was supplied. */
const publishAhead = (draft: NtsDraft, plan: NtsKeysPlan, supply: Supply): number | undefined => {
  const usable = (): ReadonlyArray<NtsGeneration> => draft.state.live.filter((it) => it.generation >= draft.state.floor)
  const waiting = (): number => usable().filter((it) => it.activation > draft.at + plan.leadMs).length
  while (usable().length === 0 || waiting() < plan.acceptFuture) {
    const generation = draft.state.next
    const sealed = supply.find((it) => it.generation === generation)?.sealed
    if (sealed === undefined) return generation
    const activation = nextActivation(draft, plan, usable().at(-1))
    draft.emit(NtsGenerationPublished, {
      generation,
      aead: plan.aead,
      notBefore: toIso(draft.at),
      activation: toIso(activation),
      retirement: toIso(activation + plan.rotationMs * (1 + plan.acceptPast)),
      predecessorUntil: toIso(activation + plan.rotationMs * plan.acceptPast),
      sealed
    })
  }
  return undefined
}

/** A full rotation after the last one and after now; at once where nothing else could be used. */
const nextActivation = (draft: NtsDraft, plan: NtsKeysPlan, last: NtsGeneration | undefined): number => {
  if (last !== undefined) return Math.max(last.activation, draft.at) + plan.rotationMs
  return draft.state.next === 1 ? draft.at : draft.at + plan.leadMs
}

const retireDue = (draft: NtsDraft, plan: NtsKeysPlan): void => {
  const active = activeGeneration(draft.state, draft.at)
  const past = draft.state.live.filter((it) => it !== active && it.activation <= draft.at)
  const surplus = past.length - plan.acceptPast
  past.forEach(({ generation, retirement }, index) => {
    if (draft.at >= retirement) draft.emit(NtsGenerationRetired, { generation, reason: "expired" })
    else if (index < surplus) draft.emit(NtsGenerationRetired, { generation, reason: "limit" })
  })
}

/** Folds one event. Rejected: numbers out of order, anything about a generation that has ended, an older term. */
const evolve = (state: NtsKeysState, event: NtsKeysEvent): NtsKeysState | EventRejected => {
  if (event.version <= state.version) return state
  const time = fromIso(event.time)
  const base = { ...state, version: event.version, latest: Math.max(state.latest, time) }
  switch (event.type) {
    case "NtsLeaderTookOver":
      return mayFollowTerm(event.data.term, state.term)
        ? { ...base, term: event.data.term, leader: event.data.leader }
        : new EventRejected(`term ${event.data.term} cannot follow ${state.term}`)
    case "NtsKeysRestored":
      return restored(state, base, event)
    case "NtsGenerationPublished":
      return published(state, base, event)
    case "NtsGenerationBroughtForward":
      return broughtForward(state, base, event.data, base.latest)
    case "NtsGenerationActivated": {
      const { generation } = event.data
      const due = state.live.some((it) => it.generation === generation && it.activation <= base.latest)
      if (!due || generation < state.floor)
        return new EventRejected(`generation ${generation} cannot become active now`)
      return { ...base, floor: generation, activated: generation }
    }
    case "NtsGenerationRetired": {
      const { generation, reason } = event.data
      if (activeGeneration(state, base.latest)?.generation === generation)
        return new EventRejected(`generation ${generation} is active and cannot retire`)
      return ended(state, base, event, { generation, end: "retired", reason })
    }
    case "NtsGenerationRevoked": {
      const { generation, reason } = event.data
      const floor = activeGeneration(state, base.latest)?.generation === generation ? generation + 1 : state.floor
      return ended(state, { ...base, floor }, event, { generation, end: "revoked", reason })
    }
  }
}

const published = (
  state: NtsKeysState,
  base: NtsKeysState,
  { id, data }: EventOf<typeof NtsGenerationPublished>
): NtsKeysState | EventRejected => {
  const { generation, aead, sealed } = data
  const [notBefore, activation, retirement] = [
    fromIso(data.notBefore),
    fromIso(data.activation),
    fromIso(data.retirement)
  ]
  const last = state.live.at(-1)
  // Only a log that goes on from an earlier one's keys skips numbers, and only before it has used any.
  if (generation !== state.next && (generation < state.next || state.activated > 0))
    return new EventRejected(`generation ${generation} published where ${state.next} was expected`)
  if (notBefore > activation || activation >= retirement || activation < (last?.activation ?? 0))
    return new EventRejected(`generation ${generation} has its times out of order`)
  const until = fromIso(data.predecessorUntil)
  const before = state.live.map((it) => (it === last ? { ...it, retirement: Math.max(it.retirement, until) } : it))
  const added = { generation, aead, notBefore, activation, retirement, sealed, publishedBy: id }
  return { ...base, next: generation + 1, live: [...before, added] }
}

const broughtForward = (
  state: NtsKeysState,
  base: NtsKeysState,
  data: EventOf<typeof NtsGenerationBroughtForward>["data"],
  at: number
): NtsKeysState | EventRejected => {
  const index = state.live.findIndex((it) => it.generation === data.generation)
  const found = state.live[index]
  const [activation, retirement] = [fromIso(data.activation), fromIso(data.retirement)]
  if (found === undefined || found.generation < state.floor || found.activation <= at)
    return new EventRejected(`generation ${data.generation} is not waiting`)
  if (
    activation > found.activation ||
    activation >= retirement ||
    activation < (state.live[index - 1]?.activation ?? 0)
  )
    return new EventRejected(`generation ${data.generation} cannot be brought forward to ${data.activation}`)
  return { ...base, live: state.live.with(index, { ...found, activation, retirement }) }
}

const ended = (
  state: NtsKeysState,
  base: NtsKeysState,
  event: NtsKeysEvent,
  end: Pick<NtsTombstone, "generation" | "end" | "reason">
): NtsKeysState | EventRejected => {
  if (!state.live.some((it) => it.generation === end.generation))
    return new EventRejected(`generation ${end.generation} is not live`)
  const live = state.live.filter((it) => it.generation !== end.generation)
  const tombstone = { ...end, at: fromIso(event.time), endedBy: event.id }
  return { ...base, live, tombstones: [...state.tombstones, tombstone].slice(-TOMBSTONES_KEPT) }
}

export const ntsKeys = { decide, evolve } satisfies Decider<NtsKeysState, NtsKeysCommand, NtsKeysEvent>
