/** Autokey's requests: how a client gets its cookie, session-keyed requests under it, and cookie requests in numbers. */
import { createSocket } from "node:dgram"
import { generateKeyPairSync, randomInt } from "node:crypto"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { nobleCmac } from "@meridian/auth/cmac-noble"
import { type AddressPair, PUBLIC_COOKIE, SessionKeys } from "@meridian/auth/autokey/session-key"
import { nodeDigests } from "@meridian/ciphers/digests"
import { nodeRsa } from "@meridian/ciphers/autokey-rsa"
import {
  autokeyFieldLength,
  type AutokeyField,
  AutokeyOperation,
  decodeAutokeyPacket,
  HIGHEST_SYMMETRIC_KEY_ID,
  writeAutokeyField
} from "@meridian/wire/autokey-fields"
import { clientRequest } from "@meridian/protocol/sntp-client"
import { HEADER_BYTES, type RequestPool, writePool } from "./request-pool.ts"

/** MD5, as `crypto digest` has it unless it is told. Over node:crypto, not the server's own code. */
const keys = new SessionKeys(nodeDigests(nobleCmac), "MD5")
const client = generateKeyPairSync("rsa", { modulusLength: 2048 })
const clientKey = nodeRsa.openPrivateKey(new Uint8Array(client.privateKey.export({ format: "der", type: "pkcs8" })))!

/** Nobody's time: a request must not be taken for another's. */
const NONCE = 0x0123_4567_89ab_cdefn as Parameters<typeof clientRequest>[1]

const octets = (address: string): Uint8Array => Uint8Array.from(address.split("."), Number)
const pairOf = (from: string, to: string): AddressPair => ({ source: octets(from), destination: octets(to) })
const newKeyId = (): number => randomInt(HIGHEST_SYMMETRIC_KEY_ID + 1, 2 ** 32)

/** The field of a cookie request, under the client's public key of 2048 bits. */
export const cookieField: AutokeyField = {
  operation: AutokeyOperation.cookie,
  isResponse: false,
  isError: false,
  associationId: 4711,
  content: { timestamp: 0, filestamp: 0, value: clientKey.publicPkcs1, signature: new Uint8Array(0) }
}

/** A cookie request between two IPv4 addresses. */
const cookieRequest = (from: string, to: string): Uint8Array => {
  const packet = new Uint8Array(HEADER_BYTES + autokeyFieldLength(cookieField) + keys.macBytes)
  packet.set(clientRequest(4, NONCE))
  writeAutokeyField(packet, HEADER_BYTES, cookieField)
  keys.append(packet, packet.length - keys.macBytes, pairOf(from, to), newKeyId(), PUBLIC_COOKIE)
  return packet
}

const ATTEMPTS = 60

/** The cookie that a server gives this address; asked for until the server is synchronised and gives one. */
export const obtainCookie = async (address: string, port: number): Promise<number> => {
  const socket = createSocket("udp4")
  try {
    socket.bind(0, address)
    await once(socket, "listening")
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      socket.send(cookieRequest(address, address), port, address)
      const answer = await Promise.race([once(socket, "message"), sleep(1_000)])
      if (answer === undefined) continue
      const packet = decodeAutokeyPacket(new Uint8Array((answer as [Uint8Array])[0]))
      const ciphertext = typeof packet === "string" ? undefined : packet.fields[0]?.content?.value
      const cookie = ciphertext === undefined ? undefined : clientKey.decrypt(ciphertext)
      if (cookie?.length === 4) return new DataView(cookie.buffer, cookie.byteOffset).getUint32(0)
      await sleep(1_000)
    }
    throw new Error(`expected a cookie from ${address} port ${port}, found none in ${ATTEMPTS} attempts`)
  } finally {
    socket.close()
  }
}

/** Session-keyed requests of a client that has a cookie; all replies' MACs are checked in the sample. */
export const sessionPool = (folder: string, name: string, address: string, cookie: number): RequestPool => {
  const pair = pairOf(address, address)
  const requestBytes = HEADER_BYTES + keys.macBytes
  const file = writePool(folder, `session-${name}`, requestBytes, (request) => {
    keys.append(request, HEADER_BYTES, pair, newKeyId(), cookie)
  })
  return {
    kind: "keyed",
    file,
    requestBytes,
    from: address,
    verify: (replies) => {
      for (const { index, packet } of replies)
        if (!keys.verify(packet, HEADER_BYTES, pair, cookie))
          throw new Error(`the reply to request ${index}: expected a MAC under its session key, found another`)
    }
  }
}

/** Cookie requests from many addresses of loopback, each as good as a client's, until they are told to stop. */
export const floodOfCookies = async (address: string, port: number, perSecond: number, addresses: number) => {
  const senders = await Promise.all(
    Array.from({ length: addresses }, async (_, index) => {
      const from = `127.9.${index >> 8}.${index & 0xff}`
      const socket = createSocket("udp4")
      socket.bind(0, from)
      await once(socket, "listening")
      return { socket, request: cookieRequest(from, address) }
    })
  )
  let sent = 0
  const begun = performance.now()
  const timer = setInterval(() => {
    for (const due = ((performance.now() - begun) / 1_000) * perSecond; sent < due; sent += 1) {
      const { socket, request } = senders[sent % addresses]!
      socket.send(request, port, address)
    }
  }, 2)
  return {
    /** Stops; how many were sent a second. */
    stop: (): number => {
      clearInterval(timer)
      for (const { socket } of senders) socket.close()
      return (sent / (performance.now() - begun)) * 1_000
    }
  }
}
