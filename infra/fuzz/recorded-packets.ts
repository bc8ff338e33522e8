/** Packets of real peers, for fuzzers to begin with: all that the suites' recordings hold. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

const MOST = 400

/** Every text of hexadecimal digits in a recording that is as long as a packet. */
const packetsIn = (text: string): readonly Uint8Array[] =>
  [...text.matchAll(/"((?:[0-9a-f]{2}){12,2048})"/g)].map(([, digits]) => Buffer.from(digits ?? "", "hex"))

/** @param root of the project */
export const recordedPackets = (root: string): readonly Uint8Array[] => {
  const folders = ["auth", "protocol", "wire"].map((name) => join(root, "libs", name, "test/fixtures"))
  const files = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith(".json"))
      .map(({ parentPath, name }) => join(parentPath, name))
  )
  const all = files.flatMap((file) => packetsIn(readFileSync(file, "utf8")))
  const step = Math.max(1, Math.ceil(all.length / MOST))
  return all.filter((_, at) => at % step === 0)
}
