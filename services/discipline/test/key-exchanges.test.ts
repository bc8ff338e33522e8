/** When keys are asked for, and what is made of them. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { AeadId, aeadParameters } from "@meridian/auth/aead"
import type { NtsAssociation } from "@meridian/auth/nts-client"
import { KISS_NTSN } from "@meridian/auth/nts-server"
import type { Endpoint } from "@meridian/protocol/associations"
import { CookieJars } from "@meridian/tls/cookie-jar"
import type { ExchangedKeys } from "@meridian/tls/nts-key-exchange"
import { encodeHeader, Mode } from "@meridian/wire/ntp"
import { KeyExchanges, type NtsSource } from "../src/key-exchanges.ts"

const source: NtsSource = {
  id: 1,
  host: "time.example",
  family: null,
  endpoint: { address: "192.0.2.1", port: 123 },
  nts: { host: null, port: 4460, ca: null, noval: false, aead: null }
}
const filled = (byte: number, length: number): Uint8Array => new Uint8Array(length).fill(byte)
const keysOf = (change: Partial<ExchangedKeys> = {}): ExchangedKeys => ({
  aead: aeadParameters(AeadId.aes128GcmSiv)!,
  c2s: filled(1, 16),
  s2c: filled(2, 16),
  otherwise: undefined,
  cookies: Array.from({ length: 8 }, () => filled(9, 100)),
  host: undefined,
  port: undefined,
  certificate: { subject: "", names: "", issuer: "", begins: "", expires: "" },
  ...change
})

let folder = ""
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "meridian-keys-"))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

class Rig {
  now = 0
  readonly begun: { readonly association: NtsAssociation; readonly endpoint: Endpoint }[] = []
  readonly asked: number[] = []
  readonly exchanges: KeyExchanges

  constructor(answer: () => ExchangedKeys, addresses: readonly string[] = []) {
    this.exchanges = new KeyExchanges(
      new CookieJars(folder),
      {
        exchanged: (_id, association, endpoint) => void this.begun.push({ association, endpoint }),
        dropped: () => {},
        failed: () => {},
        warn: () => {}
      },
      () => this.now,
      {
        exchange: async () => {
          this.asked.push(this.now)
          return answer()
        },
        resolve: async () => addresses
      }
    )
  }

  /** A poll that lacks keys. */
  async need(): Promise<void> {
    this.exchanges.need(source)
    await new Promise((done) => setImmediate(done))
  }

  get last() {
    return this.begun.at(-1)!
  }

  /** A request is answered with a NAK; whether it was understood as one. */
  refuse(): boolean {
    const { association } = this.last
    const transmit = 0x1122334455667788n
    const header = {
      leap: 0,
      version: 4,
      mode: Mode.client,
      stratum: 0,
      poll: 0,
      precision: 0,
      rootDelay: 0,
      rootDispersion: 0,
      referenceId: 0,
      reference: 0n,
      origin: 0n,
      receive: 0n,
      transmit
    } as unknown as Parameters<typeof encodeHeader>[0]
    const request = association.request(encodeHeader(header), (bytes) => void bytes.fill(7))!
    const kiss = encodeHeader({
      ...header,
      leap: 3,
      mode: Mode.server,
      referenceId: KISS_NTSN,
      origin: transmit as never
    })
    // The unique identifier comes first.
    const nak = new Uint8Array(48 + 36)
    nak.set(kiss)
    nak.set(request.subarray(48, 84), 48)
    return association.accept(nak)._tag === "Nak"
  }
}

describe("key exchanges", () => {
  it("come ever more rarely until keys were used, though each gives some (RFC 8915 §4.2)", async () => {
    const rig = new Rig(() => keysOf())
    for (rig.now = 0; rig.now < 20_000; rig.now += 1) await rig.need()
    const pauses = rig.asked.slice(1).map((at, index) => at - rig.asked[index]!)
    expect(pauses).toEqual([8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 4096, 4096])
    rig.exchanges.used(source.id)
    const last = rig.asked.length
    for (const end = rig.now + 40; rig.now < end; rig.now += 1) await rig.need()
    expect(rig.asked.slice(last + 1).map((at, index) => at - rig.asked[last + index]!)).toEqual([8, 16])
  })

  it("turn to the other exporter context after a NAK that is the only answer, without asking again", async () => {
    const rig = new Rig(() => keysOf({ otherwise: { c2s: filled(3, 16), s2c: filled(4, 16) } }))
    await rig.need()
    expect(rig.last.association.session().c2s).toEqual(filled(1, 16))
    expect(rig.refuse()).toBe(true)
    await rig.need()
    expect(rig.asked).toHaveLength(1)
    expect(rig.last.association.session()).toMatchObject({ c2s: filled(3, 16), s2c: filled(4, 16) })
    expect(rig.last.association.cookies).toBe(7)
    // Refused with those too: keys are asked for, and the pair that this server is known for is tried first.
    expect(rig.refuse()).toBe(true)
    await rig.need()
    expect(rig.asked).toHaveLength(1)
    rig.now = 10
    await rig.need()
    expect(rig.asked).toHaveLength(2)
    expect(rig.last.association.session().c2s).toEqual(filled(3, 16))
  })

  it("keep to the context that was accepted once", async () => {
    const rig = new Rig(() => keysOf({ otherwise: { c2s: filled(3, 16), s2c: filled(4, 16) } }))
    await rig.need()
    rig.exchanges.used(source.id)
    expect(rig.refuse()).toBe(true)
    rig.now = 10
    await rig.need()
    expect(rig.asked).toHaveLength(2)
    expect(rig.last.association.session().c2s).toEqual(filled(1, 16))
  })

  it("lead to the addresses of the name that the server gave, those of the exchange's family first, each in its turn", async () => {
    const rig = new Rig(() => keysOf({ host: "ntp.example", port: 1123 }), ["2001:db8::1", "192.0.2.7", "192.0.2.8"])
    await rig.need()
    for (let turn = 0; turn < 3; turn += 1) rig.exchanges.turnToOtherAddress(source.id)
    expect(rig.begun.map(({ endpoint }) => endpoint)).toEqual([
      { address: "192.0.2.7", port: 1123 },
      { address: "192.0.2.8", port: 1123 },
      { address: "2001:db8::1", port: 1123 },
      { address: "192.0.2.7", port: 1123 }
    ])
    expect(new Set(rig.begun.map(({ association }) => association)).size).toBe(1)
  })

  it("stay at the one address of a server that names no other", async () => {
    const rig = new Rig(() => keysOf())
    await rig.need()
    rig.exchanges.turnToOtherAddress(source.id)
    expect(rig.begun).toHaveLength(1)
  })
})
