import { mkdtempSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { fingerprint } from "@meridian/event-log"
import { openClusterKeys, parseClusterKey } from "../src/cluster-keys.ts"

describe("cluster keys", () => {
  const hex = "0123456789abcdef".repeat(4)
  const key = parseClusterKey(hex, "test")
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "meridian-key-"))
  })
  afterEach(() => rmSync(directory, { recursive: true }))
  const sources = { file: undefined, credentials: undefined, variable: undefined, create: false }
  const write = (name: string, text: string, mode: number): string => {
    const file = join(directory, name)
    writeFileSync(file, text, { mode })
    return file
  }

  it("are 64 hexadecimal digits or Base64, and nothing else; errors do not quote them", () => {
    expect(parseClusterKey(` ${hex}\n`, "x")).toEqual(key)
    expect(parseClusterKey(Buffer.from(key).toString("base64"), "x")).toEqual(key)
    for (const text of ["", hex.slice(1), `${hex}0`, `${hex.slice(1)}g`]) {
      let message = "none"
      try {
        parseClusterKey(text, "here")
      } catch (error) {
        message = (error as Error).message
      }
      expect(message).toContain("here holds no cluster key")
      expect(message).not.toContain("abcdef")
    }
  })

  it("come from the file, then systemd, then the environment, and are made only where that is allowed", () => {
    const file = write("given", hex, 0o640)
    write("cluster-key", "f".repeat(64), 0o600)
    const from = (changes: object): string => openClusterKeys({ ...sources, directory, ...changes }).first
    const other = fingerprint(parseClusterKey("f".repeat(64), "x"))
    expect(from({ file, credentials: directory })).toBe(fingerprint(key))
    expect(from({ credentials: directory, variable: hex })).toBe(other)
    expect(from({ variable: hex })).toBe(fingerprint(key))
    rmSync(join(directory, "cluster-key"))
    expect(() => from({})).toThrow("no cluster key")
    const made = from({ create: true })
    expect(from({ create: true })).toBe(made)
    expect(statSync(join(directory, "cluster-key")).mode & 0o777).toBe(0o600)
  })

  it.each([
    ["cluster-key", "links that lead to each other"],
    ["elsewhere", "it is not there"]
  ])("are not made in place of a link to %s", (target, why) => {
    symlinkSync(target, join(directory, "cluster-key"))
    expect(() => openClusterKeys({ ...sources, directory, create: true })).toThrow(why)
    expect(readlinkSync(join(directory, "cluster-key"))).toBe(target)
  })

  it("in a file open to others are refused", () => {
    for (const mode of [0o644, 0o660, 0o601, 0o602]) {
      const file = write(`mode-${mode}`, hex, 0o600)
      // The mask of the process must not decide what is tested.
      rmSync(file)
      const mask = process.umask(0)
      write(`mode-${mode}`, hex, mode)
      process.umask(mask)
      expect(() => openClusterKeys({ ...sources, directory, file })).toThrow("chmod 600")
    }
  })

  it("change: the next one is kept, and takes the old one's place in the node's own file", () => {
    const keys = openClusterKeys({ ...sources, directory, create: true })
    const old = keys.first
    const next = keys.keepNext(new Uint8Array(key))
    expect(openClusterKeys({ ...sources, directory }).fingerprints).toEqual([old, next])
    expect(keys.settle(next, [old])).toBeUndefined()
    expect(keys.fingerprints).toEqual([next])
    expect(openClusterKeys({ ...sources, directory }).fingerprints).toEqual([next])
    const file = write("given", "e".repeat(64), 0o600)
    const given = openClusterKeys({ ...sources, directory, file })
    given.keepNext(new Uint8Array(key))
    expect(given.settle(next, [given.first])).toContain("put the new key in place")
  })
})
