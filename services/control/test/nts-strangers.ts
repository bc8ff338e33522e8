/**
 * Comes to a node as strangers to NTS do, from within its network: `node nts-strangers.ts BROKEN SESSIONS REQUESTS` opens so many connections that
 * are no TLS, so many TLS sessions that demand what there is not, and sends so many requests with cookies of a key that nobody has; ends when each had its answer.
 */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { connect as connectTcp } from "node:net"
import { connect as connectTls } from "node:tls"
import { aeadParameters } from "@meridian/auth/aead"
import { cookieLength, writeCookieHeader } from "@meridian/auth/cookie"
import { HEADER_BYTES } from "@meridian/wire/ntp"
import { ALPN, encodeRecords, endOfMessage, record } from "@meridian/wire/nts-ke"
import {
  authenticatorLength,
  NtsFieldType,
  UNIQUE_IDENTIFIER_BYTES,
  writeAuthenticatorHeader,
  writeFieldHeader
} from "@meridian/wire/nts-fields"
import { FIELD_HEADER_BYTES } from "@meridian/wire/trailer"

const [broken = 0, sessions = 0, requests = 0] = process.argv.slice(2).map(Number)
const host = "127.0.0.1"
const NTS_KE_PORT = 4460
/** Of a record. */
const NO_TYPE = 0x3fff
const aead = aeadParameters(15)!
const COOKIE_BYTES = cookieLength(aead)
/** Of a master key that nobody has. */
const NO_GENERATION = 0xffff_fff0
const NONCE_BYTES = 16

for (let count = 0; count < broken; count += 1) {
  const socket = connectTcp(NTS_KE_PORT, host, () => socket.write("GET / HTTP/1.0\r\n\r\n"))
  socket.on("error", () => {}).resume()
  await new Promise((closed) => socket.once("close", closed))
}
for (let count = 0; count < sessions; count += 1) {
  const socket = connectTls({ port: NTS_KE_PORT, host, rejectUnauthorized: false, ALPNProtocols: [ALPN] }, () =>
    socket.write(encodeRecords([record(NO_TYPE, true, new Uint8Array(0)), endOfMessage]))
  )
  socket.on("error", () => {}).resume()
  await new Promise((closed) => socket.once("close", closed))
}

const request = (number: number): Uint8Array => {
  const cookieAt = HEADER_BYTES + FIELD_HEADER_BYTES + UNIQUE_IDENTIFIER_BYTES
  const authenticatorAt = cookieAt + FIELD_HEADER_BYTES + COOKIE_BYTES
  const packet = new Uint8Array(authenticatorAt + authenticatorLength(NONCE_BYTES, NONCE_BYTES))
  const view = new DataView(packet.buffer)
  packet[0] = 0x23
  view.setUint32(HEADER_BYTES - 4, number + 1)
  writeFieldHeader(view, HEADER_BYTES, NtsFieldType.uniqueIdentifier, UNIQUE_IDENTIFIER_BYTES)
  writeFieldHeader(view, cookieAt, NtsFieldType.cookie, COOKIE_BYTES)
  writeCookieHeader(view, cookieAt + FIELD_HEADER_BYTES, aead, NO_GENERATION)
  writeAuthenticatorHeader(view, authenticatorAt, NONCE_BYTES, NONCE_BYTES)
  return packet
}
const socket = createSocket("udp4")
for (let count = 0; count < requests; count += 1) {
  socket.send(request(count), 123, host)
  await once(socket, "message")
}
socket.close()
