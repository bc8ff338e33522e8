/** What a line of ntp.conf says of a source or of the clock, and what the service does about it: each word by its effect. */
import { writeFileSync } from "node:fs"
import { afterEach, describe, expect, it } from "vitest"
import { ClockPageReader, ClockPageWriter } from "@meridian/clocks/clock-page"
import { SimulatedKernel } from "@meridian/clocks/kernel-clock-simulated"
import { systemClock } from "@meridian/clocks/system-clock"
import {
  defaultTinker,
  type DisciplineConfiguration,
  type DisciplineReport,
  type FromDiscipline
} from "@meridian/ipc/discipline-report"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { readingsOf } from "../src/clocks.ts"
import { nativePorts } from "../src/reference-drivers.ts"
import { DisciplineService } from "../src/service.ts"
import type { ServiceSurroundings } from "../src/service-surroundings.ts"
import { type FakeServer, startFakeServer } from "./fake-server.ts"
import { configurationOf, type Folder, makeFolder, upstream } from "./running-discipline.ts"

const ending: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ending.splice(0)) await end()
})

const folderOf = (): Folder => {
  const folder = makeFolder()
  ending.push(folder.remove)
  return folder
}

const server = async (address: string, offset = 0): Promise<FakeServer> => {
  const started = await startFakeServer(address, () => ({ offset }))
  ending.unshift(() => started.stop())
  return started
}

interface Started {
  readonly service: DisciplineService
  readonly warnings: readonly string[]
  readonly until: (holds: (report: DisciplineReport) => boolean) => Promise<DisciplineReport>
}

const start = (
  folder: Folder,
  change: Partial<DisciplineConfiguration>,
  surroundings: Partial<ServiceSurroundings> = {}
): Started => {
  const page = new ClockPageWriter(folder.page.writable)
  ending.unshift(() => page.close())
  const clock = systemClock()
  const warnings: string[] = []
  const service = new DisciplineService(configurationOf(folder, change), {
    page,
    before: new ClockPageReader(folder.page.readable),
    read: readingsOf(clock),
    precision: clock.measurePrecision(),
    digests: undefined,
    keyExchanges: undefined,
    referencePorts: nativePorts,
    send: (message: FromDiscipline) => void (message.type === "warning" && warnings.push(message.message)),
    restart: () => {},
    ...surroundings
  })
  service.start()
  const ticking = setInterval(() => service.tick(), 250)
  ending.unshift(() => {
    clearInterval(ticking)
    service.stop()
  })
  return {
    service,
    warnings,
    until: async (holds) => {
      for (let waited = 0; waited < PATIENCE_MS; waited += 50) {
        const report = service.report()
        if (holds(report)) return report
        await new Promise((done) => setTimeout(done, 50))
      }
      throw new Error(`no such report came, the last was ${JSON.stringify(service.report(), null, 1)}`)
    }
  }
}

/** Servers of a busy machine stamp late: of many measurements some are right, and what was set by others is worked off. */
const isNear = (offset: number | null | undefined, expected: number): boolean =>
  Math.abs((offset ?? Number.NaN) - expected) < 5e-3

describe("a source", () => {
  it.each([4, 6] as const)("of IPv%i is looked for among the addresses of that family alone", async (family) => {
    const found = { 4: "127.0.4.1", 6: "::1" }
    const line = { ...upstream("both.test", 1, { family }), kind: "pool" as const }
    const resolve = () => Promise.resolve(["::1", "127.0.4.1"])
    const { until } = start(folderOf(), { sources: [line] }, { resolve })
    const { sources } = await until((report) => report.sources.length > 0)
    expect(sources.map(({ address }) => address)).toEqual([found[family]])
  })

  it("whose name has addresses of the other family only is waited for, and it is said why", async () => {
    const resolve = () => Promise.resolve(["127.0.4.1"])
    const { until, warnings } = start(folderOf(), { sources: [upstream("four.test", 1, { family: 6 })] }, { resolve })
    const { sources, tracking } = await until(({ tracking: { waitingFor } }) => /IPv6/.test(waitingFor.join()))
    expect(sources).toEqual([])
    expect(tracking.waitingFor).toEqual(["the address of four.test: it has no IPv6 address"])
    expect(warnings).toEqual(["four.test cannot be looked up: it has no IPv6 address; it is tried again"])
  })

  it("is a port as well as an address: two servers of one host are asked, judged and named apart", async () => {
    const [right, wrong] = [await server("127.0.4.12"), await server("127.0.4.12", 5)]
    const sources = [upstream("127.0.4.12", right.port), upstream("twice.test", wrong.port, { noselect: true })]
    const { until, warnings } = start(folderOf(), { sources }, { resolve: () => Promise.resolve(["127.0.4.12"]) })
    const report = await until(
      ({ sources: all, tracking }) =>
        tracking.state === "synchronised" &&
        all[1]?.verdict === "noselect" &&
        isNear(all[0]?.offset, 0) &&
        isNear(all[1].offset, 5)
    )
    expect(report.sources).toMatchObject([
      { address: "127.0.4.12", port: right.port, name: "127.0.4.12", verdict: "system-peer" },
      { address: "127.0.4.12", port: wrong.port, name: "twice.test", verdict: "noselect" }
    ])
    expect(report.sources[0]?.offset).toBeCloseTo(0, 2)
    expect(report.sources[1]?.offset).toBeCloseTo(5, 2)
    expect(report.tracking.systemPeer).toBe("127.0.4.12")
    expect(warnings).toEqual([])
  })

  it("at the address of another stays another one after chronyc took it offline and back", async () => {
    const [right, wrong] = [await server("127.0.4.13"), await server("127.0.4.13", 5)]
    const lines = [upstream("127.0.4.13", right.port), upstream("127.0.4.13", wrong.port, { noselect: true })]
    const folder = folderOf()
    const { service, until } = start(folder, { sources: lines })
    const takeOffline = (...offline: readonly string[]) =>
      service.useSources(configurationOf(folder, { sources: lines, offline }), undefined)
    const areApart = ({ sources: [first, second] }: DisciplineReport): boolean =>
      first?.verdict === "system-peer" && second?.verdict === "noselect" && isNear(second.offset, 5)
    await until(areApart)
    takeOffline("127.0.4.13")
    await until(({ sources }) => sources.every(({ offline, reach }) => offline === true && reach === "000"))
    takeOffline()
    const { sources } = await until(areApart)
    expect(sources.map(({ port, verdict }) => [port, verdict])).toEqual([
      [right.port, "system-peer"],
      [wrong.port, "noselect"]
    ])
  })

  it("that is waited for is named with its port, and with how often it was asked", async () => {
    const silent = await startFakeServer("127.0.4.14", () => undefined)
    ending.unshift(() => silent.stop())
    const { until } = start(folderOf(), { sources: [upstream("127.0.4.14", silent.port)] })
    const { sources } = await until(({ sources: [source] }) => (source?.detail?.packetsSent ?? 0) > 1)
    expect(sources[0]?.reason).toMatch(/^no answer yet, asked [2-7] times$/)
  })

  it("under `bias` is believed by so much more", async () => {
    const { port } = await server("127.0.4.2", -0.25)
    const { until } = start(folderOf(), { sources: [upstream("127.0.4.2", port, { bias: 0.375 })] })
    const { tracking, sources } = await until(
      (report) =>
        report.tracking.state === "synchronised" &&
        isNear(report.tracking.offset, 0.125) &&
        isNear(report.sources[0]?.offset, 0)
    )
    expect(tracking.offset).toBeCloseTo(0.125, 2)
    expect(sources[0]?.offset).toBeCloseTo(0, 2)
  })

  it("whose packets all take longer than `maxdelay` gives no sample, answers all the same, and is counted", async () => {
    const { port } = await server("127.0.4.4")
    const nothing = { maxdelayratio: null, maxdelaydevratio: null, mindelay: null, asymmetry: null, filter: null }
    const line = upstream("127.0.4.4", port, { screen: { ...nothing, maxdelay: 1e-9 } })
    const { until } = start(folderOf(), { sources: [line] })
    const { tracking, sources } = await until((report) => (report.sources[0]?.dropped["maxdelay"] ?? 0) > 2)
    expect(tracking.state).toBe("unset")
    expect(sources[0]?.reach).not.toBe("0")
  })

  it("under `presend` has a packet sent ahead of each measurement, which says nothing of its reach", async () => {
    const { port } = await server("127.0.4.13")
    const { until } = start(folderOf(), {
      sources: [upstream("127.0.4.13", port, { presend: 0, minpoll: 0, maxpoll: 0 })]
    })
    const { sources } = await until((report) => (report.sources[0]?.dropped["sent-ahead"] ?? 0) > 1)
    expect(sources[0]?.reach).toMatch(/^[137]*$/)
  })

  it("that two lines name is asked as the first of them says, and the other is named", async () => {
    const { port } = await server("127.0.4.3")
    const sources = [upstream("127.0.4.3", port), upstream("127.0.4.3", port, { noselect: true })]
    const { until, warnings } = start(folderOf(), { sources })
    const report = await until(({ tracking }) => tracking.state === "synchronised")
    expect(report.sources).toMatchObject([{ port, verdict: "system-peer" }])
    expect(warnings).toEqual([`127.0.4.3:${port}: is configured twice; the first line counts`])
  })
})

describe("the frequency that the clock begins with", () => {
  it.each([
    ["a drift file's", "12.5\n", null, 12.5],
    ["that of `tinker freq`, whatever the drift file says", "12.5\n", -7, -7],
    ["none", undefined, null, 0]
  ])("is %s", async (_whose, drift, freq, expected) => {
    const folder = folderOf()
    const driftfile = folder.file("drift")
    if (drift !== undefined) writeFileSync(driftfile, drift)
    const started = performance.now()
    const kernel = new SimulatedKernel({ raw: () => (performance.now() - started) / 1e3, epoch: 1_700_000_000 })
    // Nobody answers there: nothing but what is written down is known of the clock.
    const change = { driftfile, tinker: { ...defaultTinker, freq }, sources: [upstream("127.0.4.4", 9)] }
    const { until } = start(folder, change, { kernelClock: kernel.clock })
    const { tracking } = await until((report) => Math.abs(report.tracking.kernel!.frequency - expected) < 0.01)
    expect(tracking).toMatchObject({ state: "unset", stratum: 16 })
  })
})
