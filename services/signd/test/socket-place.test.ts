/** Where the daemon opens its socket and where it refuses to, and who may have rights to its keys. */
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { KeyTableNotRead, readKeyTable } from "../src/daemon/key-table.ts"
import { openSocket } from "../src/daemon/listen.ts"
import { BadSocketPlace, refuseReplaceable, socketPathOf } from "../src/socket-place.ts"

const isRoot = process.getuid?.() === 0
const ownGroup = String(process.getgid?.() ?? 0)
let folder = ""
let opened: Server | undefined
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "meridian-place-")))
})
afterEach(() => {
  opened?.close()
  opened = undefined
  rmSync(folder, { recursive: true, force: true })
})

const open = async (given: string, group?: string): Promise<string> => {
  const { path, server } = await openSocket(given, group)
  opened = server
  return path
}
/** A directory of exactly that mode. */
const directory = (name: string, mode: number): string => {
  const path = join(folder, name)
  mkdirSync(path)
  chmodSync(path, mode)
  return path
}
const modeOf = (path: string): string => (lstatSync(path).mode & 0o7777).toString(8)

describe("what a setting names", () => {
  it.each([
    ["signd", "signd/socket"],
    ["signd/", "signd/socket"],
    ["ntpsignd.socket", "ntpsignd.socket"],
    ["signd.sock", "signd.sock"],
    ["signd/socket", "signd/socket"]
  ])("where nothing is yet: %s is %s", (given, path) =>
    expect(socketPathOf(given === "signd/" ? `${folder}/signd/` : join(folder, given))).toBe(join(folder, path))
  )

  it("what is there decides before the name does", async () => {
    directory("dir.socket", 0o750)
    symlinkSync("dir.socket", join(folder, "link"))
    expect(socketPathOf(join(folder, "dir.socket"))).toBe(join(folder, "dir.socket/socket"))
    expect(socketPathOf(join(folder, "link"))).toBe(join(folder, "dir.socket/socket"))
    const path = await open(join(folder, "a.socket"))
    expect(socketPathOf(path)).toBe(path)
  })
})

describe("a socket", () => {
  it("lies in a directory 0750 that is made for it, and nobody else's", async () => {
    expect(await open(join(folder, "signd"))).toBe(join(folder, "signd/socket"))
    expect([modeOf(join(folder, "signd")), modeOf(join(folder, "signd/socket"))]).toEqual(["750", "600"])
  })

  it("is for a group where one is named", async () => {
    await open(join(folder, "signd"), ownGroup)
    expect([modeOf(join(folder, "signd")), modeOf(join(folder, "signd/socket"))]).toEqual(["750", "660"])
  })

  it("takes the place of one on which nobody answers, and of none that answers", async () => {
    const path = join(directory("signd", 0o750), "socket")
    const first = await openSocket(path, undefined)
    await expect(openSocket(path, undefined)).rejects.toThrow("a signing daemon answers there already")
    // What a killed daemon leaves is a socket that nobody listens on: one that is renamed before it is closed.
    first.server.close()
    const abandoned = createServer()
    await new Promise<void>((done) => void abandoned.listen(`${path}.old`, done))
    renameSync(`${path}.old`, path)
    abandoned.close()
    expect(lstatSync(path).isSocket()).toBe(true)
    expect(await open(path)).toBe(path)
  })

  it.each([
    [
      "in a directory that others may write to",
      () => directory("signd", 0o777),
      /signd may be written to by others than its owner \(mode 0777\).*; mend it: chmod go-w \S+\/signd$/
    ],
    ["in one that the group may write to", () => directory("signd", 0o770), /mend it: chmod go-w \S+\/signd$/],
    ["in a sticky one", () => directory("signd", 0o1777), /mend it: chmod go-w \S+\/signd$/],
    [
      "below a folder that others may write to",
      () => (directory("signd", 0o750), chmodSync(folder, 0o777)),
      /mend it: chmod go-w \S+meridian-place-\w+$/
    ],
    [
      "in a directory that everybody may enter",
      () => directory("signd", 0o755),
      /everybody may enter \S+ \(mode 0755\); mend it: chmod 0750 \S+\/signd$/
    ],
    [
      "where a file is",
      () => writeFileSync(join(directory("signd", 0o750), "socket"), ""),
      /signd\/socket is there and no socket; move it away, or choose another place$/
    ],
    [
      "behind a link to where others may write",
      () => {
        directory("open", 0o777)
        directory("open/signd", 0o750)
        symlinkSync("open/signd", join(folder, "signd"))
      },
      /mend it: chmod go-w \S+\/open$/
    ],
    [
      "behind a link to itself",
      () => symlinkSync("signd", join(folder, "signd")),
      /leads through more than 40 symbolic links$/
    ]
  ] as const)("is not opened %s", async (_name, prepare, reason) => {
    prepare()
    await expect(open(join(folder, "signd"))).rejects.toThrow(reason)
    await expect(open(join(folder, "signd"))).rejects.toBeInstanceOf(BadSocketPlace)
  })

  it("is not opened for a group that may not enter, or that nobody knows", async () => {
    directory("signd", 0o700)
    await expect(open(join(folder, "signd"), ownGroup)).rejects.toThrow(
      /may not enter \S+ \(mode 0700\); mend it: chmod 0750/
    )
    await expect(open(join(folder, "signd"), "no-such-group")).rejects.toThrow("groupadd --system no-such-group")
  })

  it.runIf(isRoot)("is not opened in a directory of somebody else or of another group", async () => {
    directory("signd", 0o750)
    chownSync(join(folder, "signd"), 0, 65534)
    await expect(open(join(folder, "signd"), "0")).rejects.toThrow(
      /belongs to group 65534, expected 0; mend it: chgrp 0 \S+\/signd$/
    )
    chownSync(join(folder, "signd"), 65534, 65534)
    await expect(open(join(folder, "signd"))).rejects.toThrow(
      /belongs to user 65534, who could put another socket there; mend it: chown root \S+\/signd/
    )
  })

  it("has a path that the kernel takes", async () => {
    await expect(open(join(folder, "x".repeat(120)))).rejects.toThrow("at most 107 octets")
  })
})

describe("a directory that leads to it", () => {
  it("may be /tmp, but not be in it as such", () => {
    const user = process.geteuid?.() ?? 0
    refuseReplaceable(directory("fine", 0o755), user)
    expect(() => refuseReplaceable(directory("sticky", 0o1777), user)).toThrow(BadSocketPlace)
    refuseReplaceable(directory("sticky/fine", 0o755), user)
    expect(() => refuseReplaceable(join(folder, "nowhere/at/all"), user)).toThrow("is not there; make it: mkdir -p")
  })
})

describe("the key table", () => {
  const keys = (text: string, mode: number): string => {
    const path = join(folder, "keys")
    writeFileSync(path, text)
    chmodSync(path, mode)
    return path
  }

  it("is read where only its user may", () => expect(readKeyTable(keys("1103 password x\n", 0o400)).size).toBe(1))

  it.each([
    ["that others may read", () => keys("", 0o644), /\(mode 0644\), and it holds keys; mend it: chmod 0600 \S+\/keys$/],
    ["that the group may read", () => keys("", 0o640), /mend it: chmod 0600/],
    ["that is a directory", () => directory("keys", 0o700), /it is a directory/],
    ["that is not there", () => join(folder, "none"), /none cannot be read: it is not there/],
    ["with a wrong line", () => keys("1 x y\n", 0o600), /keys:1: account 1: expected 'nthash' or 'password'/],
    ["with many", () => keys("x\n".repeat(30), 0o600), /keys:10: .*\nand 20 more lines of \S+\/keys$/]
  ] as const)("is not used %s", (_name, prepare, reason) => {
    const path = prepare()
    expect(() => readKeyTable(path)).toThrow(reason)
    expect(() => readKeyTable(path)).toThrow(KeyTableNotRead)
  })

  it.runIf(isRoot)("is not used when it is somebody else's", () => {
    const path = keys("1103 password x\n", 0o600)
    chownSync(path, 65534, 65534)
    expect(() => readKeyTable(path)).toThrow(/belongs to user 65534; mend it: chown 0 \S+\/keys$/)
  })
})
