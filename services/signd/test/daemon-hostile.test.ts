/** What a local process can do to the signing daemon: nothing that another one notices, and each thing under a name of its own. */
import { createServer, type Server } from "node:net"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { nobleCmac } from "@meridian/auth/cmac-noble"
import { parseAccountFile } from "@meridian/auth/account-keys"
import { installedDigests } from "@meridian/ciphers/digests-native"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { readSigndAnswer } from "@meridian/wire/signd-frames"
import { type ConnectionFault, type ConnectionLimits, SigndServer } from "../src/daemon/server.ts"
import { Signer, type SignOutcome } from "../src/daemon/signer.ts"
import { ACCOUNTS, Asking, signRequest } from "./running-daemon.ts"

const newSigner = (): Signer => new Signer(parseAccountFile(ACCOUNTS, "keys").accounts, installedDigests(nobleCmac))

let folder = ""
let signd: SigndServer
let server: Server
let askings: Asking[] = []
const start = async (limits: ConnectionLimits): Promise<void> => {
  signd = new SigndServer(newSigner(), limits)
  server = createServer()
  signd.serve(server)
  await new Promise<void>((done) => void server.listen(join(folder, "socket"), done))
}
const ask = (): Asking => {
  const asking = new Asking(join(folder, "socket"))
  askings.push(asking)
  return asking
}
const closedFor = (fault: ConnectionFault): number => signd.counters.closed[fault]
const until = async (holds: () => boolean): Promise<void> => {
  for (let waited = 0; !holds(); waited += 10) {
    if (waited > PATIENCE_MS) throw new Error(JSON.stringify(signd.counters))
    await new Promise((done) => setTimeout(done, 10))
  }
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meridian-hostile-"))
  askings = []
})
afterEach(() => {
  for (const { socket } of askings) socket.destroy()
  signd.close()
  server.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Somebody else is served, on a connection of before and on a new one. */
const servesOthers = async (before: Asking): Promise<void> => {
  for (const asking of [before, ask()]) {
    asking.send(signRequest(5, 1103))
    expect(readSigndAnswer((await asking.take(1))[0]!).kind).toBe("signed")
  }
}

describe("a connection that", () => {
  const long = Uint8Array.of(0, 0, 0, 65, 0)
  const short = Uint8Array.of(0, 0, 0, 15, ...new Uint8Array(15))
  it.each([
    ["announces a frame that is too long", Uint8Array.of(0xff, 0xff, 0xff, 0xff), "too-long"],
    ["announces one that is a little too long", long, "too-long"],
    ["sends one that is too short", short, "too-short"],
    ["sends an empty one", new Uint8Array(4), "too-short"],
    ["sends the half of one", signRequest(1, 1103).subarray(0, 40), "half-frame"],
    ["sends the half of a length", new Uint8Array(2), "half-frame"],
    ["sends a whole one and the half of another", Uint8Array.of(...signRequest(1, 1103), 0, 0, 0), "half-frame"]
  ] as const)("%s is ended, and nobody waits for it", async (_name, bytes, fault) => {
    await start({ connections: 10, patienceMs: 200 })
    const other = ask()
    const bad = ask()
    bad.send(bytes)
    await servesOthers(other)
    await bad.closed()
    expect(closedFor(fault)).toBe(1)
    await servesOthers(other)
  })

  it("sends a frame octet by octet for longer than a frame may take is ended", async () => {
    await start({ connections: 10, patienceMs: 200 })
    const bad = ask()
    const request = signRequest(1, 1103)
    for (let at = 0; at < request.length && !bad.isClosed; at += 1) {
      bad.send(request.subarray(at, at + 1))
      await new Promise((done) => setTimeout(done, 20))
    }
    await bad.closed()
    expect(closedFor("half-frame")).toBe(1)
  })

  it("never reads its answers is ended, with little kept for it", async () => {
    await start({ connections: 10, patienceMs: 300 })
    const other = ask()
    const bad = ask()
    bad.socket.pause()
    const many = Buffer.concat(Array.from({ length: 1_000 }, () => signRequest(1, 1103)))
    for (let sent = 0; sent < 100; sent += 1) bad.send(many)
    await servesOthers(other)
    await until(() => closedFor("never-reads") === 1)
    // Far fewer than were asked for: it was not read any more either.
    expect(signd.counters.requests.signed).toBeLessThan(50_000)
    await servesOthers(other)
  })

  it("is silent stays open, until there are too many", async () => {
    await start({ connections: 4, patienceMs: 100 })
    const quiet = Array.from({ length: 4 }, ask)
    await until(() => signd.counters.open === 4)
    await new Promise((done) => setTimeout(done, 300))
    expect(quiet.some(({ isClosed }) => isClosed)).toBe(false)
    // One is heard, and is then not the one that was silent for longest.
    quiet[0]!.send(signRequest(1, 1104))
    await quiet[0]!.take(1)
    await servesOthers(quiet[0]!)
    await until(() => quiet.some(({ isClosed }) => isClosed))
    expect(quiet[0]!.isClosed).toBe(false)
    expect([closedFor("too-many"), signd.counters.open]).toEqual([1, 4])
  })
})

describe("frames of any content", () => {
  it("get one outcome each, and an answer unless they are too short", () => {
    const request = fc.record({
      version: fc.constantFrom(0, 0, 0, 1, 2 ** 31),
      operation: fc.oneof(fc.constantFrom(0, 0, 1, 2, 3, 4, 0x100), fc.nat()),
      id: fc.integer({ min: 0, max: 0xffff }),
      keyId: fc.oneof(fc.constantFrom(1103, 1104, 1103 + 2 ** 31, 0), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
      rest: fc.uint8Array({ maxLength: 48 })
    })
    const frame = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      request.map(({ version, operation, id, keyId, rest }) => {
        const bytes = new Uint8Array(16 + rest.length)
        const view = new DataView(bytes.buffer)
        view.setUint32(0, version)
        view.setUint32(4, operation)
        view.setUint16(8, id)
        view.setUint32(12, keyId, true)
        bytes.set(rest, 16)
        return bytes
      })
    )
    const signer = newSigner()
    const total = (): number => Object.values(signer.counters).reduce((sum, count) => sum + count, 0)
    fc.assert(
      fc.property(frame, (bytes) => {
        const before = { ...signer.counters }
        const answer = signer.answer(bytes)
        const outcomes = (Object.keys(before) as SignOutcome[]).filter((name) => signer.counters[name] !== before[name])
        expect(outcomes).toHaveLength(1)
        expect(answer === undefined).toBe(outcomes[0] === "short")
        if (answer === undefined) return
        const read = readSigndAnswer(answer.subarray(4))
        expect(read.kind).toBe(outcomes[0]!.startsWith("signed") ? "signed" : "refused")
        expect(read.kind === "malformed" ? -1 : read.packetId).toBe(
          new DataView(bytes.buffer, bytes.byteOffset).getUint16(8)
        )
      })
    )
    expect(total()).toBeGreaterThan(50)
  })

  it("on a stream never end the daemon", async () => {
    await start({ connections: 20, patienceMs: 100 })
    const other = ask()
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), async (chunks) => {
        const bad = ask()
        for (const chunk of chunks) bad.send(chunk)
        bad.socket.end()
        other.send(signRequest(3, 1104))
        expect(readSigndAnswer((await other.take(1))[0]!).kind).toBe("signed")
      }),
      { numRuns: 40 }
    )
  })
})
