/** Recorded Autokey exchanges of the reference implementation, with every key file of both sides. */
import { readdirSync, readFileSync } from "node:fs"
import { decodeAutokeyPacket, type AutokeyPacket } from "@meridian/wire/autokey-fields"
import { nodeDigests } from "@meridian/ciphers/digests"
import { nodePasswordCiphers } from "@meridian/ciphers/password-ciphers"
import { openKey } from "../../src/autokey/key-encryption.ts"
import { type AutokeyFile, readAutokeyFile } from "../../src/autokey/key-file.ts"
import type { PrivateNumbers } from "../../src/autokey/private-keys.ts"
import type { AddressPair } from "../../src/autokey/session-key.ts"

export const digests = nodeDigests()

interface Side {
  readonly password: string
  readonly files: Readonly<Record<string, string>>
  readonly links: Readonly<Record<string, string>>
}

export interface Recording {
  readonly name: string
  readonly notes: string
  readonly cookies: readonly string[]
  readonly keys: { readonly server: Side; readonly client: Side }
  readonly packets: readonly {
    readonly dir: "c2s" | "s2c"
    readonly src: string
    readonly dst: string
    readonly hex: string
  }[]
  readonly serverStats: readonly string[]
  readonly clientStats: readonly string[]
}

const folder = new URL("../fixtures/autokey/", import.meta.url)

export const recordings: readonly Recording[] = readdirSync(folder)
  .filter((name) => name.endsWith(".json"))
  .sort()
  .map((name) => JSON.parse(readFileSync(new URL(name, folder), "utf8")) as Recording)

export const recording = (name: string): Recording => {
  const found = recordings.find((candidate) => candidate.name === `autokey-${name}`)
  if (found === undefined) throw new Error(`no recording ${name}`)
  return found
}

/** The text of a file by its own or a link's name. */
export const fileText = (side: Side, name: string): string | undefined => side.files[side.links[name] ?? name]

export const file = (side: Side, name: string): AutokeyFile => {
  const read = readAutokeyFile(fileText(side, name) ?? "")
  if (typeof read === "string") throw new Error(`${name}: expected ${read}`)
  return read
}

/** The numbers in the first block of a file. */
export const numbers = (side: Side, name: string): PrivateNumbers => {
  const [block] = file(side, name).blocks
  const opened = openKey(block!, side.password, nodePasswordCiphers)
  if (typeof opened === "string") throw new Error(`${name}: ${opened}`)
  return opened
}

/** `10.77.0.1:123` */
const addressOf = (text: string): Uint8Array => Uint8Array.from(text.split(":")[0]!.split(".").map(Number))

interface ReadPacket {
  readonly fromServer: boolean
  readonly bytes: Uint8Array
  readonly pair: AddressPair
  readonly packet: AutokeyPacket
}

export const packetsOf = ({ packets }: Recording): readonly ReadPacket[] =>
  packets.map(({ dir, src, dst, hex }) => {
    const bytes = Uint8Array.fromHex(hex)
    const packet = decodeAutokeyPacket(bytes)
    if (typeof packet === "string") throw new Error(packet)
    return {
      fromServer: dir === "s2c",
      bytes,
      pair: { source: addressOf(src), destination: addressOf(dst) },
      packet
    }
  })
