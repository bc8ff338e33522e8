/** A pool whose name stands for what a test says it does: members that lie or fall silent make room for better ones. */
import { afterEach, expect, it } from "vitest"
import { ClockPageReader, ClockPageWriter } from "@meridian/clocks/clock-page"
import { systemClock } from "@meridian/clocks/system-clock"
import { defaultTos, type SourceReport } from "@meridian/ipc/discipline-report"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { freePort } from "@meridian/testkit/running-node"
import { readingsOf } from "../src/clocks.ts"
import { nativePorts } from "../src/reference-drivers.ts"
import { DisciplineService } from "../src/service.ts"
import { type FakeAnswer, type FakeServer, startFakeServer } from "./fake-server.ts"
import { configurationOf, makeFolder, upstream } from "./running-discipline.ts"

const ending: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ending.splice(0)) await end()
})

const address = (number: number): string => `127.0.3.${number}`
const numbersOf = (sources: readonly SourceReport[]): readonly number[] =>
  sources.map((source) => Number(source.address.split(".")[3])).toSorted((a, b) => a - b)

/** Servers at .1, .2, …, all on one port, as the members of a pool are. */
const startServers = async (answers: readonly (FakeAnswer | undefined)[]): Promise<readonly FakeServer[]> => {
  const servers: FakeServer[] = []
  const port = await freePort()
  for (const [index, answer] of answers.entries())
    servers.push(await startFakeServer(address(index + 1), () => answer, port))
  ending.push(() => Promise.all(servers.map((server) => server.stop())))
  return servers
}

it("a pool replaces a member that lies and one that is silent, and leaves the good ones alone", async () => {
  const liar: FakeAnswer = { offset: 5 }
  const silent = undefined
  const servers = await startServers([{}, {}, liar, silent, {}, {}])
  const folder = makeFolder()
  const page = new ClockPageWriter(folder.page.writable)
  ending.unshift(() => page.close(), folder.remove)
  const clock = systemClock()
  const answers = [
    [1, 2, 3, 4],
    [3, 4, 1, 5],
    [6, 3, 4, 2]
  ]
  const asked: string[] = []
  const pool = { ...upstream("pool.test", servers[0]!.port), kind: "pool" as const }
  const service = new DisciplineService(
    configurationOf(folder, { sources: [pool], tos: { ...defaultTos, maxclock: 4 } }),
    {
      page,
      before: new ClockPageReader(folder.page.readable),
      read: readingsOf(clock),
      precision: clock.measurePrecision(),
      digests: undefined,
      keyExchanges: undefined,
      resolve: (host) => {
        const answer = answers[Math.min(asked.push(host), answers.length) - 1] ?? []
        return Promise.resolve(answer.map(address))
      },
      referencePorts: nativePorts,
      send: () => {},
      restart: () => {}
    }
  )
  service.start()
  const ticking = setInterval(() => service.tick(), 250)
  ending.unshift(() => {
    clearInterval(ticking)
    service.stop()
  })
  const until = async (holds: () => boolean): Promise<void> => {
    const started = performance.now()
    while (!holds()) {
      if (performance.now() - started > 2 * PATIENCE_MS)
        throw new Error(JSON.stringify(service.report().sources, null, 1))
      await new Promise((done) => setTimeout(done, 100))
    }
  }
  await until(() => service.report().sources.length === 4)
  expect(numbersOf(service.report().sources)).toEqual([1, 2, 3, 4])
  const first = new Map(service.report().sources.map((source) => [source.address, source.name]))
  expect([...first.values()]).toEqual(Array(4).fill("pool.test"))

  await until(() => numbersOf(service.report().sources).join() === "1,2,5,6")
  const gone = [3, 4].map((number) => servers[number - 1]!.requests())
  // Servers on one machine are microseconds apart, and so may be one too many to combine: it is good all the same.
  const good = ["system-peer", "candidate", "outlier"]
  await until(() => service.report().sources.every(({ verdict }) => good.includes(verdict)))
  expect(numbersOf(service.report().sources)).toEqual([1, 2, 5, 6])
  // Replaced for good: the name still stands for them, and nobody asks them.
  expect([3, 4].map((number) => servers[number - 1]!.requests())).toEqual(gone)
  expect(asked.length).toBeGreaterThanOrEqual(2)
  expect(new Set(asked)).toEqual(new Set(["pool.test"]))
})
