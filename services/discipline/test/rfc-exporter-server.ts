/**
 * An NTS server that goes by RFC 8915 alone: with AEAD 30 its keys are exported with the context of AEAD 30, and of the record 1024 by
 * which chrony 4.6.1 and later agree on that it knows nothing. No packaged server does so, since those that have AEAD 30 (chrony) know
 * the record; the TLS server is Node's, and time is answered by the worker's own code.
 */
import { randomFillSync } from "node:crypto"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import type { AddressInfo } from "node:net"
import { createServer, type TLSSocket } from "node:tls"
import { makeCertificate } from "@meridian/testkit/certificates"
import { COOKIE_NONCE_BYTES, sealCookies } from "@meridian/auth/cookie"
import { KeyRing } from "@meridian/auth/key-ring"
import {
  agreedReply,
  COOKIES_PER_REPLY,
  EXPORTER_LABEL,
  exporterContext,
  negotiate
} from "@meridian/auth/nts-ke-server"
import { NtsServer } from "@meridian/auth/nts-server"
import { AeadId } from "@meridian/auth/aead"
import { aeadProvider } from "@meridian/ciphers/aead"
import { systemClock } from "@meridian/clocks/system-clock"
import type { UpstreamConfiguration } from "@meridian/ipc/discipline-report"
import { NtsAuthenticator } from "@meridian/protocol/nts-authenticator"
import { NtpServer } from "@meridian/protocol"
import { servedMoment } from "@meridian/testkit/served-moment"
import { unsynchronisedCurve } from "@meridian/time/clock-curve"
import { BATCH_CAPACITY, SLOT_BYTES, SLOT_STRIDE } from "@meridian/udp/udp"
import { bindSocket } from "@meridian/udp/udp-open"
import { ALPN, RecordDecoder } from "@meridian/wire/nts-ke"
import type { Folder } from "./running-discipline.ts"

const generation = { id: 1, key: randomFillSync(new Uint8Array(32)), activation: 0, retirement: 4e9, revoked: false }

interface RfcExporterServer {
  readonly address: string
  readonly port: number
  /** How a source is told of it. */
  readonly nts: NonNullable<UpstreamConfiguration["nts"]>
  /** How many exchanges there were, and what became of requests for time, by the outcomes' names. */
  readonly exchanges: () => number
  readonly outcomes: () => Readonly<Record<string, number>>
  readonly stop: () => Promise<void>
}

const certify = (folder: Folder, address: string): { readonly key: string; readonly certificate: string } => {
  const [key, certificate] = [folder.file("rfc.key"), folder.file("rfc.pem")]
  makeCertificate({ key, certificate, names: `IP:${address}` })
  return { key, certificate }
}

/** The reply to a whole request, and no word of record 1024 in it. */
const keysFor = (message: RecordDecoder, socket: TLSSocket, port: number): Uint8Array => {
  const decision = negotiate(message.records, message.trailingBytes, new Set([AeadId.aes128GcmSiv]))
  if (decision._tag !== "Agreed") return decision.reply
  const { aead } = decision
  const key = (direction: "c2s" | "s2c"): Uint8Array => {
    const context = Buffer.from(exporterContext({ aead, compliantExporter: true }, direction))
    return new Uint8Array(socket.exportKeyingMaterial(aead.keyBytes, EXPORTER_LABEL, context))
  }
  const nonces = randomFillSync(new Uint8Array(COOKIES_PER_REPLY * COOKIE_NONCE_BYTES))
  const session = { aead, c2s: key("c2s"), s2c: key("s2c") }
  const cookies = sealCookies(aeadProvider().batch, generation, session, nonces)
  return agreedReply({ ...decision, compliantExporter: false }, cookies, { port })
}

/** Answers requests for time with this machine's clock, at stratum 1; tells each outcome. */
const serveTime = async (address: string, tell: (outcome: string) => void) => {
  const socket = await bindSocket({ address, port: 0, exclusive: true })
  const nts = new NtsServer({
    batch: aeadProvider().batch,
    fillRandom: (bytes) => void randomFillSync(bytes),
    slots: BATCH_CAPACITY
  })
  nts.useRing(KeyRing.of([generation]))
  const server = new NtpServer({ precision: -20, minimumPoll: -128, longestRequest: SLOT_BYTES })
  server.authenticators = [new NtsAuthenticator(nts, true)]
  const clock = systemClock()
  socket.onReadable(() => {
    const count = socket.receive()
    const realtime = { seconds: 0, nanoseconds: 0 }
    clock.wall.read(realtime)
    const monotonic = clock.monotonic.seconds()
    const moment = servedMoment(
      {
        ...unsynchronisedCurve(),
        baseSeconds: realtime.seconds,
        baseNanoseconds: realtime.nanoseconds,
        baseMonotonic: monotonic,
        referenceSeconds: realtime.seconds,
        deadline: monotonic + 1_000,
        leap: 0,
        stratum: 1
      },
      realtime,
      monotonic
    )
    server.beginBatch(socket, moment, realtime.seconds, monotonic)
    const at = (slot: number) => [socket.arrivalSeconds[slot]!, socket.arrivalFractions[slot]!] as const
    const first = Array.from({ length: count }, (_, slot) =>
      server.handle(slot, slot * SLOT_STRIDE, socket.requestLengths[slot]!, ...at(slot))
    )
    for (const [slot, before] of first.entries()) {
      const outcome = before._tag === "Pending" ? server.finish(slot, slot * SLOT_STRIDE, ...at(slot)) : before
      socket.replyLengths[slot] = outcome._tag === "Respond" ? server.replyLength : 0
      tell(outcome.reason)
    }
    server.endBatch()
    socket.send(count)
  })
  return socket
}

export const startRfcExporterServer = async (folder: Folder, address: string): Promise<RfcExporterServer> => {
  const outcomes: Record<string, number> = {}
  const time = await serveTime(address, (outcome) => (outcomes[outcome] = (outcomes[outcome] ?? 0) + 1))
  const { key, certificate } = certify(folder, address)
  let exchanges = 0
  const identity = { key: readFileSync(key), cert: readFileSync(certificate) }
  const tls = createServer({ ...identity, ALPNProtocols: [ALPN], minVersion: "TLSv1.3" }, (socket) => {
    const message = new RecordDecoder()
    socket.on("error", () => {})
    socket.on("data", (bytes: Buffer) => {
      if (message.state !== "reading" || message.push(bytes) === "reading") return
      exchanges += 1
      socket.end(keysFor(message, socket, time.port))
    })
  })
  tls.listen(0, address)
  await once(tls, "listening")
  const { port } = tls.address() as AddressInfo
  return {
    address,
    port: time.port,
    nts: { host: null, port, ca: certificate, noval: false, aead: null },
    exchanges: () => exchanges,
    outcomes: () => outcomes,
    stop: async () => {
      tls.close()
      time.close()
    }
  }
}
