/**
 * Duties that come round. Those of a process, and those of all processes of a node, are due in the same moments, the whole multiples of their
 * intervals: a process that wakes once for all of them costs a quiet machine less than one that wakes for each.
 */
interface Duty {
  readonly milliseconds: () => number
  readonly after: number
  readonly run: () => void
  /** By performance.now(). */
  dueAt: number
}

export interface Turns {
  /** Has the next one come at the next whole multiple of so many milliseconds, where that is sooner. */
  readonly sooner: (milliseconds: number) => void
  readonly stop: () => void
}

/** A timer may come so much early, and duties due so soon after are done with the others. */
const ROUNDING_MS = 2

const duties = new Set<Duty>()
let timer: NodeJS.Timeout | undefined

/**
 * Milliseconds until the next whole multiple of an interval. The system's clock says where those are, so that processes agree
 * without a word; when somebody sets it, one turn comes early or late by less than an interval.
 * @param after milliseconds by which it comes later, for who uses what others say in their turn
 * @param now milliseconds since 1970
 */
export const untilTurn = (milliseconds: number, after = 0, now = Date.now()): number => {
  const since = (((now - after) % milliseconds) + milliseconds) % milliseconds
  const left = milliseconds - since
  // It has just been: a timer that came early.
  return left <= ROUNDING_MS ? left + milliseconds : left
}

/**
 * Calls a duty at each turn until it is stopped. It does not keep the process alive.
 * @param interval milliseconds; a function is asked at each turn how long it is to the next, for duties that may rest
 */
export const everyTurn = (
  interval: number | (() => number),
  run: () => void,
  { after = 0 }: { readonly after?: number } = {}
): Turns => {
  const milliseconds = typeof interval === "number" ? () => interval : interval
  const duty: Duty = { milliseconds, after, run, dueAt: performance.now() + untilTurn(milliseconds(), after) }
  duties.add(duty)
  rearm()
  return {
    sooner: (within) => {
      const at = performance.now() + untilTurn(within, after)
      if (at >= duty.dueAt - ROUNDING_MS) return
      duty.dueAt = at
      rearm()
    },
    stop: () => {
      duties.delete(duty)
      rearm()
    }
  }
}

/** At rest this is most of what a process does each second, and for the first time since the second before: so it calls little. */
const rearm = (): void => {
  clearTimeout(timer)
  timer = undefined
  let next = Infinity
  for (const { dueAt } of duties) if (dueAt < next) next = dueAt
  if (next < Infinity) timer = setTimeout(turn, Math.max(1, Math.ceil(next - performance.now()))).unref()
}

const turn = (): void => {
  const now = performance.now()
  const due: Duty[] = []
  for (const duty of duties) {
    if (duty.dueAt > now + ROUNDING_MS) continue
    duty.dueAt = now + untilTurn(duty.milliseconds(), duty.after)
    due.push(duty)
  }
  // First, so that one that throws takes no other's next turn with it.
  rearm()
  for (const duty of due) if (duties.has(duty)) duty.run()
}
