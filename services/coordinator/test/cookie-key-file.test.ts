/** The file of `nts cookie FILE`: its format, what is done with a bad one, and what a node made anew goes on from. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { makeCertificate } from "@meridian/testkit/certificates"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peer, peersAvailable } from "@meridian/testkit/real-peers"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { CookieKeyFile, formatCookieKeys, parseCookieKeys } from "../src/cookie-key-file.ts"
import { ids, makePlace, type Place, type RunningCoordinator, startCoordinator, until } from "./running-coordinator.ts"

const NOW = 1_795_273_000_000
const keyOf = (generation: number) => ({ generation, key: new Uint8Array(32).fill(generation) })

let place: Place
let file = ""
let warnings: string[] = []
beforeEach(() => {
  place = makePlace()
  file = join(place.path, "nts-keys")
  warnings = []
})
afterEach(() => place.remove())

const open = (): CookieKeyFile => new CookieKeyFile(file, (message) => warnings.push(message))
const modeOf = (path: string): number => statSync(path).mode & 0o777

describe("the text", () => {
  it("is NTPsec's, newest first, and reads back", () => {
    const keys = { since: NOW, keys: [keyOf(7), keyOf(5)] }
    const text = formatCookieKeys(keys)
    expect(text.split("\n")).toEqual([
      "T: 1795273000",
      "L: 32",
      "I: 7",
      `K: ${"07".repeat(32)}`,
      "I: 5",
      `K: ${"05".repeat(32)}`,
      ""
    ])
    expect(parseCookieKeys(text)).toEqual(keys)
  })

  it.each([
    ["nothing", ""],
    ["no key", "T: 1\nL: 32\n"],
    ["another length", `T: 1\nL: 48\nI: 1\nK: ${"00".repeat(48)}\n`],
    ["half a key", `T: 1\nL: 32\nI: 1\nK: ${"00".repeat(16)}\n`],
    ["no end", `T: 1\nL: 32\nI: 1\nK: ${"00".repeat(32)}`],
    ["something after it", `T: 1\nL: 32\nI: 1\nK: ${"00".repeat(32)}\nX\n`],
    ["number 0", `T: 1\nL: 32\nI: 0\nK: ${"00".repeat(32)}\n`],
    ["a number with no room after it", `T: 1\nL: 32\nI: 4294967295\nK: ${"00".repeat(32)}\n`],
    ["the oldest first", formatCookieKeys({ since: 0, keys: [keyOf(1), keyOf(2)] })],
    ["a number twice", formatCookieKeys({ since: 0, keys: [keyOf(2), keyOf(2)] })],
    ["eleven keys", formatCookieKeys({ since: 0, keys: Array.from({ length: 11 }, (_, index) => keyOf(20 - index)) })]
  ])("with %s is none", (_, text) => expect(parseCookieKeys(text)).toBeUndefined())

  it("of any bytes is read or refused", () => {
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: fc.constantFrom(..."TLIK: 032\n".split("")) })
    )
    fc.assert(
      fc.property(texts, (text) => {
        expect(parseCookieKeys(text)).toBeUndefined()
      })
    )
    const ordered = fc.uniqueArray(fc.integer({ min: 1, max: 4e9 }), { minLength: 1, maxLength: 10 })
    fc.assert(
      fc.property(ordered, fc.integer({ min: 0, max: 1e11 }), (numbers, seconds) => {
        const keys = numbers.toSorted((a, b) => b - a).map((generation) => ({ ...keyOf(1), generation }))
        const all = { since: seconds * 1_000, keys }
        expect(parseCookieKeys(formatCookieKeys(all))).toEqual(all)
      })
    )
  })
})

describe("the file", () => {
  it("is its owner's alone, keeps its time while the newest key stays, and loses a key that has ended", () => {
    const keeping = open()
    expect(keeping.read()).toBeUndefined()
    keeping.keep([], NOW)
    expect(readdirSync(place.path)).toEqual([])
    keeping.keep([keyOf(1)], NOW)
    expect(modeOf(file)).toBe(0o600)
    keeping.keep([keyOf(1), keyOf(2)], NOW + 9_000)
    keeping.keep([keyOf(2)], NOW + 20_000)
    expect(open().read()).toEqual({ since: NOW + 9_000, keys: [keyOf(2)] })
    expect(readdirSync(place.path)).toEqual(["nts-keys"])
    expect(warnings).toEqual([])
    keeping.keep([], NOW + 30_000)
    expect(readFileSync(file, "utf8")).toBe("")
  })

  it("is overwritten where it lay before it is let go of", () => {
    const keeping = open()
    keeping.keep([keyOf(1)], NOW)
    const before = openSync(file, "r")
    keeping.keep([keyOf(2)], NOW)
    const bytes = Buffer.alloc(fstatSync(before).size, 1)
    readSync(before, bytes, 0, bytes.length, 0)
    closeSync(before)
    expect(bytes.every((byte) => byte === 0)).toBe(true)
    expect(bytes.length).toBeGreaterThan(64)
  })

  it("stays a soft link where it is one", () => {
    writeFileSync(join(place.path, "elsewhere"), "", { mode: 0o600 })
    symlinkSync("elsewhere", file)
    open().keep([keyOf(2)], NOW)
    expect(readlinkSync(file)).toBe("elsewhere")
    expect(open().read()?.keys).toEqual([keyOf(2)])
  })

  it("that others can read is not used, and is written anew with the right mode", () => {
    open().keep([keyOf(1)], NOW)
    chmodSync(file, 0o644)
    const keeping = open()
    expect(keeping.read()).toBeUndefined()
    expect(warnings).toEqual([expect.stringMatching(/mode 0644 lets others at its keys.*written anew with mode 0600/)])
    keeping.keep([keyOf(3)], NOW)
    expect(modeOf(file)).toBe(0o600)
    expect(open().read()?.keys).toEqual([keyOf(3)])
  })

  it("that began as one of keys and is spoilt is written anew", () => {
    writeFileSync(file, "T: 1795273000\nL: 32\nI: 7\nK: 00", { mode: 0o600 })
    const keeping = open()
    expect(keeping.read()).toBeUndefined()
    expect(warnings).toEqual([expect.stringContaining("cannot be read: it is written anew")])
    keeping.keep([keyOf(3)], NOW)
    expect(open().read()?.keys).toEqual([keyOf(3)])
  })

  it.each([
    ["root:x:0:0:root:/root:/bin/bash\n", 0o600],
    ["root:x:0:0:root:/root:/bin/bash\n", 0o644],
    ["x".repeat(10_000), 0o600]
  ])("that is something else stays as it is, with a warning: %#", (text, mode) => {
    writeFileSync(file, text, { mode })
    const keeping = open()
    expect(keeping.read()).toBeUndefined()
    expect(warnings).toHaveLength(1)
    keeping.keep([keyOf(1)], NOW)
    expect(readFileSync(file, "utf8")).toBe(text)
    expect(modeOf(file)).toBe(mode)
  })

  it("that is a directory, or in none, is said to be", () => {
    mkdirSync(file)
    const keeping = open()
    expect(keeping.read()).toBeUndefined()
    keeping.keep([keyOf(1)], NOW)
    expect(readdirSync(file)).toEqual([])
    const nowhere = new CookieKeyFile(join(place.path, "no/such"), (message) => warnings.push(message))
    expect(nowhere.read()).toBeUndefined()
    nowhere.keep([keyOf(1)], NOW)
    expect(warnings).toEqual([expect.stringContaining("name another"), expect.stringContaining("it is not there")])
  })
})

describe("a coordinator with one", () => {
  let running: RunningCoordinator[] = []
  afterEach(async () => {
    await Promise.all(running.map((it) => it.kill()))
    running = []
  })
  const start = (directory: string, ...args: readonly string[]): RunningCoordinator => {
    const started = startCoordinator(join(place.path, directory), "node-a", ["--cookie-keys", file, ...args])
    running.push(started)
    return started
  }
  const hexOf = ({ generations }: ServingKeys, id: number): string =>
    Buffer.from(generations.find((it) => it.id === id)?.key ?? []).toString("hex")
  const kept = () => parseCookieKeys(readFileSync(file, "latin1"))
  const numbersKept = (): readonly number[] => kept()?.keys.map(({ generation }) => generation) ?? []
  const keptWhen = (good: (numbers: readonly number[]) => boolean): Promise<true> =>
    until(
      () => (good(numbersKept()) ? true : undefined),
      () => `keys in the file, found ${numbersKept().join()}`
    )

  it("goes on from it in a fresh state directory: same key, same number, and the next after it", async () => {
    const first = start("a")
    const before = await first.keys()
    expect(numbersKept()).toEqual([1])
    await first.ask("POST", "/keys/revoke", { generation: 1, reason: "so that numbers are past 1" })
    const after = await first.keys((keys) => ids(keys).join() === "2,3")
    await keptWhen((numbers) => numbers.join() === "2")
    // What was revoked has left the file at once.
    expect(readFileSync(file, "latin1")).not.toContain(hexOf(before, 1))
    await first.drain()

    const anew = start("b")
    const keys = await anew.keys()
    expect(ids(keys)).toEqual([2, 3])
    expect(hexOf(keys, 2)).toBe(hexOf(after, 2))
    expect(hexOf(keys, 3)).not.toBe(hexOf(after, 3))
    expect(keys.generations.find(({ id }) => id === 2)?.activation).toBe(0)
    expect(anew.warnings).toEqual([])
    const { ntsKeys } = await anew.stateWhen((it) => it.leading)
    expect(ntsKeys.map(({ generation, status }) => [generation, status])).toEqual([
      [2, "active"],
      [3, "pending"]
    ])
    // In its own state the log is what counts, whatever the file says.
    await anew.drain()
    writeFileSync(file, formatCookieKeys({ since: Date.now(), keys: [keyOf(90)] }), { mode: 0o600 })
    const again = start("b")
    expect(ids(await again.keys())).toEqual([2, 3])
    expect(numbersKept()).toEqual([2])
  })

  it("rotates it with the log", async () => {
    const coordinator = start("a", "--rotate", "1")
    await coordinator.keysOnce((keys) => ids(keys).some((id) => id >= 6))
    await keptWhen((numbers) => numbers.length >= 2 && (numbers[0] ?? 0) >= 5 && !numbers.includes(1))
    expect(coordinator.warnings).toEqual([])
  })

  it("starts with one that is spoilt, and says so", async () => {
    writeFileSync(file, "garbage\n", { mode: 0o600 })
    const coordinator = start("a")
    expect(ids(await coordinator.keys())).toEqual([1, 2])
    await coordinator.warning(/no file of NTS master keys and stays as it is/)
    expect(readFileSync(file, "utf8")).toBe("garbage\n")
  })
})

const SUITE = "the master keys' file with NTPsec"
describe.runIf(canMakeNamespaces(SUITE) && peersAvailable(SUITE, ["ntpsec-ntpd"]))("NTPsec's ntpd", () => {
  const run = async (said: RegExp): Promise<void> => {
    const [key, certificate] = [join(place.path, "key.pem"), join(place.path, "certificate.pem")]
    makeCertificate({ key, certificate })
    const configuration = join(place.path, "conf")
    writeFileSync(configuration, `nts enable cert ${certificate} key ${key} cookie ${file}\n`)
    const { command, args, env } = peer("ntpsec-ntpd")!
    const child = spawn("unshare", ["--net", command, ...args, "-n", "-c", configuration], {
      env,
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (bytes: Buffer) => (output += bytes.toString()))
    const ended = once(child, "exit")
    try {
      await until(
        () => (said.test(output) ? true : undefined),
        () => `ntpd to say ${said.source}, found ${output}`
      )
    } finally {
      child.kill("SIGTERM")
      await ended
    }
  }

  it("reads the file, and its own is gone on from", async () => {
    open().keep([keyOf(1), keyOf(2)], Date.now() - 60_000)
    await run(/Read cookie file, 2 keys/)
    expect(open().read()?.keys).toEqual([keyOf(2), keyOf(1)])
    rmSync(file)
    await run(/Private Key OK/)
    const own = open().read()
    expect(own?.keys).toHaveLength(1)
    expect(warnings).toEqual([])
    const coordinator = startCoordinator(join(place.path, "a"), "node-a", ["--cookie-keys", file])
    try {
      const number = own?.keys[0]?.generation ?? 0
      expect(ids(await coordinator.keys())).toEqual([number, number + 1])
    } finally {
      await coordinator.kill()
    }
  })
})
