/** Windows clients, a socket, and Samba: asked through the very service that a node runs. */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { Samba, SAMBA_PASSWORDS, sambaAvailable } from "@meridian/testkit/samba"
import { type WindowsAnswer, type WindowsQuestion, windowsRequest } from "@meridian/testkit/windows-client"
import { ignore } from "@meridian/protocol"
import { FakeSignd, refuses } from "./fake-signd.ts"
import { everybody, ServiceStage } from "./service-stage.ts"

const until = async (holds: () => boolean): Promise<void> => {
  for (let waited = 0; !holds(); waited += 10) {
    if (waited > PATIENCE_MS) throw new Error("it never came to be")
    await new Promise((done) => setTimeout(done, 10))
  }
}

/** Sends datagrams and waits until as many were counted. */
const send = async (stage: ServiceStage, packets: readonly Uint8Array[]): Promise<void> => {
  const before = stage.service.counters.received
  const socket = createSocket("udp4")
  socket.connect(stage.port, "127.0.0.1")
  await once(socket, "connect")
  for (const packet of packets) socket.send(packet)
  await until(() => stage.service.counters.received >= before + packets.length)
  socket.close()
}

const question = (rid: number): WindowsQuestion => ({ rid, password: "x" })
const burst = (rids: readonly number[]): readonly Uint8Array[] =>
  rids.map((rid) => windowsRequest(question(rid), BigInt(rid)))
const droppedIn = ({ service }: ServiceStage): Record<string, number> =>
  Object.fromEntries(Object.entries(service.counters.snapshot().dropped).filter(([, count]) => count > 0))

describe.runIf(sambaAvailable("Windows clients of a service with Samba"))("with Samba", () => {
  let samba: Samba
  let stage: ServiceStage
  beforeEach(async () => {
    samba = await new Samba().start()
    stage = await ServiceStage.open(samba.socket)
  })
  afterEach(async () => {
    stage.close()
    await samba.stop()
  })
  const one = (change: Partial<WindowsQuestion> = {}): WindowsQuestion => ({
    rid: samba.accounts.testpc1,
    password: SAMBA_PASSWORDS.testpc1,
    ...change
  })
  const two = (): WindowsQuestion => ({ rid: samba.accounts.testpc2, password: SAMBA_PASSWORDS.testpc2 })
  /** Samba on a busy machine may be late with one: what is to be answered is asked until it is. */
  const answered = async (question: WindowsQuestion, of = stage): Promise<WindowsAnswer> => {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await of.ask(question)
      if (answer.verdict !== "no-answer" || attempt === 20) return answer
    }
  }

  it("replies are signed for the domain's machines, in versions 3 and 4 and mode 1, and for nobody else", async () => {
    const signed = [one(), two(), one({ version: 4 }), one({ mode: 1 }), one({ previous: true })]
    for (const asked of signed) expect((await answered(asked)).verdict).toBe("signed")
    const { bytes } = await answered(one({ mode: 1 }))
    expect(bytes[0]).toBe((3 << 3) | 2)
    expect((await answered({ ...two(), password: SAMBA_PASSWORDS.testpc2Before })).verdict).toBe("badly-signed")
    const before = droppedIn(stage)["late"] ?? 0
    const { person, disabled, group } = samba.accounts
    await send(stage, [
      ...burst([99_999, group, person, disabled, 99_999, person]),
      windowsRequest(one({ extended: true }), 1n),
      windowsRequest(one({ wrongChecksum: true }), 2n)
    ])
    await until(() => Object.values(droppedIn(stage)).reduce((sum, count) => sum + count, 0) === before + 8)
    const dropped = droppedIn(stage)
    // Of the two questions about one account in a burst the second may come before the first is refused; Samba may be late.
    const refused = ["refused", "closed-on", "refused-before"].reduce((sum, name) => sum + (dropped[name] ?? 0), 0)
    const late = (dropped["late"] ?? 0) - before
    expect({ ...dropped, refused: refused + late }).toMatchObject({ refused: 6, extended: 1, "not-ms-sntp": 1 })
    expect(refused).toBeGreaterThan(0)
    expect((await answered(one())).verdict).toBe("signed")
  })

  it("killed, gone, back, stopped and going on again: every request ends, and signing begins again by itself", async () => {
    expect((await answered(one())).verdict).toBe("signed")
    await samba.end()
    await send(stage, burst([samba.accounts.testpc1]))
    await until(() => (droppedIn(stage)["signd-away"] ?? 0) === 1)
    await samba.start()
    await until(() => stage.service.pool.open === 0)
    for (let asked = 0; (await stage.ask(one(), 500)).verdict !== "signed"; asked += 1) expect(asked).toBeLessThan(50)
    samba.signal("SIGSTOP")
    await send(stage, burst(Array.from({ length: 50 }, () => samba.accounts.testpc1)))
    await until(() => (droppedIn(stage)["late"] ?? 0) === 50)
    samba.signal("SIGCONT")
    for (let asked = 0; (await stage.ask(two(), 500)).verdict !== "signed"; asked += 1) expect(asked).toBeLessThan(50)
    const { received, replied, unsent, dropped } = stage.service.counters.snapshot()
    const ended = replied + unsent + Object.values(dropped).reduce((sum, count) => sum + count, 0)
    expect(ended).toBe(received)
  })

  it("two services on one Samba answer alike", async () => {
    const other = await ServiceStage.open(samba.socket)
    const asked = Array.from({ length: 20 }, (_, index) => answered(one(), index % 2 === 0 ? stage : other))
    expect((await Promise.all(asked)).every(({ verdict }) => verdict === "signed")).toBe(true)
    other.close()
  })
})

describe("without Samba", () => {
  let signd: FakeSignd
  beforeEach(async () => {
    signd = await new FakeSignd().listen()
  })
  afterEach(() => signd.stop())

  it("requests that nobody allowed are dropped by name, before signd hears of them", async () => {
    const stage = await ServiceStage.open(signd.path)
    const [request] = burst([5])
    stage.service.admission = undefined
    await send(stage, [request!])
    stage.service.admission = { ...everybody, signsFor: () => false }
    await send(stage, [request!])
    stage.service.admission = { ...everybody, judge: () => ignore("rate-limited") }
    await send(stage, [request!])
    stage.service.admission = { ...everybody, judgeProof: () => ignore("access-unproven") }
    await send(stage, [request!])
    expect(droppedIn(stage)).toEqual({ "mssntp-not-allowed": 2, "rate-limited": 1, "access-unproven": 1 })
    expect(signd.asked).toEqual([])
    stage.close()
  })

  it("what is no request of a Windows client is dropped, however long it is", async () => {
    const stage = await ServiceStage.open(signd.path)
    const packets = [0, 1, 47, 48, 67, 69, 120, 1_400].map((length) => new Uint8Array(length).fill(0xdb, 0, 1))
    await send(stage, packets)
    expect(droppedIn(stage)).toEqual({ "not-ms-sntp": 8 })
    stage.close()
  })

  it("a flood leaves no more behind than may wait, and each of it is counted", async () => {
    signd.behaviour = () => undefined
    const stage = await ServiceStage.open(signd.path, { connections: 2, queue: 16, deadlineMs: 300 })
    await send(stage, burst(Array.from({ length: 200 }, (_, index) => index + 1)))
    expect(stage.service.pool.queued).toBeLessThanOrEqual(16)
    await until(() => Object.values(droppedIn(stage)).reduce((sum, count) => sum + count, 0) === 200)
    const { late = 0, "queue-full": full = 0 } = droppedIn(stage)
    expect([late + full, late > 0, full > 0]).toEqual([200, true, true])
    signd.behaviour = refuses
    await send(stage, burst([1, 2]))
    await until(() => (droppedIn(stage)["refused"] ?? 0) === 2)
    stage.close()
  })
})
