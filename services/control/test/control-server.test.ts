/** Who gets what from mode 6: strangers nothing, anybody here the picture, the control key what changes something. */
import { KeyTable, SymmetricKey } from "@meridian/auth/key-table"
import { macAlgorithms } from "@meridian/auth/mac-algorithms"
import { nodeDigests } from "@meridian/ciphers/digests"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { encodeAccessPlan } from "@meridian/ipc/access-plan"
import { AccessFlag } from "@meridian/protocol/access/access-flags"
import { type AccessRule, compileAccess } from "@meridian/protocol/access/access-list"
import { ControlError, ControlOperation, decodeControlReply } from "@meridian/wire/mode6"
import { parseControlItems } from "@meridian/wire/mode6-text"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { queryAccess } from "../src/access.ts"
import { ControlServer } from "../src/mode6/control-server.ts"
import { systemVariables } from "../src/mode6/system-variables.ts"
import { Outcomes } from "../src/outcomes.ts"
import { clientsOf, snapshotOf } from "./snapshots.ts"

const key = new SymmetricKey(5, macAlgorithms.SHA1, new TextEncoder().encode("controlling-key"))
const other = new SymmetricKey(1, macAlgorithms.MD5, new TextEncoder().encode("plain-ascii-key"))

/** As a node has it without any line about access, on a machine with two addresses besides loopback. */
const rule = (bytes: readonly number[], length: number, flags = 0): AccessRule => {
  const all = [...bytes, ...Array.from({ length: (bytes.length > 4 ? 16 : 4) - bytes.length }, () => 0)]
  return { family: all.length === 4 ? 4 : 6, bytes: all, length, ntpPort: false, flags }
}
const ZEROS = Array.from({ length: 15 }, () => 0)
const layer = compileAccess([
  rule([0, 0, 0, 0], 0, AccessFlag.noquery),
  rule([...ZEROS, 0], 0, AccessFlag.noquery),
  rule([127, 0, 0, 0], 8),
  rule([...ZEROS, 1], 128),
  rule([198, 51, 100, 7], 32),
  rule([0x20, 0x01, 0x0d, 0xb8, ...ZEROS.slice(4), 7], 128)
])
const access = encodeAccessPlan({
  layers: [layer],
  limit: { law: "score", average: 1, burst: 20, kod: 0.5 },
  manners: { limited: false, kod: false, queriesOfAnyVersion: false },
  clients: null
})
const shown = [{ address: "0.0.0.0", length: 0, ntpPort: false, flags: AccessFlag.noquery | AccessFlag.nomodify }]

const serverOf = (snapshot: NodeSnapshot = snapshotOf({}), changes: { seconds?: () => number } = {}) => {
  const outcomes = new Outcomes()
  const configured: string[] = []
  const server = new ControlServer({
    digests: nodeDigests(),
    outcomes,
    monotonic: changes.seconds ?? (() => 100),
    now: () => 1_800_000_000.5,
    kernel: () => undefined,
    act: (act) => {
      configured.push(act.name === "configure" ? act.arguments.text : act.arguments.name)
      return Promise.resolve("Config Succeeded")
    }
  })
  server.useKeys(KeyTable.of([key, other]).withTrusted([{ first: 1, last: 10 }]))
  server.useControlKey(5)
  server.useAccess(queryAccess({ access, rules: shown }))
  server.useSnapshot(snapshot)
  return { server, outcomes, configured }
}

const request = (operation: number, data = "", association = 0): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(12 + Math.ceil(data.length / 4) * 4)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, 0x16)
  view.setUint8(1, operation)
  view.setUint16(2, 1)
  view.setUint16(6, association)
  view.setUint16(10, data.length)
  bytes.set(new TextEncoder().encode(data), 12)
  return bytes
}

/** @param unit octets to which what the MAC covers is padded */
const signed = (packet: Uint8Array, by: SymmetricKey, unit: 4 | 8): Uint8Array => {
  const length = Math.ceil(packet.length / unit) * unit
  const bytes = new Uint8Array(length + 4 + by.algorithm.digestBytes)
  bytes.set(packet)
  new DataView(bytes.buffer).setUint32(length, by.id)
  const digest = new Uint8Array(64)
  nodeDigests().digest(by.algorithm.name, by.secret, bytes, 0, length, digest)
  bytes.set(digest.subarray(0, by.algorithm.digestBytes), length + 4)
  return bytes
}

const ask = (server: ControlServer, packet: Uint8Array, address = "127.0.0.1"): readonly Uint8Array[] => {
  const replies: Uint8Array[] = []
  server.receive(packet, address, 45_678, (reply) => void replies.push(reply.slice()))
  return replies
}

const errorOf = (replies: readonly Uint8Array[]): number | undefined => {
  const reply = decodeControlReply(replies[0] ?? new Uint8Array(0))
  return reply?.isError === true ? reply.status >> 8 : undefined
}

const itemsOf = (replies: readonly Uint8Array[]): ReadonlyMap<string, string> => {
  const data = replies.flatMap((packet) => [...(decodeControlReply(packet)?.data ?? [])])
  return new Map(parseControlItems(Uint8Array.from(data))?.map(({ name, value }) => [name, value ?? ""]))
}

describe("access", () => {
  it("answers this host alone", () => {
    const { server, outcomes } = serverOf()
    const own = ["198.51.100.7", "::ffff:198.51.100.7", "2001:db8::7"]
    for (const address of ["127.0.0.1", "127.9.9.9", "::1", ...own])
      expect(ask(server, request(ControlOperation.readVariables), address)).not.toEqual([])
    for (const address of ["192.0.2.1", "2001:db8::1", "fe80::1%2", "::ffff:192.0.2.1"])
      expect(ask(server, request(ControlOperation.readVariables), address)).toEqual([])
    expect(outcomes.all).toMatchObject({ "mode6-restricted": 4, "mode6-answered": 6 })
  })

  it("limits how often one address is answered, and answers again after a while", () => {
    let now = 100
    const { server, outcomes } = serverOf(snapshotOf({}), { seconds: () => now })
    for (let count = 0; count < 2_000; count += 1) ask(server, request(ControlOperation.requestNonce))
    expect(outcomes.all["mode6-answered"]).toBe(500)
    now += 1
    expect(ask(server, request(ControlOperation.requestNonce))).toHaveLength(1)
  })

  it("refuses what changes something to everybody without the control key", () => {
    const { server, configured } = serverOf()
    const { writeVariables, configure, saveConfiguration, readOrderedList, writeClock } = ControlOperation
    for (const operation of [writeVariables, configure, saveConfiguration, readOrderedList, writeClock]) {
      const packet = request(operation, "leap=1")
      expect(errorOf(ask(server, packet))).toBe(ControlError.permission)
      expect(errorOf(ask(server, signed(packet, other, 8)))).toBe(ControlError.permission)
      const broken = signed(packet, key, 8)
      broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1
      expect(errorOf(ask(server, broken))).toBe(ControlError.permission)
    }
    expect(configured).toEqual([])
  })

  it.each([4, 8] as const)("takes the control key at a padding of %i and signs every packet of the answer", (unit) => {
    const { server } = serverOf(snapshotOf({ clients: null }))
    const replies = ask(server, signed(request(ControlOperation.readOrderedList, "addr_restrictions"), key, unit))
    expect(itemsOf(replies).get("flags.0")).toBe("noquery nomodify")
    for (const reply of replies) {
      const end = 12 + Math.ceil((decodeControlReply(reply)?.data.length ?? 0) / 4) * 4
      expect(reply).toEqual(signed(reply.subarray(0, end), key, 4))
    }
  })

  it("hands configuration on and says what came of it", async () => {
    const { server, configured } = serverOf()
    const packet = signed(request(ControlOperation.configure, "tos minclock 2"), key, 8)
    const reply = await new Promise<Uint8Array>((done) => server.receive(packet, "127.0.0.1", 45_678, done))
    expect(configured).toEqual(["tos minclock 2"])
    expect(Buffer.from(decodeControlReply(reply)?.data ?? []).toString()).toBe("Config Succeeded\r\n")
  })
})

describe("variables", () => {
  it("every one that is known has a value or is left out, and none holds a line break", () => {
    const { server } = serverOf()
    for (const name of Object.keys(systemVariables)) {
      const replies = ask(server, request(ControlOperation.readVariables, name))
      expect([name, errorOf(replies)]).toEqual([name, undefined])
    }
  })

  it("of Autokey are classic ntpd's: each certificate with its end, whatever the number of them", () => {
    const certificate = { issuer: "alice", flags: 1, until: 1_827_522_180 }
    const { server } = serverOf(
      snapshotOf({
        autokey: {
          host: "alice",
          group: null,
          flags: 0x8_0021,
          digest: "md5",
          signature: "md5WithRSAEncryption",
          certificates: [
            { ...certificate, subject: "bob", flags: 4 },
            { ...certificate, subject: "alice" }
          ]
        }
      })
    )
    const text = (names: string): string => {
      const [reply] = ask(server, request(ControlOperation.readVariables, names))
      return Buffer.from(decodeControlReply(reply ?? new Uint8Array(0))?.data ?? []).toString()
    }
    expect(text("cert").replaceAll(/\s+/g, " ")).toBe(
      'cert="bob alice 0x4", until=202711292103, cert="alice alice 0x1", until=202711292103 '
    )
    expect(text("host,flags,digest")).toBe('host="alice", flags=0x80021, digest="md5"\r\n')
  })

  it("of another name fail the whole request, as ntpq expects", () => {
    const { server } = serverOf()
    expect(errorOf(ask(server, request(ControlOperation.readVariables, "leap,nonsuch")))).toBe(
      ControlError.unknownVariable
    )
    expect(errorOf(ask(server, request(ControlOperation.readVariables, "", 4711)))).toBe(ControlError.badAssociation)
    expect(errorOf(ask(server, request(9, "")))).toBe(ControlError.permission)
    expect(errorOf(ask(server, request(13, "")))).toBe(ControlError.badOperation)
  })
})

describe("the client list", () => {
  const snapshot = snapshotOf({ clients: clientsOf(300) })

  it("is given to nobody who has not shown that packets reach it", () => {
    const { server } = serverOf(snapshot)
    for (const data of ["frags=32", "nonce=, frags=32", `nonce=${"0".repeat(24)}, frags=32`, "nonce=x"])
      expect(ask(server, request(ControlOperation.readMru, data))).toEqual([])
  })

  it("is given whole, oldest first, in pages that follow on each other", () => {
    const { server } = serverOf(snapshot)
    const nonceOf = (items: ReadonlyMap<string, string>): string => items.get("nonce") ?? ""
    let items = itemsOf(ask(server, request(ControlOperation.requestNonce)))
    const seen: string[] = []
    let more = ""
    for (let page = 0; page < 50 && !items.has("now"); page += 1) {
      const replies = ask(server, request(ControlOperation.readMru, `nonce=${nonceOf(items)}, frags=8${more}`))
      expect(replies.length).toBeLessThanOrEqual(8)
      items = itemsOf(replies)
      const indices = [...items.keys()].filter((name) => /^addr\.\d+$/.test(name)).map((name) => name.slice(5))
      seen.push(...indices.map((index) => items.get(`addr.${index}`) ?? ""))
      const last = indices.at(-1)
      if (last !== undefined) more = `, addr.0=${items.get(`addr.${last}`)}, last.0=${items.get(`last.${last}`)}`
    }
    expect(new Set(seen).size).toBe(300)
    expect(seen).toHaveLength(300)
    expect(seen[0]).toBe(`[2001:db8::12b]:123`)
  })

  it("refuses more than it gives at once, and a start that it does not know", () => {
    const { server } = serverOf(snapshot)
    const nonce = itemsOf(ask(server, request(ControlOperation.requestNonce))).get("nonce")
    const tell = (rest: string) => errorOf(ask(server, request(ControlOperation.readMru, `nonce=${nonce}, ${rest}`)))
    expect(tell("frags=129")).toBe(ControlError.badValue)
    expect(tell("limit=257")).toBe(ControlError.badValue)
    expect(tell("frags=2, addr.0=192.0.2.99:1, last.0=0x1.2")).toBe(ControlError.unknownVariable)
  })

  it("takes a nonce from no other address and not for long", () => {
    let now = 100
    const { server } = serverOf(snapshot, { seconds: () => now })
    const nonce = itemsOf(ask(server, request(ControlOperation.requestNonce))).get("nonce")
    const page = request(ControlOperation.readMru, `nonce=${nonce}, frags=1`)
    expect(ask(server, page, "127.0.0.2")).toEqual([])
    expect(ask(server, page)).toHaveLength(1)
    now += 17
    expect(ask(server, page)).toEqual([])
  })
})

it("survives whatever is sent, with answers of bounded length", () => {
  const { server } = serverOf(snapshotOf({ clients: clientsOf(50) }), { seconds: () => Math.random() * 1e6 })
  const packets = fc.oneof(
    fc.uint8Array({ maxLength: 600 }),
    fc
      .tuple(fc.integer({ min: 0, max: 31 }), fc.string({ maxLength: 100 }), fc.integer({ min: 0, max: 9 }))
      .map(([operation, data, association]) => request(operation, data.replace(/[^ -~]/g, "x"), association))
  )
  fc.assert(
    fc.property(packets, (packet) => {
      const replies = ask(server, packet)
      expect(replies.length).toBeLessThanOrEqual(140)
      for (const reply of replies) expect(reply.length).toBeLessThanOrEqual(480)
    }),
    { numRuns: 500 }
  )
})
