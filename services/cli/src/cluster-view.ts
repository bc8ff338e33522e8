/** Tables of what a coordinator says of the cluster. */
import type { ClockView, GenerationView, MemberView, SetView } from "@meridian/ipc"
import { cell, type Cell, type Colour, lineWidth, printable, shortTime, table, wrapped } from "./text-table.ts"

const KEY_COLOURS: Readonly<Record<string, Colour>> = {
  active: "good",
  trusted: "good",
  pending: "warn",
  announced: "warn",
  revoked: "bad",
  retired: "dim"
}

const keyStatus = (status: string): Cell => cell(status, KEY_COLOURS[status] ?? "plain")

interface Row {
  readonly cells: readonly (string | Cell)[]
  /** What may stand below: the event that says so, and why. */
  readonly tail: readonly string[]
}

/** A table that tells events; where a line would be too long, each row's tail stands below it. */
const tableOfEvents = (head: readonly string[], tails: readonly string[], rows: readonly Row[]): string => {
  const all = rows.map(({ cells, tail }) => [...cells, ...tail])
  const width = lineWidth()
  if (
    !table([...head, ...tails], all, false)
      .split("\n")
      .some((line) => line.length > width)
  )
    return table([...head, ...tails], all)
  const lines = table(
    head,
    rows.map(({ cells }) => cells)
  ).split("\n")
  return lines
    .flatMap((line, at) => {
      const tail = rows[at - 1]?.tail.filter((text) => text !== "").map(printable) ?? []
      return tail.length === 0 ? [line] : [line, wrapped(`      by event ${tail.join("  ")}`, "        ", width)]
    })
    .join("\n")
}

export const generationTable = (generations: readonly GenerationView[]): string =>
  generations.length === 0
    ? "  none\n"
    : tableOfEvents(
        ["generation", "status", "active from", "accepted until"],
        ["event"],
        generations.map(({ generation, status, activation, retirement, event }) => ({
          cells: [String(generation), keyStatus(status), shortTime(activation), shortTime(retirement)],
          tail: [event]
        }))
      )

/** `1-10 AES128CMAC, 11 SHA1`: neighbours of one type together. */
const keyNames = (keys: SetView["keys"]): string => {
  const runs: { first: number; last: number; type: string }[] = []
  for (const { id, type } of keys) {
    const run = runs.at(-1)
    if (run?.type === type && run.last + 1 === id) run.last = id
    else runs.push({ first: id, last: id, type })
  }
  return runs.map(({ first, last, type }) => `${first === last ? first : `${first}-${last}`} ${type}`).join(", ")
}

export const setTable = (sets: readonly SetView[]): string =>
  sets.length === 0
    ? "  none\n"
    : tableOfEvents(
        ["set", "status", "keys", "sent with from", "accepted until"],
        ["event"],
        sets.map(({ set, status, keys, trustedFrom, until, event }) => ({
          cells: [String(set), keyStatus(status), keyNames(keys), shortTime(trustedFrom), shortTime(until)],
          tail: [event]
        }))
      )

export const clockTable = (clocks: readonly ClockView[]): string =>
  clocks.length === 0
    ? "  no node has told of its clock\n"
    : tableOfEvents(
        ["node", "system peer", "reachable", "leap", "steps"],
        ["event", "why"],
        clocks.map(({ node, peer, holdover, leap, reachable, steps, event, reason }) => ({
          cells: [
            node,
            holdover ? cell("holdover", "warn") : cell(peer ?? "none", peer === null ? "warn" : "plain"),
            String(reachable.length),
            leap,
            String(steps)
          ],
          tail: [event ?? "-", reason ?? ""]
        }))
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

const MEMBER_COLUMNS = ["node", "leads", "version", "workers", "clock", "NTS key", "key set", "heard", "state"]
/** What goes where there is no room: when a node was heard shows in its state. */
const DROPPED = ["version", "heard"]

export const memberTable = (
  members: readonly MemberView[],
  leader: string | null,
  width = process.stdout.isTTY ? lineWidth() : Infinity
): string => {
  if (members.length === 0) return "  none has registered\n"
  const rows = members.map((member) => [
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
  const without = (names: readonly string[]): string => {
    const kept = (_: unknown, column: number): boolean => !names.includes(MEMBER_COLUMNS[column] ?? "")
    return table(
      MEMBER_COLUMNS.filter(kept),
      rows.map((row) => row.filter(kept))
    )
  }
  const isWide = table(MEMBER_COLUMNS, rows, false)
    .split("\n")
    .some((line) => line.length > width)
  return without(isWide ? DROPPED : [])
}
