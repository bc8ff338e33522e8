import { connect } from "node:tls"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { loopbackAddresses } from "@meridian/testkit/address-families"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { RecordType } from "@meridian/wire/nts-ke"
import { ask, connected, type Ending, request, summary, type Target } from "./ke-client.ts"
import { probes } from "./requests.ts"
import {
  type Folder,
  generation,
  makeFolder,
  opened,
  type RunningService,
  startService,
  UNLIMITED
} from "./running-service.ts"

const addresses = loopbackAddresses("NTS-KE")
let folder: Folder
beforeAll(() => {
  folder = makeFolder()
})
afterAll(() => folder.remove())

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0)

const cookiesOf = ({ records }: Ending): readonly Uint8Array[] =>
  records.filter(({ type }) => type === RecordType.newCookie).map(({ body }) => body)

describe("one request on each connection", () => {
  const endings = new Map<string, Ending>()
  let service: RunningService
  let target: Target

  beforeAll(async () => {
    const files = folder.certificate("server", ["localhost", "127.0.0.1"])
    service = await startService({ certificates: [files], settings: { admission: UNLIMITED } })
    target = { port: service.port, ca: files.certificate }
    for (const { name, bytes, behaviour } of probes) endings.set(name, await ask(target, bytes, behaviour))
  })
  afterAll(async () => {
    await service.stop()
  })

  it.each(probes)("$name", ({ name, reply }) => {
    const ending = endings.get(name)!
    expect(summary(ending.records)).toBe(reply)
    expect(ending).toMatchObject({ end: "end", tls: "TLSv1.3", alpn: "ntske/1" })
    expect(ending.reads).toBe(reply === "" ? 0 : 1)
  })

  it("counts each of them once, under its reason", async () => {
    const expected: Record<string, number> = {}
    for (const { outcome } of probes) expected[outcome] = (expected[outcome] ?? 0) + 1
    const { counters, open, tls } = await service.report((report) => report.open === 0)
    expect(counters.outcomes).toEqual(expected)
    expect(counters.accepted).toBe(probes.length)
    expect(open).toBe(0)
    // vitest.config.ts runs this file over both.
    expect(tls).toBe(process.env["MERIDIAN_NATIVE"] === "off" ? "node" : "native")
    expect(sum(counters.agreed)).toBe(expected["agreed"])
    expect(counters.cookies).toBe(8 * expected["agreed"]!)
  })

  it.each([15, 16, 17, 30])("hands out eight cookies with the keys of AEAD %i inside", async (id) => {
    const ending = await ask(target, request(id))
    const cookies = cookiesOf(ending)
    expect(new Set(cookies.map((cookie) => Buffer.from(cookie).toString("hex"))).size).toBe(8)
    for (const cookie of cookies) {
      const keys = opened(cookie, [generation(1)])
      expect(keys).toMatchObject({ aead: { id } })
      if (typeof keys === "string") continue
      expect(Buffer.from(keys.c2s)).toEqual(ending.keys(id).c2s)
      expect(Buffer.from(keys.s2c)).toEqual(ending.keys(id).s2c)
    }
    expect(opened(cookies[0]!, [generation(2)])).toBe("unknown")
  })

  it("derives the keys as RFC 8915 says when the client announces that it does", async () => {
    const probe = probes.find(({ name }) => name.includes("compliant exporter"))!
    const ending = await ask(target, probe.bytes)
    const keys = opened(cookiesOf(ending)[0]!, [generation(1)])
    expect(keys).toMatchObject({ c2s: new Uint8Array(ending.keys(30, true).c2s) })
    expect(ending.keys(30, true).c2s).not.toEqual(ending.keys(30, false).c2s)
  })

  it("seals with the generation that is active, and goes over to the next one", async () => {
    const now = Date.now() / 1000
    const generations = [
      generation(1, { retirement: now + 1000 }),
      generation(2, { activation: now - 10 }),
      generation(3, { activation: now + 1000 }),
      generation(4, { activation: now - 5, revoked: true })
    ]
    service.useKeys(generations)
    const [cookie] = cookiesOf(await ask(target, request(15)))
    expect(opened(cookie!, [generation(2)])).toMatchObject({ aead: { id: 15 } })
  })

  it("keeps the old keys when new ones make no ring, and says so without quoting them", async () => {
    service.useKeys([generation(9), generation(9)])
    const warning = await service.warning(/goes on by the one before/)
    expect(warning).toContain("generation 9: its id is used twice")
    const [cookie] = cookiesOf(await ask(target, request(15)))
    expect(opened(cookie!, [generation(2)])).toMatchObject({ aead: { id: 15 } })
  })

  it("answers with an internal error while there is no key to seal with", async () => {
    service.useKeys([generation(5, { retirement: 1 })])
    expect(summary((await ask(target, request(15))).records)).toBe("error!(2) end!")
    expect(summary((await ask(target, request(999))).records)).toBe("protocol!(0) aead!() end!")
    const { counters } = await service.report((report) => report.counters.outcomes["no-master-key"] !== undefined)
    expect(counters.outcomes["no-master-key"]).toBe(1)
    service.useKeys([generation(1)])
    expect(cookiesOf(await ask(target, request(15)))).toHaveLength(8)
  })

  it("survives messages that are none of its supervisor's", async () => {
    const strangers = [
      null,
      7,
      "drain",
      [],
      { type: "keys" },
      { type: "keys", generations: [{ id: 1 }] },
      { type: "x" }
    ]
    for (const stranger of strangers) service.process.send(stranger as never)
    expect(cookiesOf(await ask(target, request(15)))).toHaveLength(8)
  })
})

describe("TLS", () => {
  let service: RunningService
  let target: Target
  const count = async (outcome: string): Promise<number> =>
    (await service.report(({ counters }) => (counters.outcomes[outcome] ?? 0) > 0)).counters.outcomes[outcome] ?? 0

  beforeAll(async () => {
    const files = folder.certificate("tls", ["localhost", "127.0.0.1", "::1"])
    service = await startService({ certificates: [files], addresses })
    target = { port: service.port, ca: files.certificate }
  })
  afterAll(async () => {
    await service.stop()
  })

  it("ends a connection without ALPN after the handshake, without a reply", async () => {
    const ending = await ask(target, request(15), { tls: { ALPNProtocols: [] } })
    expect(ending).toMatchObject({ alpn: false, end: "end", records: [] })
    expect(await count("no-alpn")).toBe(1)
  })

  it("refuses another protocol by the TLS alert", async () => {
    const ending = await ask(target, request(15), { tls: { ALPNProtocols: ["http/1.1"] } })
    expect(ending.end).toBe("ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL")
    expect(await count("other-alpn")).toBe(1)
  })

  it("refuses TLS 1.2", async () => {
    const ending = await ask(target, request(15), { tls: { maxVersion: "TLSv1.2" } })
    expect(ending.end).toBe("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION")
    expect(await count("tls-version")).toBe(1)
  })

  it("serves a client that asks for another name, and counts it; the client decides", async () => {
    const strict = await ask(target, request(15), { tls: { servername: "other.example" } })
    expect(strict.end).toBe("ERR_TLS_CERT_ALTNAME_INVALID")
    const lax = await ask(target, request(15), { tls: { servername: "other.example", rejectUnauthorized: false } })
    expect(cookiesOf(lax)).toHaveLength(8)
    const seen = await service.report(({ counters }) => counters.unknownServerNames >= 1)
    expect(seen.counters.unknownServerNames).toBeLessThanOrEqual(2)
  })

  it("notices a client that does not trust the certificate", async () => {
    const ending = await ask(target, request(15), { tls: { ca: [] } })
    expect(ending.end).toBe("DEPTH_ZERO_SELF_SIGNED_CERT")
    expect(ending.records).toEqual([])
  })

  it.each(["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"])(
    "accepts %s",
    async (ciphers) => {
      const socket = await connected(target, { ciphers })
      expect(socket.getCipher().standardName).toBe(ciphers)
      socket.destroy()
    }
  )

  it("prefers AES-128-GCM whatever order the client has, and X25519 to its hybrid with ML-KEM", async () => {
    const socket = await connected(target, {
      ciphers: "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"
    })
    expect(socket.getCipher().standardName).toBe("TLS_AES_128_GCM_SHA256")
    expect(socket.getEphemeralKeyInfo()).toMatchObject({ name: "X25519" })
    socket.destroy()
  })

  it.each(["P-256", "P-384", "X25519MLKEM768:X25519"])("accepts a client with %s", async (ecdhCurve) => {
    const ending = await ask(target, request(15), { tls: { ecdhCurve } })
    expect(cookiesOf(ending)).toHaveLength(8)
  })

  it("asks for no client certificate and resumes no session", async () => {
    const first = connect({
      port: service.port,
      host: addresses.at(-1)!,
      ca: [],
      rejectUnauthorized: false,
      ALPNProtocols: ["ntske/1"]
    })
    const session = await new Promise<Buffer | undefined>((done) => {
      first.once("session", done)
      first.once("close", () => done(undefined))
      first.resume().write(request(15))
    })
    first.destroy()
    const again = await connected({ ...target, host: addresses.at(-1)! }, session === undefined ? {} : { session })
    expect(again.isSessionReused()).toBe(false)
    again.destroy()
  })
})

describe("as configured", () => {
  it("tells clients another server and port, and offers only the AEADs it was told", async () => {
    const files = folder.certificate("told", ["localhost"])
    const settings = { timeServer: { host: "ntp.example", port: 1123 }, aeads: [16, 30] }
    const service = await startService({ certificates: [files], settings })
    const target = { port: service.port, ca: files.certificate }
    try {
      expect(summary((await ask(target, request(15, 17, 16))).records)).toBe(
        "protocol!(0) aead!(16) server!(ntp.example) port!(1123) cookie[128]×8 end!"
      )
      expect(summary((await ask(target, request(15))).records)).toBe("protocol!(0) aead!() end!")
      expect(service.warnings).toEqual([])
    } finally {
      await service.stop()
    }
  })

  it("accepts TLS 1.2 when told to, with a warning, and its keys are right there too", async () => {
    const files = folder.certificate("old", ["localhost"])
    const service = await startService({
      certificates: [files],
      settings: { tls: { minimum: "TLSv1.2", maximum: null, cipherSuites: null, curves: null } }
    })
    try {
      expect(await service.warning(/TLS 1\.2/)).toContain("RFC 8915 asks for TLS 1.3")
      const target = { port: service.port, ca: files.certificate }
      const ending = await ask(target, request(15), { tls: { maxVersion: "TLSv1.2" } })
      expect(ending.tls).toBe("TLSv1.2")
      const keys = opened(cookiesOf(ending)[0]!, [generation(1)])
      expect(keys).toMatchObject({ s2c: new Uint8Array(ending.keys(15).s2c) })
      expect((await ask(target, request(15))).tls).toBe("TLSv1.3")
    } finally {
      await service.stop()
    }
  })

  it("finishes what is open when it drains, takes nothing new, and ends with its counters", async () => {
    const files = folder.certificate("drain", ["localhost"])
    const service = await startService({ certificates: [files] })
    const target = { port: service.port, ca: files.certificate }
    const open = await connected(target)
    const drained = service.drained()
    // Until the message arrives it goes on serving.
    let before = 0
    const knock = async (): Promise<string> => {
      const { end } = await ask(target, request(15))
      if (end === "end") before++
      return end
    }
    await expect.poll(knock, { timeout: PATIENCE_MS }).toMatch(/ECONNREFUSED|ECONNRESET/)
    let reply = 0
    open.on("data", (chunk: Buffer) => (reply += chunk.length))
    open.end(request(15))
    const { counters } = await drained
    expect(reply).toBeGreaterThan(8 * 96)
    expect(counters.outcomes["agreed"]).toBe(before + 1)
    await expect.poll(() => service.process.exitCode, { timeout: PATIENCE_MS }).toBe(0)
  })

  it("ends when its supervisor is gone", async () => {
    const service = await startService({ certificates: [folder.certificate("orphan", ["localhost"])] })
    service.process.disconnect()
    await expect.poll(() => service.process.exitCode, { timeout: PATIENCE_MS }).toBe(0)
  })
})
