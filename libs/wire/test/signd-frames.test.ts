import { readFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { asksForPrevious, msSntpRequestLength, ridOf } from "@meridian/wire/ms-sntp"
import {
  FrameReader,
  readSignRequest,
  readSigndAnswer,
  signdAnswer,
  SigndOperation,
  SIGNED_BYTES,
  writeSignRequest
} from "@meridian/wire/signd-frames"

/** A refusal: an answer's header and nothing behind it. */
const REFUSED_BYTES = 12

interface Recording {
  readonly packets: ReadonlyArray<{ readonly dir: string; readonly hex: string }>
  readonly signd_frames: ReadonlyArray<{ readonly dir: string; readonly hex: string }>
}

const recorded = (name: string): Recording =>
  JSON.parse(readFileSync(join(import.meta.dirname, "fixtures", `mssntp-${name}.json`), "utf8")) as Recording
const recordings = [recorded("chronyd"), recorded("classic-ntpd")]
const bytesOf = (hex: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(hex, "hex"))
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
const framesOf = (direction: string): readonly Uint8Array<ArrayBuffer>[] =>
  recordings.flatMap(({ signd_frames }) =>
    signd_frames.filter(({ dir }) => dir === direction).map((f) => bytesOf(f.hex))
  )

/** The frames of a stream that comes in pieces of the given lengths, over and over. */
const cut = (stream: Uint8Array, pieces: readonly number[], longest = SIGNED_BYTES) => {
  const reader = new FrameReader(longest)
  const frames: Uint8Array[] = []
  let good = true
  for (let at = 0, piece = 0; at < stream.length; piece += 1) {
    const size = pieces[piece % pieces.length]!
    good = reader.push(stream.subarray(at, at + size), (frame) => void frames.push(frame.slice()))
    at += size
  }
  return { frames, good, isInFrame: reader.isInFrame }
}

describe("frames to Samba, as recorded", () => {
  it("are written as chronyd writes them", () => {
    for (const frame of recordings[0]!.signd_frames
      .filter(({ dir }) => dir === "ntpd->signd")
      .map((f) => bytesOf(f.hex))) {
      const { packetId, packet, keyId, version, operation } = readSignRequest(frame.subarray(4))!
      expect([version, operation, packet.length]).toEqual([0, SigndOperation.signToClient, 48])
      const reply = new Uint8Array(68)
      reply.set(packet)
      viewOf(reply).setUint32(48, keyId, true)
      const written = new Uint8Array(128)
      expect(written.slice(0, writeSignRequest(viewOf(written), packetId, reply, 0))).toEqual(frame)
    }
  })

  it("name accounts and which of their passwords", () => {
    const asked = framesOf("ntpd->signd").map((frame) => readSignRequest(frame.subarray(4))!.keyId)
    expect(new Set(asked.map(ridOf))).toEqual(new Set([1103, 1104, 9999]))
    expect(asked.filter(asksForPrevious).map(ridOf)).toEqual([1103, 1103])
  })

  it("are answered with the reply to send, or refused", () => {
    const answers = framesOf("signd->ntpd").map((frame) => readSigndAnswer(frame.subarray(4)))
    const replies = recordings.flatMap(({ packets }) =>
      packets.filter(({ dir, hex }) => dir === "s2c" && hex.length === 136)
    )
    expect(answers.map(({ kind }) => kind).filter((kind) => kind === "refused")).toHaveLength(2)
    const signed = answers.flatMap((answer) =>
      answer.kind === "signed" ? [Buffer.from(answer.packet).toString("hex")] : []
    )
    expect(replies.every(({ hex }) => signed.includes(hex))).toBe(true)
    expect(replies).toHaveLength(8)
  })

  it("are answered as Samba's answers are written", () => {
    for (const frame of framesOf("signd->ntpd")) {
      const answer = readSigndAnswer(frame.subarray(4))
      if (answer.kind === "malformed") throw new Error("malformed")
      expect(signdAnswer(answer.packetId, answer.kind === "signed" ? answer.packet : undefined)).toEqual(frame)
    }
  })
})

describe("a stream of frames", () => {
  const stream = Buffer.concat(framesOf("signd->ntpd"))
  const whole = framesOf("signd->ntpd").map((frame) => Buffer.from(frame.subarray(4)).toString("hex"))

  it("is the same frames in pieces of any length", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 }), (pieces) => {
        const { frames, good, isInFrame } = cut(stream, pieces)
        expect(frames.map((frame) => Buffer.from(frame).toString("hex"))).toEqual(whole)
        expect([good, isInFrame]).toEqual([true, false])
      })
    )
  })

  it("knows that a frame has begun", () => {
    for (const length of [1, 4, 40, 83]) expect(cut(stream.subarray(0, length), [7]).isInFrame).toBe(true)
  })

  it("is not believed after a frame that is too long", () => {
    const long = Buffer.concat([stream, Buffer.from("00000051", "hex"), stream])
    for (const pieces of [[long.length], [1], [5, 90]]) {
      const { frames, good } = cut(long, pieces)
      expect(good).toBe(false)
      expect(frames).toHaveLength(whole.length)
    }
  })

  it("gives empty frames as such", () =>
    expect(cut(new Uint8Array(8), [3]).frames.map((f) => f.length)).toEqual([0, 0]))

  it("of anything gives frames that can all be read, and never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.integer({ min: 1, max: 50 }), (bytes, piece) => {
        for (const frame of cut(bytes, [piece]).frames) {
          expect(frame.length).toBeLessThanOrEqual(SIGNED_BYTES)
          expect(["signed", "refused", "malformed"]).toContain(readSigndAnswer(frame).kind)
          const request = readSignRequest(frame)
          expect(request === undefined).toBe(frame.length < 16)
          expect(request?.packet.length ?? frame.length).toBeLessThanOrEqual(frame.length)
        }
      })
    )
  })
})

describe("answers that make no sense", () => {
  const good = signdAnswer(7, new Uint8Array(68)).subarray(4)
  it.each([
    ["cut", good.subarray(0, SIGNED_BYTES - 1)],
    ["with an octet too many", Uint8Array.of(...good, 0)],
    ["of another version", good.with(3, 1)],
    ["of another operation", good.with(7, 2)],
    ["a signed one without a packet", good.subarray(0, REFUSED_BYTES)],
    ["empty", new Uint8Array(0)]
  ])("%s are malformed", (_name, frame) => expect(readSigndAnswer(frame)).toEqual({ kind: "malformed" }))
})

describe("requests of Windows clients", () => {
  const request = (change: Readonly<Record<number, number>> = {}, length = 68): DataView => {
    const bytes = new Uint8Array(length + 8)
    bytes[8] = 0xdb
    bytes[8 + 48] = 0x4f
    bytes[8 + 49] = 0x04
    if (length === 120) bytes[8 + 54] = 1
    for (const [at, value] of Object.entries(change)) bytes[8 + Number(at)] = value
    return viewOf(bytes)
  }

  it("are those of the recordings, but for the one with a wrong MAC", () => {
    const asked = recordings.flatMap(({ packets }) =>
      packets.filter(({ dir }) => dir === "c2s").map((p) => bytesOf(p.hex))
    )
    const known = asked.map((packet) => msSntpRequestLength(viewOf(packet), 0, packet.length))
    expect(known).toEqual([68, 68, 68, 68, 0, 68, 120, 68, 68, 68, 68, 68, 0, 68, 120])
  })

  it.each([
    ["version 3, mode 3", {}, 68, 68],
    ["version 4, mode 1", { 0: 0x21 }, 68, 68],
    ["an account with a high number", { 48: 0xff, 49: 0xff, 50: 0xff, 51: 0x7f }, 68, 68],
    ["the previous password", { 51: 0x80 }, 68, 68],
    ["extended", {}, 120, 120],
    ["extended, reserved and hash id set", { 52: 9, 55: 7, 53: 1 }, 120, 120],
    ["version 2", { 0: 0xd3 }, 68, 0],
    ["version 5", { 0: 0xeb }, 68, 0],
    ["mode 2", { 0: 0xda }, 68, 0],
    ["mode 4", { 0: 0xdc }, 68, 0],
    ["mode 6", { 0: 0xde }, 68, 0],
    ["no account", { 48: 0, 49: 0 }, 68, 0],
    ["no account, previous password", { 48: 0, 49: 0, 51: 0x80 }, 68, 0],
    ["a digest's first octet", { 52: 1 }, 68, 0],
    ["a digest's last octet", { 67: 1 }, 68, 0],
    ["72 octets", {}, 72, 0],
    ["48 octets", {}, 48, 0],
    ["extended without the one hash there is", { 54: 0xfe }, 120, 0],
    ["extended with a checksum", { 119: 1 }, 120, 0]
  ] as const)("%s", (_name, change, length, expected) =>
    expect(msSntpRequestLength(request(change, length), 8, length)).toBe(expected)
  )
})
