/** Requests with a symmetric key, and the check of the MACs that come back. */
import { randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { KeyTable, SymmetricKey } from "@meridian/auth/key-table"
import { CUT_DIGEST_BYTES, KEY_ID_BYTES, SymmetricMacs } from "@meridian/auth/mac"
import { macAlgorithms } from "@meridian/auth/mac-algorithms"
import { nodeDigests } from "@meridian/ciphers/digests"
import { HEADER_BYTES, type RequestPool, writePool } from "./request-pool.ts"

export const keyedAlgorithms = ["MD5", "SHA1", "AES-128"] as const
type KeyedAlgorithm = (typeof keyedAlgorithms)[number]

/** One key of each algorithm, made for this run. */
export interface BenchKeys {
  readonly table: KeyTable
  /** In the format of ntp.keys(5), which chronyd reads as well when the keys are marked as hexadecimal. */
  readonly file: string
  readonly chronyFile: string
  readonly of: (algorithm: KeyedAlgorithm) => SymmetricKey
}

/** What chronyd calls them. */
const chronyNames: Readonly<Record<KeyedAlgorithm, string>> = { MD5: "MD5", SHA1: "SHA1", "AES-128": "AES128" }

export const makeKeys = (folder: string): BenchKeys => {
  const keys = keyedAlgorithms.map(
    (name, at) => new SymmetricKey(at + 1, macAlgorithms[name], randomBytes(macAlgorithms[name].keyBytes ?? 20))
  )
  const table = KeyTable.of(keys).withTrusted([{ first: 1, last: keys.length }])
  const hexadecimal = ({ secret }: SymmetricKey) => Buffer.from(secret).toString("hex")
  const file = join(folder, "ntp.keys")
  const chronyFile = join(folder, "chrony.keys")
  const lines = (line: (key: SymmetricKey, name: KeyedAlgorithm) => string) =>
    `${keyedAlgorithms.map((name, at) => line(keys[at] as SymmetricKey, name)).join("\n")}\n`
  writeFileSync(
    file,
    lines((key, name) => `${key.id} ${name} ${hexadecimal(key)}`),
    { mode: 0o600 }
  )
  writeFileSync(
    chronyFile,
    lines((key, name) => `${key.id} ${chronyNames[name]} HEX:${hexadecimal(key)}`),
    {
      mode: 0o600
    }
  )
  return { table, file, chronyFile, of: (algorithm) => keys[keyedAlgorithms.indexOf(algorithm)] as SymmetricKey }
}

/** Requests under one key. Replies are checked with node:crypto and @noble/ciphers, not with the server's native code. */
export const keyedPool = (folder: string, keys: BenchKeys, algorithm: KeyedAlgorithm): RequestPool => {
  const key = keys.of(algorithm)
  const macs = new SymmetricMacs(nodeDigests(), keys.table)
  const requestBytes = HEADER_BYTES + KEY_ID_BYTES + Math.min(key.algorithm.digestBytes, CUT_DIGEST_BYTES)
  const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const file = writePool(folder, `keyed-${algorithm}`, requestBytes, (request) => {
    macs.append(viewOf(request), request, 0, HEADER_BYTES, key)
  })
  return {
    kind: "keyed",
    file,
    requestBytes,
    verify: (replies) => {
      for (const { index, packet } of replies) {
        const verdict = macs.verify(viewOf(packet), packet, 0, HEADER_BYTES, packet.length - HEADER_BYTES)
        if (verdict !== "verified")
          throw new Error(`the reply to request ${index}: expected its MAC to verify, found ${verdict}`)
      }
    }
  }
}
