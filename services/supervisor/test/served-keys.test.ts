/** The key file through the hands of an operator: what a re-read may take away, and what it may not. */
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { macAlgorithmNames } from "@meridian/auth/mac-algorithms"
import { readServingKeys, type ServingKeys } from "@meridian/auth/serving-keys"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { ServedKeys } from "../src/served-keys.ts"

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meridian-served-keys-"))
  file = join(folder, "ntp.keys")
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** As key files should be: nobody else's. */
const write = (text: string | Uint8Array): void => {
  writeFileSync(file, text)
  chmodSync(file, 0o600)
}

const servedKeys = (told: ServingKeys[] = []): ServedKeys =>
  new ServedKeys({ file, trusted: [{ first: 1, last: 1 }] }, false, (keys) => void told.push(keys))

const ids = (from: ServedKeys): readonly number[] => from.keys.symmetric.map(({ id }) => id)

/** With key 1 read. */
const filled = (told: ServingKeys[] = []): ServedKeys => {
  write("1 MD5 secret\n")
  const made = servedKeys(told)
  expect(made.readFile()).toEqual([])
  rmSync(file)
  return made
}

describe("a re-read of the key file", () => {
  it("takes what Windows editors make of it", () => {
    write("\uFEFF1 MD5 secret\r\n2 SHA1 other\r\n")
    const made = servedKeys()
    expect(made.readFile()).toEqual([])
    expect(ids(made)).toEqual([1, 2])
  })

  it.each([
    ["is gone", () => {}, /it is not there/],
    ["is a folder", () => mkdirSync(file), /it is a directory/],
    ["is a link to itself", () => symlinkSync("ntp.keys", file), /links that lead to each other/],
    ["is a pipe that nobody writes to", () => execFileSync("mkfifo", [file]), /a pipe, socket or device/],
    ["is a device without end", () => symlinkSync("/dev/zero", file), /a pipe, socket or device/],
    ["is longer than any key file", () => write(new Uint8Array(17 << 20)), /more than 16777216/],
    ["holds no key", () => write("[keys]\nfirst = 1\n"), /no line of the key file .* gives a key/]
  ])("that %s keeps the keys that were there, and says so", (_what, make, why) => {
    const told: ServingKeys[] = []
    const made = filled(told)
    make()
    const problems = made.readFile()
    expect(problems.at(-1)).toMatch(why)
    expect(problems.at(-1)).toMatch(/; the 1 keys read before stay in use$/)
    expect(ids(made)).toEqual([1])
    expect(told).toHaveLength(1)
  })

  it("says of bad lines without end what they are, and how many more there are", () => {
    const made = filled()
    write(randomBytes(200_000))
    const problems = made.readFile()
    expect(problems.length).toBeLessThan(25)
    expect(problems.join("\n")).toMatch(/and \d+ more like these/)
    expect(ids(made)).toEqual([1])
  })

  it("of an empty file takes all keys away: that is how they are withdrawn", () => {
    const made = filled()
    write("# none any more\n")
    expect(made.readFile()).toEqual([])
    expect(ids(made)).toEqual([])
  })
})

describe("a key of a type that this OpenSSL does not have", () => {
  it("is left out with a report, and reaches no process", () => {
    write("1 MD5 one\n2 SHA1 two\n3 AES three\n")
    const made = new ServedKeys({ file, trusted: [] }, false, () => {}, ["sha1"])
    expect(made.readFile()).toEqual([
      expect.stringMatching(/key 3: AES-128 takes 16 bytes/),
      expect.stringMatching(/key 1 is left out: the OpenSSL here has no MD5$/)
    ])
    expect(ids(made)).toEqual([2, 3])
  })

  it("is none of those that ntp.keys(5) names, here", () => {
    write(macAlgorithmNames.map((name, index) => `${index + 1} ${name} ${"00".repeat(32)}\n`).join(""))
    const made = servedKeys()
    expect(made.readFile().filter((line) => line.includes("left out"))).toEqual([])
    expect(ids(made)).toHaveLength(macAlgorithmNames.length)
  })
})

describe("a key number that the file and the log both have", () => {
  const minted = (id: number) => ({ id, algorithm: "AES-128", secret: new Uint8Array(16) }) as const

  it("is the file's, and not trusted by the log's saying so", () => {
    write("1 MD5 one\n5 MD5 five\n")
    const made = servedKeys()
    made.readFile()
    made.useLog({
      type: "keys",
      generations: [],
      symmetric: [minted(5), minted(6)],
      trusted: [
        { first: 5, last: 5 },
        { first: 6, last: 6 }
      ],
      sendCryptoNak: false
    })
    const table = readServingKeys(made.keys).table
    expect(table.get(5)?.algorithm.name).toBe("MD5")
    expect([1, 5, 6].map((id) => table.isTrusted(id))).toEqual([true, false, true])
  })
})
