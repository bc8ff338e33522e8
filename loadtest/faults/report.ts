/** What came of a run, for people and for machines. */
import type { Slice } from "./judgement.ts"

export interface FaultReport {
  readonly seed: number
  readonly seconds: number
  readonly rate: number
  /** From the first request to the last, with the time to heal. */
  readonly ranS: number
  readonly machine: string
  readonly faults: Readonly<Record<string, number>>
  readonly plain: Slice
  readonly nts: Slice
  /** Lost while a fault kept the node that was asked from answering at all. */
  readonly lostAway: number
  /** All others. */
  readonly lostElse: number
  readonly wrongReplies: readonly string[]
  readonly keyExchanges: { readonly done: number; readonly failed: number }
  readonly generations: number
  readonly generationsLost: readonly string[]
  readonly longestWithoutLeaderS: number
  /** While most NATS servers could be reached all the time. */
  readonly longestWithoutLeaderWithNatsS: number
  /** Longest time for which a node said that it is ready and answered nobody. */
  readonly longestFalselyReadyS: number
  /** The same, with half of its requests or fewer answered. */
  readonly longestHalfReadyS: number
  readonly falselyReady: readonly string[]
  /** Times that a node's supervisor or a NATS server ended by itself. */
  readonly endedByThemselves: readonly string[]
  /** Seconds from the last fault's end to all nodes agreeing; null where they did not within the limit. */
  readonly healedS: number | null
  readonly unhealed: string
  /** Longest that the load's own process was held up by others on this machine. */
  readonly loadHeldUpMs: number
}

const number = (value: number): string => value.toLocaleString("en-US")
const seconds = (value: number): string => `${value.toFixed(1)} s`

/** Whether what must be zero is. */
export const holds = (it: FaultReport): boolean =>
  it.plain.wrong + it.nts.wrong === 0 &&
  it.generationsLost.length === 0 &&
  it.longestFalselyReadyS === 0 &&
  it.endedByThemselves.length === 0 &&
  it.healedS !== null

export const reportText = (it: FaultReport): string => {
  const { plain, nts } = it
  const rows: readonly (readonly [string, string, string?])[] = [
    [
      "requests",
      `${number(plain.sent + nts.sent)}, of which NTS ${number(nts.sent)}; ${number(Math.round((plain.sent + nts.sent) / it.ranS))} a second`
    ],
    ["answered with time", number(plain.good + nts.good)],
    ["answered that there is none", number(plain.unsynchronised + nts.unsynchronised)],
    ["refused with a kiss", `plain ${number(plain.refused)}, NTS ${number(nts.refused)}`],
    ["lost", number(plain.lost + nts.lost)],
    ["  while the node asked was away", number(it.lostAway)],
    ["  else", number(it.lostElse)],
    ["late, over 1 s", number(plain.late + nts.late)],
    ["wrong", number(plain.wrong + nts.wrong), "0"],
    ["key exchanges", `${number(it.keyExchanges.done)}, failed ${number(it.keyExchanges.failed)}`],
    ["key generations", number(it.generations)],
    ["generations lost", number(it.generationsLost.length), "0"],
    ["longest without a leader", seconds(it.longestWithoutLeaderS)],
    ["  while most of NATS was there", seconds(it.longestWithoutLeaderWithNatsS)],
    ["longest ready and serving nobody", seconds(it.longestFalselyReadyS), "0"],
    ["  half of those who asked, or fewer", seconds(it.longestHalfReadyS)],
    ["ended by themselves", number(it.endedByThemselves.length), "0"],
    ["all agree again after the last fault", it.healedS === null ? `not: ${it.unhealed}` : seconds(it.healedS)],
    ["load held up by others, at most", seconds(it.loadHeldUpMs / 1_000)]
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  const faults = Object.entries(it.faults).map(([name, count]) => `${name} ${count}`)
  return [
    `faults: ${number(it.seconds)} s, seed ${it.seed}, ${number(it.rate)} requests a second, ${it.machine}`,
    ...rows.map(
      ([name, found, target]) =>
        `  ${name.padEnd(width)}  ${found}${target === undefined ? "" : `  (must be ${target})`}`
    ),
    `  ${Object.values(it.faults).reduce((sum, count) => sum + count, 0)} faults: ${faults.join(", ")}`,
    ...[...it.wrongReplies, ...it.generationsLost, ...it.falselyReady, ...it.endedByThemselves].map(
      (line) => `  ! ${line}`
    )
  ].join("\n")
}
