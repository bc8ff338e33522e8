/**
 * A configured line (`server`, `pool`, `peer`) and what became of it: its associations, and when its name is to be looked
 * up. A name that does not resolve, or whose members have fallen silent, is asked for again for ever, ever more rarely.
 */
import type { Association } from "./association.ts"
import type { AssociationAuthentication } from "./association-authentication.ts"
import type { AssociationOptions, Endpoint } from "./association-options.ts"

export interface SourceConfiguration {
  /** `passive` and `broadcast` are no line's: a peer that came by itself, a server that tells many. */
  readonly kind: "server" | "pool" | "peer" | "passive" | "broadcast"
  /** Names a line in every later call, and no other: a name or a numeric address as configured, with a port where that tells lines apart. */
  readonly host: string
  /** The host, where it is numeric and needs no look-up. */
  readonly address: string | undefined
  readonly port: number
  /** What tells the server from others at its address, where that is not {@link port}: that of its key exchange. */
  readonly askedPort?: number
  readonly options: AssociationOptions
  /** Makes one for each association: NTS and Autokey have a state of their own. */
  readonly authentication: (endpoint: Endpoint) => AssociationAuthentication
}

/** An association and its place in the set. */
export interface Member {
  readonly id: number
  readonly source: Source
  readonly association: Association
  /** When to poll it, CLOCK_MONOTONIC seconds. */
  due: number
  /** It is not asked, because somebody said so. */
  isOffline: boolean
  /** Why it is to be replaced as soon as another address is known. What was silent is spared when it answers again. */
  doom: "silent" | "useless" | undefined
}

/** Seconds after the first failed look-up, after one that brought too few, at most, and to wait for an answer. */
const FIRST_RETRY = 2
const FIRST_REFILL = 64
const LONGEST_RETRY = 1024
const ANSWER_PATIENCE = 30
const JITTER = 0.1
/** An address that a pool's member was replaced at is not taken again for so long, seconds. */
const AVOIDED_SECONDS = 3600
const MOST_AVOIDED = 64
/** Requests without an answer, while nothing else was answered lately, after which a member is to be replaced. */
const SILENT_AFTER = 5

export const isSilent = ({ reach, unanswered }: Association): boolean => reach === 0 && unanswered >= SILENT_AFTER

export class Source {
  readonly configuration: SourceConfiguration
  readonly members = new Set<Member>()
  /** When to look the name up, CLOCK_MONOTONIC seconds. */
  resolveAt: number
  /** The server denied us: nothing more is sent to what this line names. */
  hasEnded = false
  /** The next look-up says which addresses the name has now: members at others make way. */
  isRefreshing = false
  private pause = 0
  private readonly avoided = new Map<string, number>()

  constructor(configuration: SourceConfiguration, now: number) {
    this.configuration = configuration
    this.resolveAt = configuration.address === undefined ? now : Infinity
  }

  /** Whether a look-up could bring something. @param room members that a pool may still take */
  lacksMembers(room: number): boolean {
    if (this.hasEnded || this.configuration.address !== undefined) return false
    const doomed = [...this.members].some(({ doom }) => doom !== undefined)
    return doomed || (this.configuration.kind === "pool" ? room > 0 : this.members.size === 0)
  }

  /** A look-up begins. Should no answer come, the next one is due all the same. */
  resolving(now: number): void {
    this.resolveAt = now + Math.max(ANSWER_PATIENCE, this.pause)
  }

  /** A look-up ended. @param random uniform in 0 … 1 */
  resolutionEnded(now: number, brought: boolean, lacksMembers: boolean, random: number): void {
    this.pause = lacksMembers
      ? Math.min(LONGEST_RETRY, Math.max(brought ? FIRST_REFILL : FIRST_RETRY, 2 * this.pause))
      : 0
    this.resolveAt = lacksMembers ? now + this.pause * (1 + JITTER * (2 * random - 1)) : Infinity
  }

  /** A member is not good enough: it goes when another address is found. */
  doom(member: Member, reason: "silent" | "useless", now: number): void {
    if (this.configuration.address !== undefined) return
    member.doom ??= reason
    this.resolveAt = Math.min(this.resolveAt, now + this.pause)
  }

  /** A silent member answers again. */
  spare(member: Member, room: number): void {
    if (member.doom !== "silent") return
    member.doom = undefined
    if (!this.lacksMembers(room)) this.resolveAt = Infinity
  }

  avoid(address: string, now: number): void {
    for (const [each, until] of this.avoided) if (until <= now) this.avoided.delete(each)
    const [oldest] = this.avoided.keys()
    if (this.avoided.size >= MOST_AVOIDED && oldest !== undefined) this.avoided.delete(oldest)
    this.avoided.set(address, now + AVOIDED_SECONDS)
  }

  isAvoided(address: string, now: number): boolean {
    return (this.avoided.get(address) ?? -Infinity) > now
  }
}

/** The port that tells a line's server from others at its address. */
export const askedPort = ({ askedPort: asked, port }: SourceConfiguration): number => asked ?? port
