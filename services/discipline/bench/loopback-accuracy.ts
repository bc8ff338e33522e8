/**
 * How far served time is from the truth on loopback: the source is a chronyd that serves this machine's own clock, so the
 * true correction is zero at every moment. The page is read as a worker reads it.
 *
 * Arguments: [SETTLE-SECONDS [MEASURE-SECONDS [MINPOLL [MAXPOLL]]]]; 30, 90, 0 and 4 unless given.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { startChronyd } from "../test/real-upstreams.ts"
import { makeFolder, monotonic, servedOffset, startDiscipline, upstream } from "../test/running-discipline.ts"

const [settle = 30, measure = 90, minpoll = 0, maxpoll = 4] = process.argv.slice(2).map(Number)
const INTERVAL_MS = 50

const folder = makeFolder()
const server = await startChronyd(folder, "127.0.3.1")
const discipline = await startDiscipline(folder, {
  sources: [upstream(server.address, server.port, { minpoll, maxpoll })]
})
try {
  await discipline.report(({ tracking }) => tracking.state === "synchronised", 60)
  await sleep(settle * 1e3)
  const errors: number[] = []
  let outside = 0
  for (let taken = 0; taken < (measure * 1e3) / INTERVAL_MS; taken += 1) {
    const page = discipline.page()
    const error = Math.abs(servedOffset(page))
    const bound = page.rootDelay / 2 + page.rootDispersion + page.dispersionRate * (monotonic() - page.baseMonotonic)
    errors.push(error)
    if (error > bound) outside += 1
    await sleep(INTERVAL_MS)
  }
  errors.sort((a, b) => a - b)
  const at = (share: number): string =>
    `${((errors[Math.floor(share * (errors.length - 1))] ?? NaN) * 1e6).toFixed(3)} µs`
  const { tracking } = await discipline.report()
  const lines = [
    `poll 2^${minpoll} … 2^${maxpoll} s, now 2^${tracking.poll} s; ${settle} s to settle, ${errors.length} readings over ${measure} s`,
    `|served offset| p50 ${at(0.5)}  p90 ${at(0.9)}  p99 ${at(0.99)}  greatest ${at(1)}`,
    `readings outside the claimed bound: ${outside}`
  ]
  process.stdout.write(`${lines.join("\n")}\n`)
} finally {
  await discipline.stop()
  await server.stop()
  folder.remove()
}
