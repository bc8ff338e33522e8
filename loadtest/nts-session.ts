/** NTS sessions for load: real key establishments with the server under test, requests made of them, replies opened. */
import { randomFillSync } from "node:crypto"
import { connect, createSecureContext, type SecureContext } from "node:tls"
import type { Aead, AeadId } from "@meridian/auth/aead"
import { nobleAeads } from "@meridian/auth/aead-noble"
import { keyExchangeRequest, readKeyExchangeReply } from "@meridian/auth/nts-ke-client"
import { EXPORTER_LABEL, exporterContext } from "@meridian/auth/nts-ke-server"
import { aeadProvider } from "@meridian/ciphers/aead"
import { ALPN, RecordDecoder } from "@meridian/wire/nts-ke"
import {
  AUTHENTICATOR_HEADER_BYTES,
  authenticatorLength,
  findNtsFields,
  newNtsFields,
  NtsFieldType,
  NtsShape,
  padded,
  UNIQUE_IDENTIFIER_BYTES,
  walkEncryptedFields,
  writeAuthenticatorHeader,
  writeFieldHeader
} from "@meridian/wire/nts-fields"
import { FIELD_HEADER_BYTES, newTrailer, scanTrailer, TrailerShape } from "@meridian/wire/trailer"
import { HEADER_BYTES, POOL_REQUESTS, type RequestPool, type SampledReply, writePool } from "./request-pool.ts"

export interface KeyServer {
  readonly address: string
  readonly port: number
  readonly trust: SecureContext
  readonly serverName: string
}

/**
 * What clients of a server share, as parsing certificates costs as much as a handshake. They offer the curves that
 * chronyd's GnuTLS offers first.
 * @param authority PEM: who signed the server's certificate, or that itself
 */
export const trustIn = (authority: string): SecureContext =>
  createSecureContext({ ca: authority, minVersion: "TLSv1.3", ecdhCurve: "X25519:P-256" })

export interface NtsSession {
  readonly aead: AeadId
  readonly c2s: Uint8Array
  readonly s2c: Uint8Array
  readonly cookies: readonly Uint8Array[]
}

const EXCHANGE_MILLISECONDS = 10_000

/**
 * One whole key establishment, the certificate verified.
 * @throws Error that says how it failed
 */
export const exchangeKeys = (server: KeyServer, aeads: readonly AeadId[]): Promise<NtsSession> =>
  new Promise((resolve, reject) => {
    const decoder = new RecordDecoder()
    const socket = connect({
      host: server.address,
      port: server.port,
      secureContext: server.trust,
      servername: server.serverName,
      ALPNProtocols: [ALPN]
    })
    const fail = (why: string): void => {
      socket.destroy()
      reject(new Error(`NTS-KE with ${server.address} port ${server.port}: ${why}`))
    }
    const finish = (): void => {
      const agreed = readKeyExchangeReply(decoder.records, aeads)
      if (agreed._tag === "Refused") return fail(agreed.message)
      const exported = (direction: "c2s" | "s2c") =>
        new Uint8Array(
          socket.exportKeyingMaterial(
            agreed.aead.keyBytes,
            EXPORTER_LABEL,
            Buffer.from(exporterContext(agreed, direction))
          )
        )
      resolve({ aead: agreed.aead.id, c2s: exported("c2s"), s2c: exported("s2c"), cookies: agreed.cookies })
      socket.destroy()
    }
    socket.setTimeout(EXCHANGE_MILLISECONDS, () => fail(`no reply within ${EXCHANGE_MILLISECONDS / 1000} s`))
    socket.once("secureConnect", () => {
      if (socket.alpnProtocol !== ALPN) fail(`expected ALPN ${ALPN}, found ${socket.alpnProtocol || "none"}`)
      else socket.write(keyExchangeRequest(aeads))
    })
    socket.on("data", (bytes: Buffer) => {
      const state = decoder.push(bytes)
      if (state === "complete") finish()
      else if (state !== "reading") fail(`expected a reply that fits, found ${state}`)
    })
    socket.once("error", (error) => fail(error.message))
    socket.once("close", () => fail("the connection was closed before the reply was whole"))
  })

const WAIT_MILLISECONDS = 250

/**
 * Sessions of several clients, one after another. A server that is still starting, or limits how often
 * one address may come, is asked again for a while.
 */
export const openSessions = async (
  server: KeyServer,
  count: number,
  aeads: readonly AeadId[]
): Promise<readonly NtsSession[]> => {
  const sessions: NtsSession[] = []
  let failures = 0
  while (sessions.length < count) {
    try {
      sessions.push(await exchangeKeys(server, aeads))
    } catch (error) {
      if (++failures > 100) throw error
      await new Promise((resolve) => setTimeout(resolve, WAIT_MILLISECONDS))
    }
  }
  return sessions
}

/** Where the parts of a request of the steady state lie. */
export interface NtsLayout {
  readonly cookieBytes: number
  readonly authenticatorAt: number
  readonly requestBytes: number
}

const COOKIE_AT = HEADER_BYTES + FIELD_HEADER_BYTES + UNIQUE_IDENTIFIER_BYTES

export const ntsLayout = (aead: Aead, cookieBytes: number): NtsLayout => {
  const authenticatorAt = COOKIE_AT + FIELD_HEADER_BYTES + padded(cookieBytes)
  return {
    cookieBytes,
    authenticatorAt,
    requestBytes: authenticatorAt + authenticatorLength(aead.nonceBytes, aead.tagBytes)
  }
}

/** What follows the header of a request, which is written: identifier, cookie, authenticator. */
export const completeNtsRequest = (
  request: Uint8Array,
  { cookieBytes, authenticatorAt }: NtsLayout,
  aead: Aead,
  { c2s }: Pick<NtsSession, "c2s">,
  cookie: Uint8Array,
  identifier: Uint8Array
): void => {
  const view = new DataView(request.buffer, request.byteOffset, request.byteLength)
  const nonceAt = authenticatorAt + AUTHENTICATOR_HEADER_BYTES
  const uniqueIdentifier = NtsFieldType.uniqueIdentifier
  request.set(identifier, writeFieldHeader(view, HEADER_BYTES, uniqueIdentifier, UNIQUE_IDENTIFIER_BYTES))
  request.set(cookie, writeFieldHeader(view, COOKIE_AT, NtsFieldType.cookie, padded(cookieBytes)))
  writeAuthenticatorHeader(view, authenticatorAt, aead.nonceBytes, aead.tagBytes)
  const nonce = request.subarray(nonceAt, nonceAt + aead.nonceBytes)
  randomFillSync(nonce)
  const ciphertext = request.subarray(nonceAt + padded(aead.nonceBytes))
  aead.seal(c2s, nonce, request.subarray(0, authenticatorAt), new Uint8Array(0), ciphertext)
}

/**
 * Requests as chronyd's client sends them in the steady state: unique identifier, one cookie, no placeholder, the
 * authenticator. Neighbours in the pool belong to different clients, so no server gains by remembering a key.
 * @param sessions of one algorithm and one length of cookies
 */
export const ntsPool = (folder: string, name: string, sessions: readonly NtsSession[]): RequestPool => {
  const [first] = sessions
  const aead = first === undefined ? undefined : aeadProvider().aeads.get(first.aead)
  const cookieBytes = first?.cookies[0]?.length
  if (aead === undefined || cookieBytes === undefined)
    throw new RangeError("expected at least one session with cookies")
  const layout = ntsLayout(aead, cookieBytes)
  const sessionOf = (index: number): NtsSession => sessions[index % sessions.length] as NtsSession
  const identifiers = new Uint8Array(POOL_REQUESTS * UNIQUE_IDENTIFIER_BYTES)
  randomFillSync(identifiers)
  const identifierOf = (index: number) =>
    identifiers.subarray(index * UNIQUE_IDENTIFIER_BYTES, (index + 1) * UNIQUE_IDENTIFIER_BYTES)

  const file = writePool(folder, name, layout.requestBytes, (request, index) => {
    const session = sessionOf(index)
    const cookie = session.cookies[Math.floor(index / sessions.length) % session.cookies.length] as Uint8Array
    completeNtsRequest(request, layout, aead, session, cookie, identifierOf(index))
  })
  // The reference, so that a fault of the native code cannot hide itself.
  const reference = nobleAeads.get(aead.id) as Aead
  return {
    kind: "nts",
    file,
    requestBytes: layout.requestBytes,
    verify: (replies) => {
      for (const reply of replies) {
        const { s2c } = sessionOf(reply.index)
        const problem = ntsReplyProblem(reply, reference, s2c, identifierOf(reply.index), cookieBytes)
        if (problem !== undefined) throw new Error(`the reply to NTS request ${reply.index}: ${problem}`)
      }
    }
  }
}

/** What is wrong with a reply that should authenticate and bring one cookie as long as the one that was spent. */
export const ntsReplyProblem = (
  { packet }: Pick<SampledReply, "packet">,
  aead: Aead,
  s2c: Uint8Array,
  identifier: Uint8Array,
  cookieBytes: number
): string | undefined => {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
  const trailer = newTrailer()
  const fields = newNtsFields()
  const shape = scanTrailer(view, 0, packet.length, 4, trailer)
  if (shape !== TrailerShape.plain || findNtsFields(view, trailer, fields) !== NtsShape.authenticated)
    return "expected a unique identifier and an authenticator, found another shape"
  const { uniqueIdentifierOffset, nonceOffset, nonceLength, ciphertextOffset, ciphertextLength } = fields
  const found = packet.subarray(uniqueIdentifierOffset, uniqueIdentifierOffset + fields.uniqueIdentifierLength)
  if (Buffer.compare(found, identifier) !== 0) return "expected the request's unique identifier, found another"
  const text = new Uint8Array(Math.max(0, ciphertextLength - aead.tagBytes))
  const nonce = packet.subarray(nonceOffset, nonceOffset + nonceLength)
  const ciphertext = packet.subarray(ciphertextOffset, ciphertextOffset + ciphertextLength)
  if (!aead.open(s2c, nonce, packet.subarray(0, fields.authenticatorOffset), ciphertext, text))
    return "expected its authenticator to verify under the server's key, it does not"
  const cookies: number[] = []
  const whole = walkEncryptedFields(new DataView(text.buffer), 0, text.length, (type, _at, length) => {
    if (type === NtsFieldType.cookie) cookies.push(length)
  })
  if (!whole || cookies.length !== 1 || cookies[0] !== cookieBytes)
    return `expected one cookie of ${cookieBytes} bytes, found [${cookies.join(", ")}]`
  return undefined
}
