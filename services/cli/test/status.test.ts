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

  it("says of NTS where keys are exchanged, how often they were, and until when the certificate is good", () => {
    const own = (index: number) => ({
      index,
      state: "running",
      accepted: 10,
      outcomes: { agreed: 7, "not-tls": 3 },
      cookies: 56,
      certificates: [{ names: ["ntp1.example.net"], notAfter: 1_827_578_545, fingerprint: "89" }]
    })
    const served = { ...status, ntsKe: [own(0), own(1)], ntsKePort: 4460 } as unknown as NodeStatus
    expect(formatStatus(served, 80).split("\n").slice(-3)).toEqual([
      "nts       running  tcp 4460  handshakes 20, agreed 14  cookies 112",
      "          certificate for ntp1.example.net  until 2027-11-30 12:42:25Z",
      ""
    ])
  })

  it("leaves out of a worker's line what matters least", () => {
    expect(formatStatus(status, 100)).toContain("RSS MB")
    expect(formatStatus(status, 80)).not.toContain("RSS MB")
    expect(formatStatus(status, 80)).toMatch(/worker +state .* replied +dropped/)
  })
})
