/** What a coordinator says of the cluster (GET /state, GET /explain) and the tables that show it. */
import { cell, type Cell, type Colour, shortTime, table } from "./text-table.ts"

export interface GenerationView {
  readonly generation: number
  readonly status: "pending" | "active" | "past" | "retired" | "revoked"
  readonly activation: string | null
  readonly retirement: string | null
  readonly event: string
}

export interface SetView {
  readonly set: number
  readonly status: string
  readonly keys: readonly { readonly id: number; readonly type: string }[]
  readonly trustedFrom: string
  readonly until: string | null
  readonly event: string
}

export interface MemberView {
  readonly node: string
  readonly version: string | null
  readonly workers: number
  readonly health: {
    readonly workers: number
    readonly synchronised: boolean
    readonly ntsGeneration: number
    readonly symmetricSet: number
  } | null
  readonly heard: string
  readonly live: boolean
  readonly ready: boolean
  readonly reason: string
  readonly drained: boolean
}

export interface ClockView {
  readonly node: string
  readonly peer: string | null
  readonly holdover: boolean
  readonly leap: string
  readonly reachable: readonly string[]
  readonly steps: number
  readonly event: string | null
  readonly reason: string | null
}

export interface StateView {
  readonly node: string
  readonly leader: string | null
  readonly leading: boolean
  readonly term: number
  readonly log: {
    readonly adapter: string | null
    readonly foldedSeq: number
    readonly lastSeq: number
    readonly quarantined: number
  }
  /** Live keys that no node can open, in words. */
  readonly putAside: readonly string[]
  /** Why the node's clock keeps it from leading, empty when it does not. */
  readonly clockDoubt: string
  readonly ready: boolean
  readonly reason: string
  readonly drained: boolean
  readonly members: readonly MemberView[]
  readonly ntsKeys: readonly GenerationView[]
  readonly symmetricSets: readonly SetView[]
  readonly clusterKey: { readonly current: string | null; readonly changingTo: string | null }
}

const KEY_COLOURS: Readonly<Record<string, Colour>> = {
  active: "good",
  trusted: "good",
  pending: "warn",
  announced: "warn",
  revoked: "bad",
  retired: "dim"
}

const keyStatus = (status: string): Cell => cell(status, KEY_COLOURS[status] ?? "plain")

export const generationTable = (generations: readonly GenerationView[], colours?: boolean): string =>
  generations.length === 0
    ? "  none\n"
    : table(
        ["generation", "status", "active from", "accepted until", "event"],
        generations.map(({ generation, status, activation, retirement, event }) => [
          String(generation),
          keyStatus(status),
          shortTime(activation),
          shortTime(retirement),
          event
        ]),
        colours
      )

export const setTable = (sets: readonly SetView[], colours?: boolean): string =>
  sets.length === 0
    ? "  none\n"
    : table(
        ["set", "status", "keys", "sent with from", "accepted until", "event"],
        sets.map(({ set, status, keys, trustedFrom, until, event }) => [
          String(set),
          keyStatus(status),
          keys.map(({ id, type }) => `${id} ${type}`).join(", "),
          shortTime(trustedFrom),
          shortTime(until),
          event
        ]),
        colours
      )

export const clockTable = (clocks: readonly ClockView[], colours?: boolean): string =>
  clocks.length === 0
    ? "  no node has told of its clock\n"
    : table(
        ["node", "system peer", "reachable", "leap", "steps", "event", "why"],
        clocks.map(({ node, peer, holdover, leap, reachable, steps, event, reason }) => [
          node,
          holdover ? cell("holdover", "warn") : cell(peer ?? "none", peer === null ? "warn" : "plain"),
          String(reachable.length),
          leap,
          String(steps),
          event ?? "-",
          reason ?? ""
        ]),
        colours
      )

const memberState = ({ live, ready, reason, drained }: MemberView): Cell => {
  if (!live) return cell("silent", "bad")
  if (drained) return cell("drained", "warn")
  return ready ? cell("serving", "good") : cell(`not ready: ${reason}`, "bad")
}

export const memberTable = (members: readonly MemberView[], leader: string | null, colours?: boolean): string =>
  members.length === 0
    ? "  none has registered\n"
    : table(
        ["node", "leads", "version", "workers", "clock", "NTS key", "key set", "heard", "state"],
        members.map((member) => [
          member.node,
          member.node === leader ? "yes" : "",
          member.version ?? "-",
          member.health === null ? `?/${member.workers}` : `${member.health.workers}/${member.workers}`,
          member.health === null ? "?" : member.health.synchronised ? "synchronised" : cell("off", "warn"),
          member.health === null ? "?" : String(member.health.ntsGeneration),
          member.health === null ? "?" : String(member.health.symmetricSet),
          shortTime(member.heard),
          memberState(member)
        ]),
        colours
      )
