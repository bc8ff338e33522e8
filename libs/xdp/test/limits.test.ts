/** The program's limits beside the workers': the same law over the same moments gives the same verdicts, and the list of clients what came. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type RateLimit, RateLimiter, RateVerdict } from "@meridian/protocol/access/rate-limit"
import { canHold } from "../src/answer-layout.ts"
import { frame, type FrameParts, readFrame } from "./frames.ts"
import { canLoadPrograms, monotonicNow, ProgramStage, VERDICT } from "./program-stage.ts"

const available = canLoadPrograms("the BPF program's limits")

const request = Uint8Array.from({ length: 48 }, (_, at) => (at === 0 ? 0x23 : at))
const packetOf = (parts: Partial<FrameParts> = {}): Uint8Array => frame({ family: 4, payload: request, ...parts })

const stageWith = (limit: RateLimit | undefined, kisses: boolean, clients = 4_096): ProgramStage => {
  const stage = new ProgramStage("native", clients)
  stage.write()
  stage.use({ limit: limit === undefined ? undefined : { limit, kisses }, noteEvery: limit === undefined ? 1 : 0 })
  return stage
}

const isKiss = (sent: Uint8Array): boolean => {
  const { payload } = readFrame(sent)
  return payload[0]! >> 6 === 3 && payload[1] === 0 && Buffer.from(payload.subarray(12, 16)).toString() === "RATE"
}

describe.runIf(available)("limits in the BPF program", () => {
  const laws: readonly (readonly [string, RateLimit])[] = [
    ["score", { law: "score", average: 2, burst: 20, kod: 0.5 }],
    ["score of a single packet", { law: "score", average: 1, burst: 1, kod: 3 }],
    ["headway", { law: "headway", average: 3, minimum: 0 }],
    ["headway with a guard", { law: "headway", average: 3, minimum: 2 }],
    ["tokens", { law: "tokens", interval: 3, burst: 8, leak: 0, kod: 0 }],
    ["tokens that come back at once", { law: "tokens", interval: -10, burst: 3, leak: 0, kod: 0 }]
  ]

  it.each(laws)("%s: a burst from one address meets the verdicts that a worker gives", (_, limit) => {
    const stage = stageWith(limit, true)
    const limiter = new RateLimiter(limit, { next: () => 0.999 })
    let level = 0
    let last = 0n
    let doubtful = 0
    for (let packet = 0; packet < 100; packet += 1) {
      const { verdict, frame: sent, before, after } = stage.run(packetOf())
      const found = verdict === VERDICT.drop ? RateVerdict.drop : isKiss(sent) ? RateVerdict.kiss : RateVerdict.pass
      const now = (before + after) / 2n
      if (packet === 0) limiter.begin()
      const expected = packet === 0 ? RateVerdict.pass : limiter.judge(level, Number(now - last) / 1e9)
      level = limiter.level
      last = now
      // The program's own reading of the clock lies somewhere in between.
      if (found !== expected) doubtful += 1
    }
    expect(doubtful).toBeLessThanOrEqual(limit.law === "tokens" && limit.interval < 0 ? 10 : 1)
    stage.close()
  })

  it("comes to the level that a worker comes to, whatever the pauses", () => {
    // Moments are the program's own: the level that it kept is held against the law's over the pause that it saw.
    const limit = { law: "score", average: 1e6, burst: 0.25, kod: 0 } as const
    const stage = stageWith(limit, false)
    const limiter = new RateLimiter(limit, { next: () => 0 })
    let known = { level: 0, last: 0 }
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3_000 }), (microseconds) => {
        const until = monotonicNow() + BigInt(microseconds) * 1_000n
        while (monotonicNow() < until);
        stage.run(packetOf())
        const [client] = stage.answering.clients(false)
        if (known.last > 0) limiter.judge(known.level, client!.last - known.last)
        else limiter.begin()
        expect(client!.level / limiter.level).toBeCloseTo(1, 4)
        known = { level: client!.level, last: client!.last }
      }),
      { numRuns: 200 }
    )
    stage.close()
  })

  it("sends a kiss as a worker does, and at most a thousand a second", () => {
    const stage = stageWith({ law: "score", average: 0.01, burst: 1, kod: 1e6 }, true)
    const { line } = stage
    stage.run(packetOf())
    const { frame: sent, before } = stage.run(packetOf())
    expect(isKiss(sent)).toBe(true)
    const { payload } = readFrame(sent)
    const { reply } = stage.worker(request, line, before)
    expect(payload[0]).toBe(0xe4)
    expect([...payload.subarray(2, 8)]).toEqual([...reply!.subarray(2, 8)])
    expect([...payload.subarray(16, 32)]).toEqual([...reply!.subarray(16, 32)])
    expect(readFrame(sent).udpChecksum).toBe("right")
    for (let packet = 0; packet < 2_500; packet += 1) stage.run(packetOf())
    const { kissed, limited } = stage.answering.counts()
    // Each processor counts for itself, and a second may have passed.
    expect(kissed).toBeLessThan(2_502)
    expect(kissed + limited).toBe(2_501)
    const quiet = stageWith({ law: "score", average: 0.01, burst: 1, kod: 1e6 }, false)
    quiet.run(packetOf())
    expect(quiet.run(packetOf()).verdict).toBe(VERDICT.drop)
    quiet.close()
    stage.close()
  })

  it("answers some of what is over the limit where tokens leak", () => {
    const stage = stageWith({ law: "tokens", interval: 12, burst: 1, leak: 1, kod: 0 }, false)
    stage.run(packetOf())
    const verdicts = Array.from({ length: 400 }, () => stage.run(packetOf()).verdict)
    const answered = verdicts.filter((verdict) => verdict === VERDICT.send).length
    expect(answered).toBeGreaterThan(100)
    expect(answered).toBeLessThan(300)
    stage.close()
  })

  it("holds one address to its limit and no other, and an IPv6 prefix as one", () => {
    const stage = stageWith({ law: "score", average: 0.5, burst: 1, kod: 0 }, false)
    const answers = (parts: Partial<FrameParts>): boolean => stage.run(packetOf(parts)).verdict === VERDICT.send
    const v6 = (...end: readonly number[]): readonly number[] => [0x20, 1, 0xd, 0xb8, 0, 0, 0, ...end]
    expect(answers({})).toBe(true)
    expect(answers({})).toBe(false)
    expect(answers({ client: [192, 0, 2, 10] })).toBe(true)
    expect(answers({ family: 6, client: v6(1, 0, 0, 0, 0, 0, 0, 0, 1) })).toBe(true)
    expect(answers({ family: 6, client: v6(1, 9, 9, 9, 9, 9, 9, 9, 9) })).toBe(false)
    expect(answers({ family: 6, client: v6(2, 0, 0, 0, 0, 0, 0, 0, 1) })).toBe(true)
    stage.close()
  })

  it("forgets whom it has not seen for longest when more come than it may remember", () => {
    const stage = stageWith(undefined, false, 1_024)
    for (let client = 0; client < 8_000; client += 1)
      stage.run(packetOf({ client: [10, 0, client >> 8, client & 255] }))
    const clients = stage.answering.clients(false)
    expect(clients.length).toBeGreaterThan(256)
    expect(clients.length).toBeLessThanOrEqual(1_024)
    stage.close()
  })

  it("remembers clients: when, how often, from which port, in which version", () => {
    const stage = stageWith(undefined, false)
    const begun = Number(monotonicNow()) / 1e9
    for (const port of [1_000, 2_000, 3_000]) stage.run(packetOf({ clientPort: port }))
    stage.run(packetOf({ family: 6 }))
    const ended = Number(monotonicNow()) / 1e9
    const clients = stage.answering.clients(false).toSorted((a, b) => b.count - a.count)
    expect(clients).toMatchObject([
      { count: 3, dropped: 0, kisses: 0, port: 3_000, versionAndMode: 0x23, isOver: false },
      { count: 1, port: 12_345 }
    ])
    expect([...clients[0]!.address]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 9])
    for (const { first, last } of clients) {
      expect(first).toBeGreaterThanOrEqual(begun)
      expect(last).toBeLessThanOrEqual(ended)
      expect(last).toBeGreaterThanOrEqual(first)
    }
    stage.close()
  })

  it("notes one request for those in between where many come, and loses none of the count", () => {
    const stage = stageWith(undefined, false)
    stage.use({ noteEvery: 1_000_000 })
    for (let packet = 0; packet < 3_000; packet += 1) stage.run(packetOf())
    const [client] = stage.answering.clients(false)
    expect(client!.count).toBeGreaterThan(1_000)
    expect(client!.count).toBeLessThanOrEqual(3_000)
    stage.close()
  })

  it("says which limits it cannot hold", () => {
    expect(canHold({ law: "headway", average: 0.5, minimum: 0 })).toBe(false)
    expect(canHold({ law: "score", average: 1, burst: 1e9, kod: 0 })).toBe(false)
    for (const [, limit] of laws) expect(canHold(limit)).toBe(true)
  })
})
