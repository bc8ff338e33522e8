import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import { hostname, tmpdir } from "node:os"
import { join } from "node:path"
import { parseKeyFile } from "@meridian/auth/key-file"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { ntpdigOnPort, peer, peersAvailable, type PeerCommand } from "@meridian/testkit/real-peers"
import { freePort } from "@meridian/testkit/running-node"
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { KeyFileTrouble } from "../src/key-directory.ts"
import { writeKeyFile } from "../src/ntpkeygen.ts"

const NOW = new Date(2026, 10, 7, 9, 5, 3)
const FILESTAMP = Math.floor(NOW.getTime() / 1000) + 2_208_988_800

let folder = ""
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ntpkeygen-"))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe("the files", () => {
  it("are a key file that only its owner may read, and a link to it", () => {
    const { name } = writeKeyFile(folder, "whimsy.example", NOW)
    expect(name).toBe(`ntpkey_AES_whimsy.example.${FILESTAMP}`)
    expect(readdirSync(folder).toSorted()).toEqual(["ntp.keys", name])
    expect(readlinkSync(join(folder, "ntp.keys"))).toBe(name)
    expect(lstatSync(join(folder, name)).mode & 0o7777).toBe(0o400)
    const text = readFileSync(join(folder, "ntp.keys"), "utf8")
    expect(text.split("\n").slice(0, 2)).toEqual([`# ${name}`, "# Sat Nov  7 09:05:03 2026"])
    expect(parseKeyFile(text, name).table.size).toBe(20)
  })

  it("hold other keys each time, and the link follows", () => {
    writeKeyFile(folder, "a", NOW)
    const before = parseKeyFile(readFileSync(join(folder, "ntp.keys"), "utf8"), "").table
    const { name } = writeKeyFile(folder, "a", new Date(NOW.getTime() + 1000))
    expect(readlinkSync(join(folder, "ntp.keys"))).toBe(name)
    const after = parseKeyFile(readFileSync(join(folder, "ntp.keys"), "utf8"), "").table
    const secrets = [...before.keys, ...after.keys].map(({ secret }) => secret.join())
    expect(new Set(secrets).size).toBe(40)
  })

  it("never replace a key file", () => {
    const { name } = writeKeyFile(folder, "a", NOW)
    const before = readFileSync(join(folder, name))
    expect(() => writeKeyFile(folder, "a", NOW)).toThrow(KeyFileTrouble)
    expect(readFileSync(join(folder, name))).toEqual(before)
    expect(readdirSync(folder)).toHaveLength(2)
  })

  it("never replace an ntp.keys that is no link, and leave nothing behind", () => {
    writeFileSync(join(folder, "ntp.keys"), "1 MD5 mine\n")
    expect(() => writeKeyFile(folder, "a", NOW)).toThrow("no soft link")
    expect(readdirSync(folder)).toEqual(["ntp.keys"])
    expect(readFileSync(join(folder, "ntp.keys"), "utf8")).toBe("1 MD5 mine\n")
  })

  it.each(["", "../a", "a\nb", "a b"])("are not made for a machine called %j", (host) => {
    expect(() => writeKeyFile(folder, host, NOW)).toThrow("expected letters")
    expect(readdirSync(folder)).toEqual([])
  })
})

describe("the command", () => {
  const program = join(import.meta.dirname, "../bin/ntpkeygen.mjs")
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
      cwd: folder,
      encoding: "utf8"
    })
    return { status, stdout, stderr }
  }

  it("writes into the working directory and says what", () => {
    expect(run()).toMatchObject({ status: 0, stdout: "" })
    const target = readlinkSync(join(folder, "ntp.keys"))
    expect(target).toMatch(/^ntpkey_AES_.+\.\d{10}$/)
    expect(target).toContain(hostname())
    expect(statSync(join(folder, "ntp.keys")).mode & 0o777).toBe(0o400)
  })

  it.each([["-h"], ["--help"], ["-V"], ["--version"]])("%s answers and writes nothing", (flag) => {
    expect(run(flag)).toMatchObject({ status: 0, stdout: expect.stringMatching(/^(Usage: )?ntpkeygen /), stderr: "" })
    expect(readdirSync(folder)).toEqual([])
  })

  it.each([
    [["-M"]],
    [["-x"]],
    [["extra"]],
    [["--directory"]],
    [["--directory", "none/such"]],
    [["--directory", "/proc"]]
  ])("%j ends with 1, one line and no file", (args) => {
    const { status, stdout, stderr } = run(...args)
    expect([status, stdout]).toEqual([1, ""])
    expect(stderr).toMatch(/^ntpkeygen: [^\n]+\n$/)
    expect(readdirSync(folder)).toEqual([])
  })
})

const PATIENCE_MS = 120_000
const until = async (holds: () => boolean, what: string): Promise<void> => {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end;) {
    if (holds()) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`still waiting for ${what}`)
}

interface Running {
  readonly output: () => string
  readonly end: () => Promise<void>
}

const start = (command: string, args: readonly string[], env: NodeJS.ProcessEnv): Running => {
  const child: ChildProcess = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (output += String(chunk)))
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  const end = async (): Promise<void> => {
    child.kill("SIGTERM")
    await ended
  }
  return { output: () => output, end }
}

const peers = ["chronyd-4.3", "ntpsec-ntpd", "ntpsec-ntpdig"] as const

describe.runIf(peersAvailable("ntpkeygen with real daemons", peers))("the file as it is", () => {
  // A fixed port would meet other tests; chronyd cannot be given 0.
  let port = 0
  beforeAll(async () => {
    port = await freePort()
  })

  const startChronyd = async (): Promise<Running> => {
    const { command, args, env } = peer("chronyd-4.3") as PeerCommand
    const settings = [
      `port ${port}`,
      "bindaddress 127.0.0.1",
      "cmdport 0",
      "bindcmdaddress /",
      `pidfile ${folder}/chronyd.pid`,
      `keyfile ${folder}/ntp.keys`,
      "local stratum 8",
      "allow 127.0.0.1"
    ]
    const running = start(command, [...args, "-d", "-x", ...settings], env)
    await until(() => /Running with|exiting|Fatal/.test(running.output()), "chronyd")
    return running
  }

  it.runIf(canMakeNamespaces("ntpkeygen with NTPsec's ntpd"))("gives NTPsec's ntpd all twenty keys", async () => {
    writeKeyFile(folder, "a", NOW)
    writeFileSync(join(folder, "ntp.conf"), `keys ${folder}/ntp.keys\ntrustedkey (1 ... 20)\n`)
    const { command, args, env } = peer("ntpsec-ntpd") as PeerCommand
    // ntpd always opens port 123, so it gets a network of its own.
    const running = start("unshare", ["--net", command, ...args, "-n", "-d", "-c", join(folder, "ntp.conf")], env)
    try {
      await until(() => /authreadkeys: added \d+ keys/.test(running.output()), "ntpd to read the keys")
      expect(running.output()).toContain("authreadkeys: added 20 keys")
    } finally {
      await running.end()
    }
  })

  it("gives chronyd and NTPsec's ntpdig the same twenty keys", async () => {
    writeKeyFile(folder, "a", NOW)
    const chronyd = await startChronyd()
    try {
      expect(chronyd.output()).not.toContain("AES128")
      const { command, args, env } = ntpdigOnPort(port) as PeerCommand
      for (const key of ["1", "10", "11", "20"]) {
        const asked = [...args, "-a", key, "-k", join(folder, "ntp.keys"), "-t", "30", "127.0.0.1"]
        const { status, stdout, stderr } = spawnSync(command, asked, { env, encoding: "utf8", timeout: PATIENCE_MS })
        expect({ key, status, stdout, stderr }).toMatchObject({ status: 0, stdout: expect.stringContaining("s8") })
      }
    } finally {
      await chronyd.end()
    }
  })
})
