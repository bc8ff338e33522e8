/** Where packets were dropped, as the kernel words it. */
import { expect, it } from "vitest"
import { dropsSince, fullBacklogs, fullQueues } from "../fleet/drops.ts"

const SNMP = `Ip: Forwarding DefaultTTL InReceives
Ip: 2 64 1105
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors
Udp: 1000 1 29357 1029357 29357 0 0 0 0
UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors
UdpLite: 0 0 0 0 7 0 0 0 0
`

it("reads what found a full receive queue, and what a core had no room for", () => {
  expect(fullQueues(SNMP)).toBe(29_357)
  expect(fullQueues("Ip: Forwarding\nIp: 2\n")).toBe(0)
  expect(fullBacklogs("2ad846d3 0000000a 0000002e 00000000\n1a6cf202 00000003 00000032 00000000\n")).toBe(13)
})

it("names the places where packets were dropped meanwhile, and no others", () => {
  const before = { "receive queues of n1": 4, "receive queues of the clients": 0, "the machine's own backlog": 2 }
  const now = { "receive queues of n1": 9, "receive queues of the clients": 0, "the machine's own backlog": 2 }
  expect(dropsSince(before, now)).toEqual({ "receive queues of n1": 5 })
})
