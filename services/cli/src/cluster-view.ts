/** Tables of what a coordinator says of the cluster. */
import type { ClockView, GenerationView, MemberView, SetView } from "@meridian/ipc"
import { cell, type Cell, type Colour, shortTime, table } from "./text-table.ts"

const KEY_COLOURS: Readonly<Record<string, Colour>> = {
  active: "good",
  trusted: "good",
  pending: "warn",
  announced: "warn",
  revoked: "bad",
  retired: "dim"
}

const keyStatus = (status: string): Cell => cell(status, KEY_COLOURS[status] ?? "plain")

export const generationTable = (generations: readonly GenerationView[]): string =>
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
        ])
      )

export const setTable = (sets: readonly SetView[]): string =>
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
        ])
      )

export const clockTable = (clocks: readonly ClockView[]): string =>
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
        ])
      )

/** What operators did to the nodes, as far as it is remembered; nothing where they did nothing. */
export const actLines = (clocks: readonly ClockView[]): readonly string[] =>
  clocks.flatMap(({ node, acts = [] }) =>
    acts.flatMap(({ time, author, act, changes, unnamed, event }) => [
      `  ${shortTime(time)}  ${node}: ${act} by ${author === "" ? "somebody" : author}  (event ${event})`,
      ...changes.map((change) => `      ${change}`),
      ...(unnamed === 0 ? [] : [`      and ${unnamed} more`])
    ])
  )

const memberState = ({ live, ready, reason, drained }: MemberView): Cell => {
  if (!live) return cell("silent", "bad")
  if (drained) return cell("drained", "warn")
  return ready ? cell("serving", "good") : cell(`not ready: ${reason}`, "bad")
}

export const memberTable = (members: readonly MemberView[], leader: string | null): string =>
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
        ])
      )
