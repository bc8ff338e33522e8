/** The client of key establishment against servers that do not let go, and trust roots that are none. */
import { execFileSync } from "node:child_process"
import { once } from "node:events"
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createServer, type Server, type TLSSocket } from "node:tls"
import { makeCertificate } from "@meridian/testkit/certificates"
import { type ExchangedKeys, exchangeKeys } from "@meridian/tls/nts-key-exchange"
import { encodeRecords, endOfMessage, numbersBody, record, RecordType } from "@meridian/wire/nts-ke"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"

const folder = mkdtempSync(join(tmpdir(), "meridian-key-exchange-"))
const file = (name: string): string => join(folder, name)
const [key, certificate] = [file("key.pem"), file("certificate.pem")]

beforeAll(() => makeCertificate({ key, certificate, names: "DNS:localhost" }))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const reply = encodeRecords([
  record(RecordType.nextProtocol, true, numbersBody([0])),
  record(RecordType.aead, true, numbersBody([15])),
  record(RecordType.newCookie, false, new Uint8Array(100)),
  endOfMessage
])

let server: Server | undefined
afterEach(() => server?.close())

/** A server that does this once a request is there; it never closes by itself. */
const listening = async (answer: (socket: TLSSocket) => void): Promise<number> => {
  const identity = { cert: readFileSync(certificate), key: readFileSync(key) }
  const options = { ...identity, ALPNProtocols: ["ntske/1"], allowHalfOpen: true }
  server = createServer(options, (socket) => {
    socket.on("error", () => {})
    socket.once("data", () => answer(socket))
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}

const exchange = (port: number, ca = certificate): Promise<ExchangedKeys> =>
  exchangeKeys({ name: "localhost", address: "127.0.0.1", port, ca, insecure: false, aeads: undefined })

describe("a server that has answered", () => {
  it.each([
    ["goes on sending for ever", () => new Uint8Array(16_000)],
    ["repeats its answer for ever", () => reply]
  ])("and %s is left", async (_what, more) => {
    const left = Promise.withResolvers<void>()
    const port = await listening((socket) => {
      socket.once("close", () => left.resolve())
      const send = (): void => {
        if (socket.writable) socket.write(more(), () => setTimeout(send, 1))
      }
      socket.write(reply)
      send()
    })
    const { aead, cookies } = await exchange(port)
    expect([aead.id, cookies.length]).toEqual([15, 1])
    await left.promise
  })

  it("and never closes is left too", async () => {
    const left = Promise.withResolvers<void>()
    const port = await listening((socket) => {
      socket.write(reply)
      // Half of the connection is closed by then; a write into what is gone altogether has it end.
      socket.once("close", () => left.resolve())
      socket.once("end", () => {
        const poke = setInterval(() => socket.write("x"), 10)
        socket.once("close", () => clearInterval(poke))
      })
    })
    expect((await exchange(port)).cookies).toHaveLength(1)
    await left.promise
  })
})

describe("keys for AEAD 30", () => {
  const agreed = (isSaid: boolean) =>
    encodeRecords([
      record(RecordType.nextProtocol, true, numbersBody([0])),
      record(RecordType.aead, true, numbersBody([30])),
      ...(isSaid ? [record(RecordType.compliantGcmSivExporter, false)] : []),
      record(RecordType.newCookie, false, new Uint8Array(100)),
      endOfMessage
    ])
  const exported = (socket: TLSSocket, aead: number, direction: 0 | 1): Uint8Array =>
    new Uint8Array(
      socket.exportKeyingMaterial(16, "EXPORTER-network-time-security", Buffer.from([0, 0, 0, aead, direction]))
    )

  it("are by chrony's context, with the RFC's at hand, where the server does not say which it has", async () => {
    let theirs: Uint8Array[] = []
    const port = await listening((socket) => {
      theirs = [exported(socket, 15, 0), exported(socket, 15, 1), exported(socket, 30, 0), exported(socket, 30, 1)]
      socket.end(agreed(false))
    })
    const { c2s, s2c, otherwise } = await exchange(port)
    expect([c2s, s2c, otherwise?.c2s, otherwise?.s2c]).toEqual(theirs)
  })

  it("are the RFC's alone where it says so", async () => {
    let theirs: Uint8Array[] = []
    const port = await listening((socket) => {
      theirs = [exported(socket, 30, 0), exported(socket, 30, 1)]
      socket.end(agreed(true))
    })
    const { c2s, s2c, otherwise } = await exchange(port)
    expect([c2s, s2c]).toEqual(theirs)
    expect(otherwise).toBeUndefined()
  })
})

describe("trust roots", () => {
  it("are those of a folder that can be read; links to nowhere, folders and pipes are passed over", async () => {
    const port = await listening((socket) => socket.end(reply))
    const roots = file("roots")
    mkdirSync(join(roots, "folder.pem"), { recursive: true })
    symlinkSync("nowhere", join(roots, "gone.pem"))
    symlinkSync("loop.crt", join(roots, "loop.crt"))
    execFileSync("mkfifo", [join(roots, "pipe.pem")])
    copyFileSync(certificate, join(roots, "ours.0"))
    expect((await exchange(port, roots)).cookies).toHaveLength(1)
  })

  it.each([
    ["a folder without any", () => mkdirSync(file("none")), "none", /no certificate in PEM/],
    ["a pipe that nobody writes to", () => execFileSync("mkfifo", [file("pipe")]), "pipe", /a pipe, socket or device/],
    ["a link to itself", () => symlinkSync("loop", file("loop")), "loop", /links that lead to each other/],
    ["a file of zeros", () => writeFileSync(file("zeros"), new Uint8Array(100)), "zeros", /no certificate in PEM/],
    ["a file longer than any", () => writeFileSync(file("long"), new Uint8Array(17 << 20)), "long", /more than/]
  ])("that are %s are refused before anything is sent", async (_what, make, name, why) => {
    make()
    await expect(exchange(1, file(name))).rejects.toMatchObject({
      _tag: "KeyExchangeFailed",
      reason: "ca",
      message: expect.stringMatching(why)
    })
  })
})
