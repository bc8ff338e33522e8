/** Clients that mean no good, or are broken: each costs bounded time and memory, and is counted. */
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import type { Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import type { NtsKeSettings } from "@meridian/ipc/serving-plan"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { encodeRecords, numbersBody, record, RecordType } from "@meridian/wire/nts-ke"
import { ask, connected, ended, plain, request, summary, type Target } from "./ke-client.ts"
import { type Folder, makeFolder, NO_CHOICE, type RunningService, startService, UNLIMITED } from "./running-service.ts"

/** Seconds, where it is a limit that ends a connection; elsewhere the limits are too long to matter. */
const HANDSHAKE_LIMIT = 0.6
const EXCHANGE_LIMIT = 0.4
const SHORT = { handshakeSeconds: HANDSHAKE_LIMIT }

/** Less than TCP_DEFER_ACCEPT of libs/tls/native/tcp.c. */
const HELD_BACK_MS = 4_500

const AGREED = "protocol!(0) aead!(15) cookie[96]×8 end!"
const ONE_BYTE = Uint8Array.of(0x16)

let folder: Folder
let serial = 0
const sockets: Socket[] = []
const services: RunningService[] = []

beforeAll(() => {
  folder = makeFolder()
})
afterAll(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const service of services.splice(0)) await service.stop()
  folder.remove()
})

const started = async (settings: Partial<NtsKeSettings> = {}): Promise<RunningService & Target> => {
  const files = folder.certificate(`server-${++serial}`, ["localhost"])
  const service = await startService({ certificates: [files], settings })
  services.push(service)
  return { ...service, ca: files.certificate }
}

const opened = async (service: Target, from?: string): Promise<Socket> => {
  const socket = await plain(service, from)
  sockets.push(socket)
  return socket
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0)

const outcome = async (service: RunningService, name: string, count: number): Promise<void> => {
  const { counters } = await service.report((report) => (report.counters.outcomes[name] ?? 0) >= count)
  expect(counters.outcomes[name]).toBe(count)
}

const garbage: Readonly<Record<string, Uint8Array>> = {
  HTTP: Buffer.from("GET / HTTP/1.0\r\n\r\n"),
  SSH: Buffer.from("SSH-2.0-OpenSSH_9.2\r\n"),
  zeros: new Uint8Array(4000),
  "a TLS record of impossible length": Uint8Array.of(0x16, 3, 1, 0xff, 0xff, ...new Uint8Array(70_000)),
  "a handshake message that is none": Uint8Array.of(0x16, 3, 1, 0, 4, 0x77, 0, 0, 0),
  "application data": Uint8Array.of(0x17, 3, 3, 0, 2, 1, 1)
}

describe.concurrent("before TLS", () => {
  it("drops what is not TLS at once, and goes through random bytes without a crash", async () => {
    const service = await started({ admission: UNLIMITED })
    for (const bytes of Object.values(garbage)) {
      const socket = await opened(service)
      socket.write(bytes)
      await ended(socket)
    }
    await outcome(service, "not-tls", Object.keys(garbage).length)
    for (let round = 0; round < 60; round++) {
      const socket = await opened(service)
      const hello = Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3)
      socket.end(round % 2 === 0 ? randomBytes(1 + round * 20) : Buffer.concat([hello, randomBytes(600)]))
      await ended(socket)
    }
    const total = Object.keys(garbage).length + 60
    const { counters } = await service.report((report) => report.counters.accepted === total && report.open === 0)
    expect(sum(counters.outcomes)).toBe(total)
    expect(counters.outcomes["agreed"]).toBeUndefined()
    expect(summary((await ask(service, request(15))).records)).toBe(AGREED)
  })

  it("does not even accept a connection that says nothing", async () => {
    let accepted = 0
    // The kernel holds silent connections back for some seconds; where it took us longer to look, the number says nothing.
    for (let attempt = 0, isLate = true; isLate && attempt < 5; attempt++) {
      const service = await started()
      const from = performance.now()
      for (let index = 0; index < 50; index++) await opened(service)
      expect(summary((await ask(service, request(15))).records)).toBe(AGREED)
      accepted = (await service.report((report) => report.counters.outcomes["agreed"] === 1)).counters.accepted
      isLate = performance.now() - from > HELD_BACK_MS
    }
    expect(accepted).toBe(1)
  })

  it("ends a handshake that does not go on, also one that is fed a byte at a time", async () => {
    const service = await started(SHORT)
    const from = performance.now()
    const stalled = await opened(service)
    stalled.write(ONE_BYTE)
    const slow = await opened(service)
    slow.write(Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc))
    const feeding = setInterval(() => slow.write(Uint8Array.of(3)), 50)
    await Promise.race([ended(stalled), ended(slow)])
    expect(performance.now() - from).toBeGreaterThan((HANDSHAKE_LIMIT * 1_000) / 2)
    await Promise.all([ended(stalled), ended(slow)])
    clearInterval(feeding)
    await outcome(service, "handshake-timeout", 2)
  })
})

describe.concurrent("after the handshake", () => {
  it("ends a client that stays silent, and one that sends a byte at a time", async () => {
    const service = await started({ exchangeSeconds: EXCHANGE_LIMIT })
    const from = performance.now()
    const silent = await connected(service)
    const slow = await connected(service)
    sockets.push(silent, slow)
    // Whole long after the test has ended, however fast its bytes are taken.
    const bytes = encodeRecords([record(0x3fff, false, new Uint8Array(10_000))])
    let sent = 0
    slow.on("error", () => {})
    const feeding = setInterval(() => void slow.write(bytes.subarray(sent, ++sent)), 60)
    await Promise.race([ended(silent), ended(slow)])
    expect(performance.now() - from).toBeGreaterThan((EXCHANGE_LIMIT * 1_000) / 2)
    await Promise.all([ended(silent), ended(slow)])
    clearInterval(feeding)
    await outcome(service, "request-timeout", 2)
  })

  it("cuts off a client that never stops sending 16,000-byte records", async () => {
    const service = await started()
    const socket = await connected(service)
    sockets.push(socket)
    const records = encodeRecords([record(0x3fff, false, new Uint8Array(16_000))])
    let stopped = false
    socket.on("error", () => (stopped = true)).on("close", () => (stopped = true))
    let written = 0
    while (!stopped && written < 400) {
      if (!socket.write(records)) await Promise.race([once(socket, "drain").catch(() => {}), sleep(50)])
      written++
    }
    await vi.waitUntil(() => stopped, { timeout: PATIENCE_MS })
    await outcome(service, "message-too-long", 1)
    expect(summary((await ask(service, request(15))).records)).toBe(AGREED)
  })

  it("ends a client that took its answer and stays", async () => {
    // Long enough for an honest client on a busy machine.
    const service = await started({ exchangeSeconds: 5 })
    const socket = await connected(service, {})
    sockets.push(socket)
    // Held open on this side: the server's goodbye is never answered.
    socket.allowHalfOpen = true
    socket.write(request(15))
    socket.resume()
    await service.report((report) => report.counters.outcomes["agreed"] === 1)
    const { counters } = await service.report((report) => report.open === 0)
    expect(counters.outcomes).toEqual({ agreed: 1 })
  })

  it("counts one request a connection, however many are sent", async () => {
    const service = await started()
    const socket = await connected(service)
    sockets.push(socket)
    socket.on("error", () => {})
    for (let index = 0; index < 5; index++) socket.write(request(15))
    await ended(socket)
    const { counters } = await service.report((report) => report.open === 0)
    expect(counters.accepted).toBe(1)
    expect(Object.values(counters.outcomes)).toEqual([1])
  })
})

describe.concurrent("too many", () => {
  it("holds the connections of one address to their number, and gives places back", async () => {
    const service = await started({ admission: { ...NO_CHOICE, connectionsPerAddress: 5 } })
    const held = await Promise.all(Array.from({ length: 5 }, () => connected(service)))
    sockets.push(...held)
    expect((await ask(service, request(15))).end).toBe("ECONNRESET")
    held[0]!.destroy()
    await vi.waitUntil(async () => summary((await ask(service, request(15))).records) === AGREED, {
      timeout: PATIENCE_MS,
      interval: 100
    })
    const { counters } = await service.report((report) => report.counters.outcomes["agreed"] === 1)
    expect(counters.outcomes["too-many-from-address"]).toBeGreaterThanOrEqual(1)
  })

  it("holds all connections to their number, in bounded memory, while some go on being served", async () => {
    const service = await started({
      admission: { ...UNLIMITED, connections: 40, connectionsPerAddress: 100 },
      // Long beside the whole flood, so that most of it finds every place taken.
      handshakeSeconds: 5
    })
    const { rss } = await service.report()
    let ended = 0
    for (let wave = 0; wave < 15; wave++) {
      const flood = await Promise.all(Array.from({ length: 80 }, () => opened(service)))
      for (const socket of flood) {
        socket.once("close", () => ended++)
        socket.resume().write(ONE_BYTE)
      }
      await sleep(20)
    }
    await vi.waitUntil(() => ended === 1200, { timeout: PATIENCE_MS })
    const after = await service.report((report) => report.open === 0)
    expect(after.counters.accepted).toBe(1200)
    const { "made-way": madeWay = 0, "handshake-timeout": timedOut = 0 } = after.counters.outcomes
    const { "closed-in-handshake": closed = 0 } = after.counters.outcomes
    expect(madeWay + timedOut + closed).toBe(1200)
    expect(madeWay + closed).toBeGreaterThan(800)
    expect(after.rss - rss).toBeLessThan(48 << 20)
    expect(summary((await ask(service, request(15))).records)).toBe(AGREED)
  })

  it("goes on serving others while one network holds every place with handshakes that stand still", async () => {
    const service = await started({
      admission: { ...UNLIMITED, connections: 40, connectionsPerAddress: 100 },
      // Nobody's time is up before the end.
      handshakeSeconds: 60
    })
    const held = await Promise.all(
      Array.from({ length: 120 }, (_, index) => opened(service, `127.9.9.${1 + (index % 40)}`))
    )
    sockets.push(...held)
    for (const socket of held)
      socket
        .on("error", () => {})
        .resume()
        .write(ONE_BYTE)
    // Over node:tls they count as closed.
    await service.report(({ counters: { outcomes } }) => {
      const { "made-way": madeWay = 0, "closed-in-handshake": closed = 0 } = outcomes
      return madeWay + closed >= 80
    })
    for (let client = 0; client < 20; client++) expect(summary((await ask(service, request(15))).records)).toBe(AGREED)
    const { counters, open } = await service.report((report) => report.counters.outcomes["agreed"] === 20)
    expect(counters.outcomes["too-many-connections"]).toBeUndefined()
    expect(open).toBeLessThanOrEqual(40)
  })

  it("slows down an address that connects too often", async () => {
    const service = await started({ admission: { ...NO_CHOICE, ratePerAddress: { perSecond: 1, burst: 10 } } })
    const ends: string[] = []
    for (let index = 0; index < 10; index++) ends.push((await ask(service, request(15))).end)
    let refused = 0
    // A second on a busy machine may bring few of them; sooner or later there are more than its one place.
    for (let round = 0; refused < 5 && round < 20; round++) {
      const endings = await Promise.all(Array.from({ length: 10 }, () => ask(service, request(15))))
      ends.push(...endings.map(({ end }) => end))
      refused = ends.filter((end) => end === "ECONNRESET").length
    }
    expect(ends.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => "end"))
    expect(refused).toBeGreaterThanOrEqual(5)
    await outcome(service, "rate-from-address", refused)
  })

  it("slows down all of them together", async () => {
    const service = await started({ admission: { ...UNLIMITED, rate: { perSecond: 1, burst: 5 } } })
    const endings = await Promise.all(Array.from({ length: 30 }, () => ask(service, request(15))))
    const refused = endings.filter(({ end }) => end === "ECONNRESET").length
    expect(refused).toBeGreaterThanOrEqual(5)
    await outcome(service, "rate-in-all", refused)
  })
})

describe("bytes of a request", () => {
  it("ends in a reply or a regular goodbye whatever the records are", async () => {
    const service = await started({ admission: UNLIMITED })
    const types = [RecordType.nextProtocol, RecordType.aead, RecordType.endOfMessage, 5, 6, 7, 1024, 0x3fff]
    for (let round = 0; round < 120; round++) {
      const noise = randomBytes(8 + round)
      const records = Array.from({ length: 1 + (round % 6) }, (_, index) =>
        record(
          types[noise[index]! % types.length]!,
          noise[index + 1]! % 2 === 0,
          index % 2 === 0 ? numbersBody([noise[2]! % 32]) : noise.subarray(0, noise[3]! % 8)
        )
      )
      const bytes = round % 3 === 0 ? noise : encodeRecords(records)
      const ending = await ask(service, bytes, { thenClose: true })
      expect(ending.end).toBe("end")
    }
    const { counters } = await service.report((report) => report.open === 0)
    expect(sum(counters.outcomes)).toBe(120)
    expect(counters.outcomes["connection-error"]).toBeUndefined()
  })
})
