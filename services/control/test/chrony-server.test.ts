/** chrony's commands: who may ask for what, never longer than what was asked, never harmed by what is sent. */
import type { SourceReport } from "@meridian/ipc/discipline-report"
import { ChronyCommand, ChronyStatus } from "@meridian/wire/chronyc"
import fc from "fast-check"
import { describe, expect, it, vi } from "vitest"
import { type ChronyAsker, ChronyServer } from "../src/chronyc/chrony-server.ts"
import { Outcomes } from "../src/outcomes.ts"
import { clientsOf, snapshotOf } from "./snapshots.ts"

const source: SourceReport = {
  address: "192.0.2.2",
  port: 123,
  name: "ntp.example",
  mode: "client",
  stratum: 2,
  leap: 0,
  referenceId: "192.0.2.1",
  poll: 6,
  reach: "377",
  verdict: "system-peer",
  reason: "the best",
  offset: 1e-6,
  delay: 1e-3,
  dispersion: 1e-4,
  jitter: 1e-5,
  rootDelay: 1e-3,
  rootDispersion: 1e-3,
  rootDistance: 2e-3,
  authentication: { kind: "none" },
  lastReply: 3,
  dropped: {}
}
const snapshot = snapshotOf({
  clients: clientsOf(20),
  sources: [source, { ...source, address: "2001:db8::1", mode: "active" }]
})
const unix: ChronyAsker = { _tag: "unix" }
const udp: ChronyAsker = { _tag: "udp", address: "127.0.0.1" }

const serverOf = (shown = snapshot) => {
  const outcomes = new Outcomes()
  const asked: string[] = []
  const server = new ChronyServer({
    outcomes,
    current: () => shown,
    monotonic: () => 100,
    act: (name, given) => {
      asked.push([name, ...Object.values(given)].join(" "))
      return Promise.resolve({ ok: true, message: "" })
    }
  })
  return { server, outcomes, asked }
}

const request = (command: number, length: number, ...words: readonly number[]): Uint8Array => {
  const bytes = new Uint8Array(length)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, 0x0601)
  view.setUint16(4, command)
  words.forEach((word, index) => view.setUint32(20 + 4 * index, word))
  return bytes
}

const ask = (server: ChronyServer, packet: Uint8Array, asker: ChronyAsker): Uint8Array | undefined => {
  let reply: Uint8Array | undefined
  server.receive(packet, asker, (bytes) => void (reply = bytes))
  return reply
}

const statusOf = (reply: Uint8Array | undefined): number | undefined =>
  reply === undefined ? undefined : (reply[8]! << 8) | reply[9]!
const recordOf = (reply: Uint8Array | undefined): number | undefined =>
  reply === undefined ? undefined : (reply[6]! << 8) | reply[7]!

const { sourceCount, sourceData, tracking, sourceStatistics, manualList, activity } = ChronyCommand
const { ntpData, selectData, authenticationData, serverStatistics, clientAccesses } = ChronyCommand
const open = [
  [sourceCount, 32],
  [sourceData, 76],
  [tracking, 104],
  [sourceStatistics, 84],
  [manualList, 416],
  [activity, 48]
] as const
const own = [
  [ntpData, 152],
  [ntpData, 172],
  [selectData, 76],
  [authenticationData, 52],
  [serverStatistics, 72],
  [serverStatistics, 196],
  [clientAccesses, 520]
] as const
/** Octets of 192.0.2.2 and its family, where a command names a source. */
const address = [0xc0000202, 0, 0, 0, 0x00010000]

describe("what is answered", () => {
  it.each(open)("command %i of %i octets to anybody who may send", (command, length) => {
    const reply = ask(serverOf().server, request(command, length), udp)
    expect([statusOf(reply), reply?.length]).toEqual([ChronyStatus.success, length])
  })

  it.each(own)("command %i of %i octets by the Unix socket alone", (command, length) => {
    const words = command === ntpData || command === authenticationData ? address : [0, 8]
    const { server } = serverOf()
    expect(statusOf(ask(server, request(command, length, ...words), udp))).toBe(ChronyStatus.unauthorised)
    const reply = ask(server, request(command, length, ...words), unix)
    expect([statusOf(reply), reply?.length]).toEqual([ChronyStatus.success, length])
  })

  it("is in the record that chronyc of that age reads", () => {
    const { server } = serverOf()
    expect(recordOf(ask(server, request(serverStatistics, 72), unix))).toBe(24)
    expect(recordOf(ask(server, request(serverStatistics, 196), unix))).toBe(25)
    expect(recordOf(ask(server, request(ntpData, 152, ...address), unix))).toBe(16)
    expect(recordOf(ask(server, request(ntpData, 172, ...address), unix))).toBe(26)
  })

  it("counts the lines that wait for the address of a name", () => {
    const { tracking: told } = snapshot
    const { server } = serverOf({
      ...snapshot,
      tracking: { ...told!, unresolved: ["a.invalid", "b.invalid: no such name"] }
    })
    const reply = ask(server, request(activity, 48), udp)!
    const counts = Array.from({ length: 5 }, (_, at) =>
      new DataView(reply.buffer, reply.byteOffset).getUint32(28 + 4 * at)
    )
    expect(counts).toEqual([2, 0, 0, 0, 2])
  })

  it("names no source that is not there", () => {
    const { server } = serverOf()
    expect(statusOf(ask(server, request(sourceData, 76, 2), unix))).toBe(ChronyStatus.noSuchSource)
    expect(statusOf(ask(server, request(ntpData, 152, 1, 0, 0, 0, 0x00010000), unix))).toBe(ChronyStatus.noSuchSource)
  })
})

describe("what changes something", () => {
  it("is done once, though chronyc says it again before it is answered, and again when it is said anew", async () => {
    const { server, asked } = serverOf()
    const refresh = request(ChronyCommand.refresh, 28)
    const replies: Uint8Array[] = []
    for (let attempt = 0; attempt < 3; attempt += 1) {
      new DataView(refresh.buffer).setUint16(6, attempt)
      server.receive(refresh, unix, (bytes) => void replies.push(bytes))
    }
    await vi.waitFor(() => expect(replies.map(statusOf)).toEqual([ChronyStatus.success]))
    expect(asked).toEqual(["refresh"])
    server.receive(refresh, unix, (bytes) => void replies.push(bytes))
    expect(asked).toEqual(["refresh", "refresh"])
  })

  const changing = Array.from({ length: 75 }, (_, command) => command)
  it("is refused to everybody, but for what means the same here", async () => {
    const { server, asked } = serverOf()
    const answered = (asker: ChronyAsker) =>
      changing.filter(
        (command) => statusOf(ask(server, request(command, 600, 0, 1), asker)) !== ChronyStatus.unauthorised
      )
    // The monitoring commands, and those without an answer yet: online, offline, rekey, refresh, reload sources. A burst of 0 is none.
    expect(answered(udp)).toEqual([14, 15, 33, 34, 35, 41, 44, 51, 65])
    expect(asked).toEqual([])
    expect(answered(unix)).toEqual([1, 2, 3, 14, 15, 16, 33, 34, 35, 41, 44, 51, 53, 54, 57, 65, 67, 68, 69, 70])
    const all = "192.0.2.2 2001:db8::1"
    expect(asked).toEqual([`online ${all}`, `offline ${all}`, "rekey", "refresh", "reload-sources"])
  })

  it("is about the sources that an address and its mask name", () => {
    const { server, asked } = serverOf()
    const masked = (mask: number) => [mask, 0, 0, 0, 0x00010000, ...address]
    const burst = (...numbers: readonly number[]) =>
      statusOf(ask(server, request(ChronyCommand.burst, 68, ...masked(0xffffff00), ...numbers), unix))
    expect(burst(2, 4)).toBeUndefined()
    expect(burst(4, 2)).toBe(ChronyStatus.failed)
    expect(burst(2, 0x7fffffff)).toBe(ChronyStatus.failed)
    expect(asked).toEqual(["burst 2 4 192.0.2.2"])
    const elsewhere = [0xffffffff, 0, 0, 0, 0x00010000, 0xc0000209, 0, 0, 0, 0x00010000]
    expect(statusOf(ask(server, request(ChronyCommand.offline, 60, ...elsewhere), unix))).toBe(
      ChronyStatus.noSuchSource
    )
  })
})

it("survives whatever is sent, with no answer longer than its question", () => {
  const { server } = serverOf()
  const packets = fc.oneof(
    fc.uint8Array({ maxLength: 700 }),
    fc
      .tuple(
        fc.integer({ min: 0, max: 80 }),
        fc.integer({ min: 20, max: 600 }),
        fc.array(fc.integer({ min: 0, max: 0xffffffff }))
      )
      .map(([command, length, words]) => request(command, length, ...words.slice(0, (length - 20) >> 2)))
  )
  fc.assert(
    fc.property(packets, fc.boolean(), (packet, isLocal) => {
      const reply = ask(server, packet, isLocal ? unix : { _tag: "udp", address: String(Math.random()) })
      expect(reply?.length ?? 0).toBeLessThanOrEqual(packet.length)
    }),
    { numRuns: 500 }
  )
})
