/** `meridian status` as a screen. */
import type { NodeStatus } from "@meridian/ipc"
import { describe, expect, it } from "vitest"
import { formatStatus } from "../src/status.ts"

const counts = { received: 1_234_567_890, dropped: { denied: 7 }, overflow: 0 }
const rates = { receivedPerSecond: 40_000, repliedPerSecond: 40_000 }
const worker = (index: number) => ({
  ...counts,
  ...rates,
  replied: 1_234_567_883,
  index,
  pid: 28_512 + index,
  state: "running",
  rss: 54 * 2 ** 20
})

const status = {
  node: "ntp1.some-quite-long-name.example.net",
  version: "1.2.3",
  pid: 28_490,
  uptime: 86_400 * 40,
  io: "native",
  listening: ["0.0.0.0:123", "[::]:123", "[2001:db8:1234:5678:9abc:def0:1234:5678]:123"],
  clock: {
    synchronised: true,
    stratum: 2,
    leap: 0,
    referenceId: "192.0.2.1",
    rootDelay: 0.01,
    rootDispersion: 0.01,
    source: "192.0.2.1"
  },
  workers: [worker(0), worker(1)],
  totals: { ...counts, ...rates, replied: 1_234_567_883 },
  ntsKe: []
} as unknown as NodeStatus

describe("the status", () => {
  it.each([80, 100])("fits %i columns", (width) => {
    const lines = formatStatus(status, width).split("\n")
    expect(lines.filter(({ length }) => length > width)).toEqual([])
  })

  it("leaves out of a worker's line what matters least", () => {
    expect(formatStatus(status, 100)).toContain("RSS MB")
    expect(formatStatus(status, 80)).not.toContain("RSS MB")
    expect(formatStatus(status, 80)).toMatch(/worker +state .* replied +dropped/)
  })
})
