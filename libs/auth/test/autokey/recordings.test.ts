/** Every recorded packet of the reference implementation, recomputed: MACs, key chains, signatures, cookies, identity proofs. */
import { nodeRsa } from "@meridian/ciphers/autokey-rsa"
import { AutokeyOperation, type AutokeyField, decodeAutokeyValues } from "@meridian/wire/autokey-fields"
import { bigIntOf } from "@meridian/wire/der"
import { describe, expect, it } from "vitest"
import { isSelfSigned, isSignedBy, publicKeyOf, readCertificate } from "../../src/autokey/certificate.ts"
import { provesGq } from "../../src/autokey/gq.ts"
import { provesIff } from "../../src/autokey/iff.ts"
import { followsInChain } from "../../src/autokey/key-list.ts"
import { provesMv } from "../../src/autokey/mv.ts"
import { writePkcs8 } from "../../src/autokey/private-keys.ts"
import { PUBLIC_COOKIE, SessionKeys } from "../../src/autokey/session-key.ts"
import { signatureFault } from "../../src/autokey/signed-value.ts"
import { digests, file, fileText, numbers, packetsOf, type Recording, recordings } from "./recordings.ts"

type Side = "server" | "client"

interface Counts {
  packets: number
  publicMacs: number
  cookieMacs: number
  badMacs: number
  chained: number
  signatures: number
  badSignatures: number
  certificates: number
  cookies: number
  proofs: number
  failedProofs: number
}

const hostOf = (recording: Recording, side: Side): string =>
  side === "server" || recording.name.endsWith("-pc") ? "alice" : "bob"

const certificateOf = (recording: Recording, side: Side) => {
  const certificate = readCertificate(
    file(recording.keys[side], `ntpkey_cert_${hostOf(recording, side)}`).blocks[0]!.der
  )
  if (typeof certificate === "string") throw new Error(certificate)
  return certificate
}

const hostKey = (recording: Recording, side: Side) =>
  nodeRsa.openPrivateKey(writePkcs8(numbers(recording.keys[side], `ntpkey_host_${hostOf(recording, side)}`)))!

/** Whether a recorded answer proves the identity; the challenge is taken as the reference's server read it. */
const proves = (recording: Recording, challenge: Uint8Array, { operation, content }: AutokeyField): boolean => {
  const { client } = recording.keys
  const [scheme] = ["iff", "gq", "mv"].filter((name) => fileText(client, `ntpkey_${name}par_wonder`) !== undefined)
  const key = numbers(client, `ntpkey_${scheme}par_wonder`)
  const r = bigIntOf(challenge)
  if (operation === AutokeyOperation.gq && key.kind === "rsa") {
    const v = certificateOf(recording, "server").gqPublic!
    return provesGq({ n: key.n, b: key.e }, v, r, content!.value, digests)
  }
  if (key.kind !== "dsa") return false
  const { p, q, g, privateNumber, publicNumber = 0n } = key
  return operation === AutokeyOperation.iff
    ? provesIff({ p, q, g, v: publicNumber }, r, content!.value, digests)
    : provesMv({ p, xbar: privateNumber, xhat: publicNumber }, r, content!.value)
}

const recompute = (recording: Recording): Counts => {
  const counts: Counts = {
    packets: 0,
    publicMacs: 0,
    cookieMacs: 0,
    badMacs: 0,
    chained: 0,
    signatures: 0,
    badSignatures: 0,
    certificates: 0,
    cookies: 0,
    proofs: 0,
    failedProofs: 0
  }
  const keys = new SessionKeys(digests, "MD5")
  const cookies = [PUBLIC_COOKIE, ...recording.cookies.map((text) => Number.parseInt(text, 16))]
  const last = new Map<string, number[]>()
  let challenge: Uint8Array = new Uint8Array(0)
  for (const { fromServer, bytes, pair, packet } of packetsOf(recording)) {
    counts.packets += 1
    const cookie = cookies.find((candidate) => keys.verify(bytes, packet.macOffset, pair, candidate))
    if (cookie === undefined) counts.badMacs += 1
    else if (cookie === PUBLIC_COOKIE) counts.publicMacs += 1
    else counts.cookieMacs += 1
    const direction = `${pair.source.join(".")} ${pair.destination.join(".")}`
    const known = last.get(direction) ?? []
    if (cookies.some((each) => followsInChain(keys, pair, each, packet.keyId, known, 0) !== undefined))
      counts.chained += 1
    last.set(direction, [packet.keyId])
    for (const field of packet.fields) {
      const side: Side = fromServer ? "server" : "client"
      const certificate = certificateOf(recording, side)
      const { content } = field
      if (content === undefined) continue
      if (content.signature.length === 0) {
        // Requests of a client that is not synchronised, and association messages.
      } else if (signatureFault(content, publicKeyOf(certificate, nodeRsa)!, certificate.scheme) === undefined)
        counts.signatures += 1
      else counts.badSignatures += 1
      if (field.isResponse) countResponse(recording, field, fromServer, challenge, counts)
      else if (field.operation >= AutokeyOperation.iff) challenge = content.value
    }
  }
  return counts
}

const countResponse = (
  recording: Recording,
  field: AutokeyField,
  fromServer: boolean,
  challenge: Uint8Array,
  counts: Counts
): void => {
  const { value } = field.content!
  switch (field.operation) {
    case AutokeyOperation.certificate:
    case AutokeyOperation.sign: {
      const certificate = readCertificate(value)
      if (typeof certificate === "string") throw new Error(certificate)
      const signer = isSelfSigned(certificate)
        ? certificate
        : certificateOf(recording, fromServer ? "server" : "client")
      expect(isSignedBy(certificate, publicKeyOf(signer, nodeRsa)!)).toBe(true)
      counts.certificates += 1
      break
    }
    case AutokeyOperation.cookie: {
      const cookie = hostKey(recording, fromServer ? "client" : "server").decrypt(value)
      expect(cookie).toHaveLength(4)
      // In symmetric modes the session's cookie is made of both sides' cookies.
      if (!recording.name.includes("sym")) expect(recording.cookies).toContain(cookie!.toHex())
      counts.cookies += 1
      break
    }
    case AutokeyOperation.autokey:
      expect(decodeAutokeyValues(value)).toBeDefined()
      break
    case AutokeyOperation.iff:
    case AutokeyOperation.gq:
    case AutokeyOperation.mv:
      if (proves(recording, challenge, field)) counts.proofs += 1
      else counts.failedProofs += 1
      break
    default:
  }
}

/**
 * Per recording: packets, MACs under the public cookie, MACs under the session's, key ids that hash to the one before, signatures,
 * certificates, cookies, identity proofs, and proofs that fail because the reference's client file or challenge was damaged.
 */
const expected: Readonly<Record<string, readonly number[]>> = {
  "gq-p15": [28, 12, 16, 6, 6, 2, 1, 1, 0],
  iff: [28, 12, 16, 6, 6, 2, 1, 1, 0],
  "iff-pkcs8": [16, 16, 0, 0, 7, 1, 0, 0, 6],
  manycast: [40, 30, 10, 6, 5, 2, 1, 0, 0],
  mv: [28, 16, 12, 4, 8, 2, 1, 1, 2],
  "old-broadcast": [32, 30, 2, 20, 7, 2, 1, 0, 0],
  "old-iff": [28, 12, 16, 9, 6, 2, 1, 1, 0],
  "old-mv": [28, 12, 16, 9, 6, 2, 1, 1, 0],
  "old-sym-active": [68, 18, 50, 60, 15, 4, 2, 0, 0],
  "old-tc": [28, 10, 18, 10, 5, 2, 1, 0, 0],
  pc: [28, 6, 22, 8, 2, 0, 1, 0, 0],
  tc: [28, 10, 18, 7, 5, 2, 1, 0, 0],
  "tc-rsasign": [28, 10, 18, 7, 5, 2, 1, 0, 0],
  "tc-sha1": [28, 10, 18, 7, 5, 2, 1, 0, 0]
}

describe("recorded exchanges of the reference, recomputed", () => {
  it.each(recordings.map((recording) => [recording.name.replace("autokey-", ""), recording] as const))(
    "%s",
    (name, recording) => {
      const counts = recompute(recording)
      expect([
        counts.packets,
        counts.publicMacs,
        counts.cookieMacs,
        counts.chained,
        counts.signatures,
        counts.certificates,
        counts.cookies,
        counts.proofs,
        counts.failedProofs
      ]).toEqual(expected[name])
      expect([counts.badMacs, counts.badSignatures]).toEqual([0, 0])
    }
  )

  it("were all looked at", () => {
    expect(recordings.map(({ name }) => name).toSorted()).toEqual(
      Object.keys(expected)
        .map((name) => `autokey-${name}`)
        .toSorted()
    )
  })
})
