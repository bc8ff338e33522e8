/** A configuration file about access, and the flags that its lines put on an address. */
import { parseAddress } from "@meridian/config/address"
import { accessFlagWords } from "@meridian/protocol/access/access-flags"
import { AccessList, compileAccess } from "@meridian/protocol/access/access-list"
import { accessRules } from "../src/access-rules.ts"
import { loadSettings, type Loaded } from "../src/load.ts"

export const load = (text: string): Loaded =>
  loadSettings({
    file: "f",
    readFile: (_, from) =>
      from === undefined ? { ok: true, bytes: new TextEncoder().encode(text) } : { ok: false, reason: "no such file" },
    overrides: {},
    machine: { cores: 2, interfaces: [{ name: "lo", address: parseAddress("127.0.0.1")! }] }
  })

/** The flags that a file's lines put on an address. */
export const flagsFor = ({ settings }: Loaded, text: string, port = 40_000, own: readonly string[] = []): string => {
  const surroundings = { addressesOf: () => [], sources: [], own: own.map((each) => parseAddress(each)!) }
  const rules = accessRules(settings.access, surroundings)
  const list = new AccessList(rules.map(compileAccess))
  const { family, bytes } = parseAddress(text)!
  const word = (at: number): number =>
    (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  const flags = family === 4 ? list.ipv4(word(0), port) : list.ipv6(word(0), word(4), word(8), word(12), port)
  return accessFlagWords(flags).join(" ")
}
