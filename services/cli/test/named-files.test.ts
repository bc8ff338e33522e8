/** `config check` looks at the files that a configuration names. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeCertificate } from "@meridian/testkit/certificates"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { loadSettings } from "@meridian/config"
import { checkNamedFiles } from "../src/named-files.ts"
import { meridian } from "@meridian/testkit/running-node"

const folder = mkdtempSync(join(tmpdir(), "meridian-named-"))
const at = (name: string): string => join(folder, name)
const isRoot = process.getuid?.() === 0

const certificate = (name: string, days: number): void =>
  makeCertificate({ key: `${at(name)}.key`, certificate: `${at(name)}.pem`, days })

beforeAll(() => {
  chmodSync(folder, 0o755)
  writeFileSync(at("keys"), "1 MD5 secret\n", { mode: 0o600 })
  certificate("good", 90)
  certificate("other", 90)
  certificate("soon", 3)
  mkdirSync(at("closed"), { mode: 0o700 })
  writeFileSync(at("closed/key"), "x")
  writeFileSync(at("open"), "1 MD5 secret\n")
  chmodSync(at("open"), 0o644)
  writeFileSync(at("hash"), "1 MD5 sec#ret\n", { mode: 0o600 })
  writeFileSync(at("words"), "no key at all\n", { mode: 0o600 })
  writeFileSync(at("leap"), "#$ 3676924800\n#@ 3833827200\n2272060800 10\n")
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const check = async (text: string, ...flags: readonly string[]) => {
  writeFileSync(at("ntp.conf"), `${text.replaceAll("@", `${folder}/`)}\n`)
  const { code, stdout } = await meridian(["config", "check", "--json", ...flags, at("ntp.conf")])
  const { diagnostics, filesOk } = JSON.parse(stdout) as {
    filesOk: boolean
    diagnostics: readonly { line: number; column: number; message: string }[]
  }
  expect(filesOk).toBe(code === 0)
  return {
    code,
    said: diagnostics.map(({ line, column, message }) => `${line}:${column} ${message.replaceAll(`${folder}/`, "@")}`)
  }
}

describe("config check", () => {
  it.each<readonly [lines: string, code: number, said: readonly RegExp[]]>([
    [
      "keys @keys\ntrustedkey 1\ndriftfile @drift\nleapfile @leap\nnts cert @good.pem key @good.key",
      0,
      [/leap file @leap expired on 2021-06-28/]
    ],
    ["xdp lo native", 0, []],
    ["port 1123\nxdp none0", 0, [/^2:5 this machine has no interface none0 now; /]],
    ["keys @none", 3, [/^1:6 the key file @none cannot be used: it is not there$/]],
    ["keys @open", 0, [/^1:6 the key file @open: everybody can read it \(0644\)/]],
    ["keys @hash", 0, [/^1:6 .*@hash:1: key 1: the key ends at the '#'/]],
    ["keys @words", 3, [/no line of the key file @words gives a key/]],
    [
      "keys @keys\ntrustedkey 1 7\nserver 192.0.2.1 key 7",
      3,
      [/^3:22 key 7 is not in @keys, so nothing can be sent to 192.0.2.1$/]
    ],
    ["keys @keys\ntrustedkey 1 7\ncontrolkey 7", 3, [/^3:12 key 7 is not in @keys, so nothing can be changed/]],
    [
      "nts cert @good.pem key @other.key",
      3,
      [/^1:\d+ the private key @other.key is not that of the certificate @good.pem$/]
    ],
    ["nts cert @keys key @good.key", 3, [/the certificate @keys is no certificate in PEM/]],
    ["nts cert @good.pem key @keys", 3, [/the private key @keys is no private key in PEM/]],
    ["nts cert @soon.pem key @soon.key", 0, [/the certificate @soon.pem expires in 2 days/]],
    ["server 192.0.2.1 nts ca @none.pem", 3, [/^1:25 the file of authorities @none.pem cannot be used/]],
    ["leapfile @none", 3, [/^1:10 the leap file @none cannot be used: it is not there/]],
    ["leapfile @keys", 3, [/^1:10 the leap file @keys/]],
    ["driftfile @none/drift", 3, [/^1:11 the drift file .*: there is no directory @none$/]],
    ["logfile @none/log", 3, [/^1:9 the log file/]],
    ["statsdir @none/\nstatistics loopstats", 3, [/^1:10 the directory of statistics .*: there is no directory/]],
    ["statsdir @none/", 0, []],
    ["refclock pps path @none", 3, [/^1:19 the device @none cannot be used/]]
  ])("of %j ends with %i", async (lines, code, said) => {
    const found = await check(lines)
    expect(found.said).toEqual(said.map((one) => expect.stringMatching(one) as string))
    expect(found.code).toBe(code)
  })

  it.each([
    ["1999-01-01", /valid from .* on; is this machine's clock right\?/],
    ["2199-01-01", /expired at .*; renew it/]
  ])("of a certificate says on %s that it is of another time", (day, said) => {
    const text = `nts cert ${at("good.pem")} key ${at("good.key")}`
    const { settings } = loadSettings({
      file: "f",
      readFile: () => ({ ok: true, bytes: new TextEncoder().encode(text) }),
      overrides: {},
      machine: { cores: 1, interfaces: [] }
    })
    const locate = () => ({ file: "f", line: 1, column: 1, length: 1, lineText: text })
    const unixSeconds = Date.parse(day) / 1000
    const remarks = checkNamedFiles({ settings, files: [], identity: undefined, locate, unixSeconds })
    expect(remarks).toEqual([
      expect.objectContaining({ unusable: true, message: expect.stringMatching(said) as string })
    ])
  })

  it.runIf(isRoot)("asks for the user that the node will run as", async () => {
    const text = "keys @keys\nnts cert @good.pem key @closed/key\ndriftfile @drift"
    const { code, said } = await check(text, "--user", "nobody")
    expect(code).toBe(3)
    expect(said).toEqual([
      expect.stringMatching(
        /^2:\d+ the private key .* nobody may not enter .*closed \(0700, root:root\); mend it by: chgrp/
      ),
      expect.stringMatching(/^3:11 the drift file .* nobody may not write in .*; give it a directory of its own/)
    ])
    // Root's key file is read while the node is root.
    expect(said.join()).not.toContain("@keys")
    expect(await check(`user nobody\n${text}`)).toMatchObject({ code: 3 })
  })

  it.runIf(isRoot)("says of a receiver's first segments that they are root's alone", async () => {
    const text =
      "server 127.127.28.0\nfudge 127.127.28.0 refid GPS\nrefclock shm unit 1\nrefclock shm unit 2 mode 1\nrefclock shm unit 3"
    const { code, said } = await check(text, "--user", "nobody")
    expect(code).toBe(3)
    const closed = said.filter((one) => one.includes("for its maker alone"))
    expect(closed).toEqual([
      expect.stringMatching(/^1:8 the shared memory of SHM\(0\) .* so nobody may not attach it; use unit 2 or above/),
      expect.stringMatching(/^3:\d+ the shared memory of SHM\(1\) /),
      expect.stringMatching(/^4:\d+ the shared memory of SHM\(2\) /)
    ])
    expect((await check(text)).said.join()).not.toContain("for its maker alone")
  })

  it("knows a user by name, and says so where there is none", async () => {
    writeFileSync(at("ntp.conf"), "server 192.0.2.1\n")
    const { code, stderr } = await meridian(["config", "check", "--user", "nobody-of-that-name", at("ntp.conf")])
    expect([code, stderr]).toEqual([2, expect.stringContaining("no user nobody-of-that-name on this system")])
    expect(existsSync(at("drift"))).toBe(false)
  })
})
