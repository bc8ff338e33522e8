/** The short way of deliveries comes to what the client's parser alone comes to, however the bytes are cut and damaged. */
import { Kind, Parser, type ParserEvent } from "@nats-io/nats-core/internal"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readDelivery } from "../src/delivery.ts"
import { shortcut, type Taker, textOf } from "../src/delivery-frames.ts"

const OURS = [3, 12]

/** What comes of some chunks, in order, the short way's deliveries and the client's own alike. */
interface Outcome {
  readonly seen: ReadonlyArray<unknown>
  readonly failed: boolean
  /** Deliveries that came the short way. */
  readonly short: number
}

const outcomeOf = (chunks: ReadonlyArray<Uint8Array>, isShort: boolean): Outcome => {
  const seen: Array<unknown> = []
  let short = 0
  const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("latin1")
  const client = new Parser({
    push: ({ kind, msg, data }: ParserEvent) => {
      if (kind !== Kind.MSG || msg === undefined) return void seen.push([kind, text(data)])
      const { sid, subject, reply, hdr } = msg
      const delivery = OURS.includes(sid) && reply !== undefined ? readDelivery(reply) : undefined
      const bytes = Buffer.from(data ?? [])
      if (delivery === undefined) seen.push([sid, text(subject), text(reply), hdr, text(bytes)])
      else seen.push([sid, delivery, Buffer.from(subject).toString(), textOf(bytes, Math.max(0, hdr))])
    }
  })
  const takers = OURS.map((sid): [number, Taker] => [
    sid,
    {
      sid,
      take: (delivery, subject, body) => {
        short += 1
        seen.push([sid, delivery, subject, body])
      }
    }
  ])
  const parse = isShort ? shortcut(client, new Map(takers)) : client.parse.bind(client)
  try {
    for (const chunk of chunks) parse(chunk)
  } catch {
    return { seen, failed: true, short }
  }
  return { seen, failed: false, short }
}

const subject = fc.constantFrom("log.clock.node-a", "log.clock.node-b", "log.policy", "log.ü", "_INBOX.abc")
const reply = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(fc.nat(), fc.nat(), fc.nat()).map(([a, b, c]) => `$JS.ACK.LOG.c.1.${a}.${b}.17.${c} `)
  },
  fc.constantFrom("", "$JS.FC.LOG.c.x ", "$JS.ACK.d.h.LOG.c.1.5.6.17.8.x ", "_INBOX.me ")
)
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((it) => Buffer.from(it)),
  fc.constantFrom("", "[]", "\r\n", "MSG a 3 2\r\nhi\r\n", "﻿[1]", "ü".repeat(9)).map((it) => Buffer.from(it))
)
const headers = fc.constantFrom(
  "NATS/1.0\r\n\r\n",
  "NATS/1.0\r\nNats-Msg-Id: a:1\r\n\r\n",
  "NATS/1.0 100 Idle Heartbeat\r\n\r\n"
)
const sid = fc.constantFrom(3, 12, 4)
const message = fc
  .tuple(subject, sid, reply, fc.option(headers, { nil: undefined }), payload)
  .map(([to, id, back, head, body]) => {
    const sizes = head === undefined ? `${body.length}` : `${head.length} ${head.length + body.length}`
    const line = `${head === undefined ? "" : "H"}MSG ${to} ${id} ${back}${sizes}\r\n`
    return Buffer.concat([Buffer.from(line), Buffer.from(head ?? ""), body, Buffer.from("\r\n")])
  })
const other = fc
  .constantFrom("PING\r\n", "PONG\r\n", "+OK\r\n", "-ERR 'no'\r\n", `INFO {"a":1}\r\n`, "msg a 3  2\r\nhi\r\n")
  .map((it) => Buffer.from(it))
const operations = fc.array(fc.oneof({ weight: 5, arbitrary: message }, other), { maxLength: 12 })

const cutAt = (bytes: Buffer, places: ReadonlyArray<number>): ReadonlyArray<Buffer> => {
  const sorted = [0, ...places.map((it) => it % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b)
  return sorted.slice(1).map((end, index) => Buffer.from(bytes.subarray(sorted[index], end)))
}

describe("the short way of deliveries", () => {
  it("hands on what the client would, in its order, however the bytes are cut", () => {
    let short = 0
    fc.assert(
      fc.property(operations, fc.array(fc.nat(), { maxLength: 6 }), (all, places) => {
        const chunks = cutAt(Buffer.concat(all), places)
        const found = outcomeOf(chunks, true)
        short += found.short
        expect(found).toEqual({ ...outcomeOf(chunks, false), short: found.short })
        expect(found.failed).toBe(false)
      }),
      { numRuns: 500 }
    )
    expect(short).toBeGreaterThan(300)
  })

  it("takes every whole delivery", () => {
    const one = (seq: number) => `HMSG log.policy 3 $JS.ACK.LOG.c.1.${seq}.${seq}.17.0 12 14\r\nNATS/1.0\r\n\r\n[]\r\n`
    const bytes = Buffer.from(Array.from({ length: 50 }, (_, index) => one(index + 1)).join(""))
    expect(outcomeOf([bytes], true).short).toBe(50)
    expect(outcomeOf(cutAt(bytes, [700]), true)).toMatchObject({ short: 49, failed: false })
  })

  it("leaves damaged bytes to the client, and what follows them", () => {
    fc.assert(
      fc.property(
        operations,
        fc.array(fc.nat(), { maxLength: 3 }),
        fc.array(fc.tuple(fc.nat(), fc.oneof(fc.nat(255), fc.constantFrom(10, 13, 32, 48, 57, 72, 77))), {
          minLength: 1,
          maxLength: 3
        }),
        (all, places, damage) => {
          const bytes = Buffer.concat(all)
          for (const [at, value] of damage) if (bytes.length > 0) bytes[at % bytes.length] = value
          const chunks = cutAt(bytes, places)
          const found = outcomeOf(chunks, true)
          expect(found).toEqual({ ...outcomeOf(chunks, false), short: found.short })
        }
      ),
      { numRuns: 1_500 }
    )
  })

  it("reads text as TextDecoder does", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.boolean(), (bytes, marked) => {
        const whole = Buffer.concat([Buffer.from(marked ? [0xef, 0xbb, 0xbf] : []), bytes])
        expect(textOf(whole)).toBe(new TextDecoder().decode(whole))
      })
    )
  })
})
