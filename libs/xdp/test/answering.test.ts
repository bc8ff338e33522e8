/** The program beside a worker: what it answers is what a worker would say at that moment, and what a worker would not answer it leaves alone. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import fc from "fast-check"
import { afterEach, beforeAll, describe, expect, it } from "vitest"
import { Leap } from "@meridian/time/clock-curve"
import { CLIENT_MAC, frame, type FrameParts, IPV4, IPV4_CLIENT, IPV6, IPV6_CLIENT, MAC, readFrame } from "./frames.ts"
import { canLoadPrograms, monotonicNow, ProgramStage, type Reply, VERDICT } from "./program-stage.ts"

const available = canLoadPrograms("the BPF program beside a worker")
const families = [4, 6] as const

const request = (change: Partial<Record<number, number>> = {}): Uint8Array => {
  const bytes = Uint8Array.from({ length: 48 }, (_, at) => (at * 37 + 11) & 0xff)
  bytes.set([0x23, 0, 6, 0xe9])
  for (const [at, value] of Object.entries(change)) bytes[Number(at)] = value ?? 0
  return bytes
}

const LEAPS = [Leap.none, Leap.insert, Leap.none, Leap.delete, Leap.unsynchronised, Leap.none, Leap.insert]
const DISPERSION = [8, 12] as const
const RECEIVE = [32, 40] as const
const TRANSMIT = [40, 48] as const

const numberAt = (bytes: Uint8Array, [from, to]: readonly [number, number]): bigint =>
  BigInt(`0x${Buffer.from(bytes.subarray(from, to)).toString("hex")}`)

const withoutTimes = (bytes: Uint8Array): string => {
  const copy = Uint8Array.from(bytes)
  for (const [from, to] of [DISPERSION, RECEIVE, TRANSMIT]) copy.fill(0, from, to)
  return Buffer.from(copy).toString("hex")
}

describe.runIf(available)("the BPF program", () => {
  let stage: ProgramStage
  beforeAll(() => {
    stage = new ProgramStage()
    return () => stage.close()
  })
  afterEach(() => {
    stage.use({})
    stage.answering.useRules([])
  })

  /** What is not as a worker's reply of a moment between those at which the program was called and came back; undefined where nothing is. */
  const unlike = (payload: Uint8Array, { verdict, frame: sent, before, after }: Reply): string | undefined => {
    if (verdict !== VERDICT.send) return `verdict ${verdict}`
    const { payload: reply } = readFrame(sent)
    const { line } = stage
    const first = stage.worker(payload, line, before).reply as Uint8Array
    const last = stage.worker(payload, line, after).reply as Uint8Array
    const text = withoutTimes(reply)
    if (text !== withoutTimes(first) && text !== withoutTimes(last)) return `${text}, not ${withoutTimes(first)}`
    const odd = [DISPERSION, RECEIVE, TRANSMIT].find(
      (field) => numberAt(reply, field) < numberAt(first, field) || numberAt(reply, field) > numberAt(last, field)
    )
    return odd === undefined
      ? undefined
      : `octets ${odd[0]} to ${odd[1]}: ${numberAt(reply, odd)}, not from ${numberAt(first, odd)} to ${numberAt(last, odd)}`
  }

  it.each(families.flatMap((family) => [1, 2, 3, 4].map((version) => [family, version] as const)))(
    "answers IPv%d, version %d, as a worker does",
    (family, version) => {
      stage.write()
      const payload = request({ 0: (version << 3) | 3 })
      expect(unlike(payload, stage.run(frame({ family, payload })))).toBeUndefined()
    }
  )

  it.each(families)("turns an IPv%d packet round: addresses, ports, hops, checksums", (family) => {
    stage.write()
    const [server, client] = family === 4 ? [IPV4, IPV4_CLIENT] : [IPV6, IPV6_CLIENT]
    for (const vlan of [undefined, 7]) {
      const sent = frame({ family, payload: request(), ...(vlan === undefined ? {} : { vlan: vlan | 0xa000 }) })
      const { verdict, frame: reply } = stage.run(sent)
      expect(verdict).toBe(VERDICT.send)
      expect(reply.length).toBe(sent.length)
      expect(readFrame(reply)).toMatchObject({
        to: CLIENT_MAC,
        from: MAC,
        vlan,
        source: server,
        destination: client,
        sourcePort: 123,
        destinationPort: 12_345,
        service: 0,
        ttl: family === 4 ? 63 : 62,
        ipChecksumRight: true,
        udpChecksum: "right"
      })
    }
  })

  it("serves leap, smear, stratum and distance as the page has them, and none of it past its deadline", () => {
    const now = Number(monotonicNow()) / 1e9
    const pages = [
      { leap: Leap.insert },
      { leap: Leap.delete, stratum: 1, referenceId: 0x47505300 },
      { leap: Leap.unsynchronised },
      { stratum: 16 },
      { frequency: 11.6e-6, offset: -0.75 },
      { frequency: -0.05, dispersionRate: 0.01 },
      { baseMonotonic: now + 5 },
      { baseMonotonic: now / 2, dispersionRate: 500e-6 },
      { deadline: now - 1 },
      { deadline: -Infinity },
      { rootDelay: 1e9, rootDispersion: 1e9 },
      { referenceSeconds: 0, referenceNanoseconds: 0 },
      { offset: 2 ** 33 }
    ]
    for (const page of pages) {
      stage.write(page)
      for (const family of families)
        expect(unlike(request(), stage.run(frame({ family, payload: request() })))).toBeUndefined()
    }
    stage.write()
  })

  it("answers between two lines of a smear as one of the two has it", () => {
    for (let step = 0; step < 200; step += 1) {
      stage.write({ frequency: 1e-5 * Math.sin(step / 20), offset: 1e-3 * Math.cos(step / 20) })
      expect(unlike(request(), stage.run(frame({ family: 4, payload: request() })))).toBeUndefined()
    }
  })

  const left = (parts: Partial<FrameParts>): Reply => {
    const packet = frame({ family: 4, payload: request(), ...parts })
    const reply = stage.run(packet)
    expect(reply.verdict).toBe(VERDICT.pass)
    expect(Buffer.from(reply.frame).equals(packet)).toBe(true)
    return reply
  }

  it("leaves to the kernel, untouched, what is not a plain request to it", () => {
    stage.write()
    const parts: Partial<FrameParts>[] = [
      { port: 124 },
      { server: [192, 0, 2, 3] },
      { family: 6, server: IPV6_CLIENT, client: IPV6 },
      { mac: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] },
      { mac: [2, 0, 0, 0, 0, 3] },
      { vlan: 8 },
      { options: 4 },
      { options: 40 },
      { fragment: 0x2000 },
      { fragment: 0x0001 },
      { client: [127, 0, 0, 1] },
      { client: [0, 0, 0, 0] },
      { client: [224, 0, 1, 1] },
      { client: [255, 255, 255, 255] },
      { client: [...IPV4] },
      { family: 6, client: [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] },
      { family: 6, client: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 9] },
      { family: 6, client: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] },
      { clientPort: 0 },
      { checksum: "wrong" },
      { family: 6, checksum: "wrong" },
      { family: 6, checksum: "none" },
      { padding: 4 },
      { payload: request().subarray(0, 47) },
      { payload: new Uint8Array() },
      { payload: Uint8Array.from([...request(), 0, 0, 0, 0]) },
      { payload: Uint8Array.from([...request(), ...new Uint8Array(20)]) },
      { payload: request({ 0: 0x24 }) },
      { payload: request({ 0: 0x21 }) },
      { payload: request({ 0: 0x16 }) },
      { payload: request({ 0: 0x17 }) },
      { payload: request({ 0: 0x08 }) },
      { payload: request({ 0: 0x03 }) },
      { payload: request({ 0: 0x2b }) }
    ]
    for (const one of parts) left(one)
    const header = frame({ family: 4, payload: request() })
    header[24] = header[24]! ^ 1
    expect(stage.run(header).verdict).toBe(VERDICT.pass)
    const tooShort = frame({ family: 6, payload: request() })
    for (let length = 14; length < tooShort.length; length += 1)
      expect(stage.run(tooShort.subarray(0, length)).verdict).toBe(VERDICT.pass)
  })

  it("answers a request without a checksum, or with one that was left to a device, with a right one", () => {
    stage.write()
    for (const parts of [{ checksum: "none" }, { checksum: "partial" }, { family: 6, checksum: "partial" }] as const) {
      const { verdict, frame: reply } = stage.run(frame({ family: 4, payload: request(), ...parts }))
      expect([verdict, readFrame(reply).udpChecksum]).toEqual([VERDICT.send, "right"])
    }
  })

  it("behind the driver, leaves to the device what was left to it", () => {
    const generic = new ProgramStage("generic")
    generic.write()
    for (const family of families) {
      const { verdict, frame: reply } = generic.run(frame({ family, payload: request(), checksum: "partial" }))
      expect([verdict, readFrame(reply).udpChecksum]).toEqual([VERDICT.send, "partial"])
      const whole = generic.run(frame({ family, payload: request() }))
      expect(readFrame(whole.frame).udpChecksum).toBe("right")
    }
    generic.close()
  })

  it("leaves addresses with a rule of their own to the workers, and families that rules close", () => {
    stage.write()
    const known = [
      { address: [192, 0, 2, 9], length: 32 },
      { address: [10, 0, 0, 0], length: 8 },
      { address: [0x20, 1, 0xd, 0xb8, ...Array.from({ length: 12 }, () => 0)], length: 127 }
    ]
    stage.answering.useRules(known)
    stage.use({})
    left({})
    left({ client: [10, 255, 1, 2] })
    left({ family: 6, client: [...IPV6.slice(0, 15), 0], server: IPV6 })
    const answers = (parts: Partial<FrameParts>): boolean =>
      stage.run(frame({ family: 4, payload: request(), ...parts })).verdict === VERDICT.send
    expect(answers({ client: [192, 0, 2, 8] })).toBe(true)
    expect(answers({ client: [11, 0, 0, 1] })).toBe(true)
    expect(answers({ family: 6 })).toBe(true)
    stage.answering.useRules([{ address: [192, 0, 2, 8], length: 32 }])
    stage.use({ familiesFromNtpPort: [4] })
    expect(answers({})).toBe(true)
    expect(answers({ client: [192, 0, 2, 8] })).toBe(false)
    expect(answers({ clientPort: 123 })).toBe(true)
    expect(answers({ family: 6, clientPort: 123 })).toBe(false)
    stage.answering.useRules([])
    stage.use({ families: [6] })
    expect(answers({})).toBe(false)
    expect(answers({ family: 6 })).toBe(true)
    stage.answering.stop()
    expect(answers({ family: 6 })).toBe(false)
  })

  it("counts each outcome", () => {
    stage.write()
    const before = stage.answering.counts()
    stage.run(frame({ family: 4, payload: request() }))
    stage.run(frame({ family: 6, payload: request({ 0: 0x13 }) }))
    left({ payload: request({ 0: 0x16 }) })
    left({ checksum: "wrong" })
    stage.write({ leap: Leap.unsynchronised })
    stage.run(frame({ family: 4, payload: request({ 0: 0x0b }) }))
    const after = stage.answering.counts()
    expect(after).toEqual({
      ...before,
      served: before.served + 2,
      servedUnsynchronised: before.servedUnsynchronised + 1,
      oldVersion: before.oldVersion + 2,
      versions: before.versions.map((count, index) => count + [1, 1, 0, 1][index]!),
      passed: { ...before.passed, kind: before.passed.kind + 1, damaged: before.passed.damaged + 1 }
    })
  })

  /** Octets that recordings of real peers hold: requests and replies, keyed, with NTS, of mode 6, of Windows. */
  const corpus = (): readonly Uint8Array[] => {
    const files = [
      "auth/test/fixtures/nts-exchanges.json",
      "auth/test/fixtures/symmetric-exchanges.json",
      "protocol/test/fixtures/association-exchanges.json",
      "protocol/test/fixtures/association-nts.json",
      "wire/test/fixtures/mssntp-chronyd.json",
      "wire/test/fixtures/mssntp-classic-ntpd.json"
    ]
    const texts = files.flatMap((file) => {
      const text = readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), "utf8")
      return [...text.matchAll(/"((?:[0-9a-fA-F]{2}){24,1400})"/g)].map(([, hex = ""]) => hex)
    })
    return [...new Set(texts)].map((hex) => Uint8Array.from(Buffer.from(hex, "hex")))
  }

  /** Whether it was answered, as a worker would; "touched" for what was neither answered so nor passed as it came. */
  const judge = (payload: Uint8Array): boolean | string => {
    const reply = stage.run(frame({ family: 4, payload }))
    if (reply.verdict === VERDICT.send) return unlike(payload, reply) ?? true
    const isWhole = reply.verdict === VERDICT.pass && Buffer.from(readFrame(reply.frame).payload).equals(payload)
    return isWhole ? false : "touched"
  }

  it("answers of all recordings of real peers the plain requests alone", () => {
    stage.write()
    const packets = corpus()
    // Their first 48 octets are a plain request where they are a client's.
    const judged = packets.flatMap((bytes) => [bytes, bytes.subarray(0, 48)]).map(judge)
    expect(judged.filter((found) => typeof found === "string")).toEqual([])
    expect(packets.length).toBeGreaterThan(100)
    expect(judged.filter((found) => found === true).length).toBeGreaterThan(20)
  })

  it("answers whatever is a plain request, and nothing else", () => {
    stage.write()
    const anything = fc.uint8Array({ minLength: 0, maxLength: 120 })
    const nearly = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ minLength: 47, maxLength: 47 }))
    const payloads = fc.oneof(
      anything,
      nearly.map(([flags, rest]) => Uint8Array.from([flags, ...rest]))
    )
    fc.assert(
      fc.property(payloads, (payload) => {
        const version = ((payload[0] ?? 0) >> 3) & 7
        const isPlain = payload.length === 48 && (payload[0]! & 7) === 3 && version >= 1 && version <= 4
        expect(judge(payload)).toBe(isPlain)
      }),
      { numRuns: 2_000 }
    )
  })

  it("never touches what it passes, whatever octets come", () => {
    stage.write()
    const packets = fc.oneof(
      fc.uint8Array({ minLength: 14, maxLength: 150 }),
      fc.tuple(fc.constantFrom(...families), fc.nat(200), fc.nat(255)).map(([family, at, value]) => {
        const packet = frame({ family, payload: request() })
        packet[at % packet.length] = value
        return packet
      })
    )
    fc.assert(
      fc.property(packets, (packet) => {
        const { verdict, frame: after } = stage.run(packet)
        const fields = verdict === VERDICT.send ? readFrame(after) : undefined
        const isRight =
          fields === undefined
            ? Buffer.from(after).equals(packet)
            : fields.ipChecksumRight && fields.udpChecksum === "right"
        expect(isRight).toBe(true)
      }),
      { numRuns: 3_000 }
    )
  })

  /** A million with MERIDIAN_LONG=1: through leaps, smears, deadlines that pass and clocks that are replaced meanwhile. */
  it("answers as a worker, request by request", { timeout: 600_000 }, () => {
    const requests = process.env["MERIDIAN_LONG"] === "1" ? 1_000_000 : 20_000
    const packets = families.flatMap((family) =>
      [0x0b, 0x13, 0x1b, 0x23].map(
        (flags) => [request({ 0: flags }), frame({ family, payload: request({ 0: flags }) })] as const
      )
    )
    let different: string | undefined
    for (let done = 0; done < requests; done += 1) {
      if (done % 64 === 0) {
        const now = Number(monotonicNow()) / 1e9
        stage.write({
          leap: LEAPS[(done >> 6) % LEAPS.length] ?? Leap.none,
          frequency: 2e-5 * Math.sin(done / 5_000),
          offset: Math.sin(done / 3_000),
          deadline: (done >> 6) % 5 === 0 ? now + 50e-6 : now + 100
        })
      }
      const [payload, packet] = packets[done % packets.length]!
      different ??= unlike(payload, stage.run(packet))
    }
    expect(different).toBeUndefined()
  })
})
