/**
 * What the node says of itself in the log: registers once, tells changes at once, and otherwise is heard three times within
 * the silence after which others count it as gone. An idle node writes no more than that.
 *
 * It also hears who else speaks under its name. A process registers once, so a registration after ours is another node's: two
 * have one name, and what the cluster knows of either is worth nothing. We register once more then, so that the other hears
 * of us in the same way.
 */
import * as Effect from "effect/Effect"
import { HEARTBEAT_FLOOR_MS, type MemberHealth, type MemberState } from "@meridian/events"
import { memberAggregate } from "./cluster-fold.ts"
import { carryOut, type CommandError, type Writer } from "./command.ts"

const HEARD_PER_SILENCE = 3

/** Milliseconds between two heartbeats that say the same. */
export const heartbeatInterval = (memberSilenceMs: number): number =>
  Math.max(HEARTBEAT_FLOOR_MS, Math.floor(memberSilenceMs / HEARD_PER_SILENCE))

export class MemberHeartbeats {
  readonly #release: { readonly version: string; readonly workers: number }
  /** Version of our first registration, and of the last that was heard, ours or not; 0 for none. */
  #registered = 0
  #heard = 0
  #answered = false

  constructor(release: { readonly version: string; readonly workers: number }) {
    this.#release = release
  }

  /** Whether another process has registered under the node's name since we did. */
  get isNameTaken(): boolean {
    return this.#registered > 0 && this.#heard > this.#registered
  }

  /** A registration under the node's name has come in. */
  hearRegistration(version: number): void {
    this.#heard = Math.max(this.#heard, version)
  }

  /** Milliseconds until {@link write} would write anything, none or fewer when it would. */
  dueIn(writer: Writer, health: MemberHealth, reason: string): number {
    if (this.#registered === 0 || (this.isNameTaken && !this.#answered)) return 0
    const said = memberAggregate(writer.node).get(writer.fold)
    const { memberSilenceMs } = writer.fold.policy.settings
    if (said.ready !== (reason === "") || said.reason !== reason) return 0
    return heartbeatDueIn(said, health, writer.now(), heartbeatInterval(memberSilenceMs))
  }

  /** `reason`: why the node is not ready, empty when it is. */
  write(writer: Writer, health: MemberHealth, reason: string): Effect.Effect<void, CommandError> {
    return Effect.gen({ self: this }, function* () {
      const { version, workers } = this.#release
      const aggregate = memberAggregate(writer.node)
      const answering = this.isNameTaken && !this.#answered
      if (this.#registered === 0 || answering) {
        this.#answered = answering
        const [registered] = yield* carryOut(writer, aggregate, () =>
          Effect.succeed({ _tag: "Register" as const, version, workers })
        )
        if (!answering) this.#registered = registered?.version ?? 0
      }
      const { memberSilenceMs } = writer.fold.policy.settings
      if (heartbeatDueIn(aggregate.get(writer.fold), health, writer.now(), heartbeatInterval(memberSilenceMs)) <= 0)
        yield* carryOut(writer, aggregate, () => Effect.succeed({ _tag: "Heartbeat" as const, health }))
      yield* carryOut(writer, aggregate, () =>
        Effect.succeed(reason === "" ? { _tag: "SetReady" as const } : { _tag: "SetUnready" as const, reason })
      )
    })
  }
}

const heartbeatDueIn = (
  { health: said, heardAt }: MemberState,
  health: MemberHealth,
  now: number,
  interval: number
): number =>
  said === null ||
  said.workers !== health.workers ||
  said.synchronised !== health.synchronised ||
  said.ntsGeneration !== health.ntsGeneration ||
  said.symmetricSet !== health.symmetricSet
    ? 0
    : heardAt + interval - now
