/** Key directories as operators leave them: each fault is one line that says what to do, and nothing else stops. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, describe, expect, it } from "vitest"
import { type KeysDirectory, readKeysDirectory } from "../src/keys-directory.ts"

interface Side {
  readonly password: string
  readonly files: Readonly<Record<string, string>>
  readonly links: Readonly<Record<string, string>>
}

/** Both sides' files of an exchange by IFF that classic ntp 4.2.8p15 had. */
const fixture = new URL("../../auth/test/fixtures/autokey/iff.json", import.meta.url)
const { keys, serverStats } = JSON.parse(readFileSync(fixture, "utf8")) as {
  keys: Record<"server" | "client", Side>
  serverStats: readonly string[]
}

const made: string[] = []
afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true })
})

/** The directory as ntp-keygen left it, changed by `change`. */
const directoryOf = (side: Side, change: (file: (name: string) => string) => void = () => {}): string => {
  const directory = mkdtempSync(join(tmpdir(), "meridian-keys-"))
  made.push(directory)
  for (const [name, text] of Object.entries(side.files)) writeFileSync(join(directory, name), text, { mode: 0o640 })
  for (const [name, target] of Object.entries(side.links)) symlinkSync(target, join(directory, name))
  change((name) => join(directory, name))
  return directory
}
const read = (directory: string, plan: Partial<KeysDirectory> = {}) => {
  const found = readKeysDirectory({
    directory,
    host: "alice",
    password: keys.server.password,
    ident: "wonder",
    digest: "MD5",
    groups: [],
    ...plan
  })
  return { ...found, problems: found.problems.map((line) => line.replaceAll(`${directory}/`, "")) }
}

describe("a directory of Autokey's keys", () => {
  it("as ntp-keygen left it has credentials and nothing to say", () => {
    const { host, problems, notes } = read(directoryOf(keys.server))
    expect(problems).toEqual([])
    // The reference's own lines of the same files.
    const theirs = serverStats.filter((line) => / (mod|len) /.test(line)).map((line) => line.split(" 0.0.0.0 ")[1])
    expect(notes).toEqual(theirs)
    expect(host?.identity.map(({ scheme }) => scheme)).toEqual(["iff"])
  })

  it.each<[string, (file: (name: string) => string) => void, Partial<KeysDirectory>, string]>([
    [
      "a missing host key",
      (file) => rmSync(file("ntpkey_host_alice")),
      {},
      "ntpkey_host_alice is missing: make it with ntp-keygen in that directory"
    ],
    [
      "a missing certificate",
      (file) => rmSync(file("ntpkey_cert_alice")),
      {},
      "ntpkey_cert_alice is missing: make it with ntp-keygen in that directory"
    ],
    [
      "a key that others may read",
      (file) => chmodSync(file("ntpkey_host_alice"), 0o644),
      {},
      "cannot use ntpkey_host_alice: others may read it (mode 644); chmod 640"
    ],
    [
      "what is no key file",
      (file) => writeFileSync(file("ntpkey_host_alice"), "# nothing\n"),
      {},
      "ntpkey_host_alice: expected "
    ],
    [
      "a wrong password",
      () => {},
      { password: "wrong" },
      "ntpkey_host_alice: the password does not open it: `crypto pw` must name the one that ntp-keygen -p was given"
    ]
  ])("with %s has none, and says what to do", (_fault, change, plan, said) => {
    const { host, problems } = read(directoryOf(keys.server, change), plan)
    expect(host).toBeUndefined()
    expect(problems[0]?.slice(0, said.length)).toBe(said)
    expect(problems.join("\n")).not.toMatch(/BEGIN|ENOENT|at \/|serverpw/)
  })

  it("with a group key that does not open serves without it", () => {
    const link = keys.server.links["ntpkey_iffkey_wonder"]!
    const { host, problems } = read(
      directoryOf(keys.server, (file) =>
        writeFileSync(file(link), keys.server.files[link]!.replace(/^[A-Za-z0-9+/]{8}/m, "AAAAAAAA"))
      )
    )
    expect(host?.identity).toEqual([])
    expect(problems).toHaveLength(1)
  })

  it("without a group's parameters says that its servers are not believed", () => {
    const client = { host: "bob", password: keys.client.password, ident: undefined }
    expect(read(directoryOf(keys.client), { ...client, groups: ["wonder"] }).problems).toEqual([])
    const { host, problems } = read(directoryOf(keys.client), { ...client, groups: ["other"] })
    expect(host).toBeDefined()
    expect(problems).toEqual([
      "no usable ntpkey_iffpar_other, gqpar or mvpar: its trusted host exports one (ntp-keygen -e); servers of the group are not believed"
    ])
  })
})
