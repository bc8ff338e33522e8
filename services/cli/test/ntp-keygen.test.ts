/** `ntp-keygen` as its page has it, with its files read by classic ntpd and classic's files read by it. */
import { spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { readCertificate } from "@meridian/auth/autokey/certificate"
import { iffGroupKeyFrom, iffParametersFrom, mvParametersFrom } from "@meridian/auth/autokey/identity-files"
import { openKey } from "@meridian/auth/autokey/key-encryption"
import { readAutokeyFile } from "@meridian/auth/autokey/key-file"
import { nodePasswordCiphers } from "@meridian/ciphers/password-ciphers"
import { peer, type PeerName, peersAvailable } from "@meridian/testkit/real-peers"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ntpKeygen } from "../src/ntp-keygen.ts"

const program = resolve(import.meta.dirname, "../bin/ntp-keygen.mjs")
let root: string
let count = 0
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "ntp-keygen-"))
})
afterAll(() => rmSync(root, { recursive: true }))
const folder = (): string => {
  count += 1
  return mkdtempSync(join(root, `${count}-`))
}

const run = (cwd: string, ...args: readonly string[]) => {
  const printed = { stdout: "", stderr: "" }
  const status = ntpKeygen(args, {
    directory: cwd,
    out: (text) => {
      printed.stdout += text
    },
    say: (line) => {
      printed.stderr += `${line}\n`
    }
  })
  return { status, ...printed }
}
/** Small keys are quick to make. */
const small = ["-m", "1024", "-b", "512"]
const files = (cwd: string): readonly string[] => readdirSync(cwd).toSorted()
const fileOf = (text: string) => {
  const file = readAutokeyFile(text)
  if (typeof file === "string") throw new Error(file)
  return file
}
const numbersOf = (text: string, password?: string) => {
  const key = openKey(fileOf(text).blocks[0]!, password, nodePasswordCiphers)
  if (typeof key === "string") throw new Error(key)
  return key
}
const certificateIn = (cwd: string, host: string) => {
  const certificate = readCertificate(fileOf(readFileSync(join(cwd, `ntpkey_cert_${host}`), "utf8")).blocks[0]!.der)
  if (typeof certificate === "string") throw new Error(certificate)
  return certificate
}

describe("ntp-keygen", () => {
  it("makes a trusted host with an IFF key, and exports its parameters without changing anything", () => {
    const cwd = folder()
    expect(run(cwd, "-T", "-I", "-p", "srvpw", "-s", "alice@wonder", ...small)).toMatchObject({ status: 0, stdout: "" })
    const stamp = readlinkSync(join(cwd, "ntpkey_host_alice")).split(".").at(-1)
    expect(files(cwd)).toEqual([
      `ntpkey_IFFkey_wonder.${stamp}`,
      `ntpkey_RSA-MD5cert_alice.${stamp}`,
      `ntpkey_RSAhost_alice.${stamp}`,
      "ntpkey_cert_alice",
      "ntpkey_host_alice",
      "ntpkey_iffkey_alice",
      "ntpkey_iffkey_wonder"
    ])
    expect(statSync(join(cwd, "ntpkey_host_alice")).mode & 0o777).toBe(0o640)
    const text = readFileSync(join(cwd, "ntpkey_host_alice"), "utf8").split("\n")
    expect(text[0]).toBe(`# ntpkey_RSAhost_alice.${stamp}`)
    expect(text[1]).toMatch(/^# [A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$/)
    expect(text.slice(2, 4)).toEqual(["", "-----BEGIN ENCRYPTED PRIVATE KEY-----"])
    expect(certificateIn(cwd, "alice")).toMatchObject({ subject: "alice@wonder", claimsTrust: true })

    const before = files(cwd)
    const exported = run(cwd, "-e", "-p", "srvpw", "-s", "alice")
    expect(exported.stdout.split("\n")[0]).toBe(`# ntpkey_iffpar_wonder.${stamp}`)
    const group = iffGroupKeyFrom(numbersOf(readFileSync(join(cwd, "ntpkey_iffkey_wonder"), "utf8"), "srvpw"))
    const parameters = iffParametersFrom(numbersOf(exported.stdout))
    expect([typeof group, typeof parameters]).toEqual(["object", "object"])
    const other = run(cwd, "-q", "otherpw", "-p", "srvpw", "-s", "alice")
    expect(iffGroupKeyFrom(numbersOf(other.stdout, "otherpw"))).toEqual(group)
    expect(files(cwd)).toEqual(before)
    expect(certificateIn(cwd, "alice").serial).toBe(BigInt(stamp!))
  })

  it("gives a new secret a new filestamp and leaves the old files", () => {
    const cwd = folder()
    run(cwd, "-T", "-I", "-p", "pw", "-s", "alice", ...small)
    const first = readlinkSync(join(cwd, "ntpkey_iffkey_alice"))
    const old = readFileSync(join(cwd, first), "utf8")
    run(cwd, "-T", "-I", "-p", "pw", "-s", "alice", ...small)
    expect(readlinkSync(join(cwd, "ntpkey_iffkey_alice"))).not.toBe(first)
    expect(readFileSync(join(cwd, first), "utf8")).toBe(old)
  })

  it("renews a server's certificate with the guide's `-T -q PASSWORD`, keeping its name, scheme and trust", () => {
    const cwd = folder()
    run(cwd, "-T", "-I", "-p", "srvpw", "-s", "alice@wonder", "-c", "RSA-SHA256", ...small)
    const before = certificateIn(cwd, "alice")
    const renewed = run(cwd, "-T", "-q", "srvpw", "-s", "alice")
    expect(renewed).toMatchObject({ status: 0, stdout: "" })
    const after = certificateIn(cwd, "alice")
    expect(after).toMatchObject({
      subject: "alice@wonder",
      claimsTrust: true,
      scheme: before.scheme,
      spki: before.spki
    })
    expect(after.serial).toBeGreaterThan(before.serial)
    expect(run(cwd, "-p", "srvpw", "-s", "alice").status).toBe(0)
    expect(certificateIn(cwd, "alice")).toMatchObject({ claimsTrust: true, subject: "alice@wonder" })
  })

  it("makes hosts, sign keys, private certificates, GQ and MV groups and symmetric keys", () => {
    const cwd = folder()
    run(cwd, "-H", "-S", "RSA", "-p", "pw", "-s", "bob", "-l", "30", "-m", "1024", "-C", "des-ede3-cbc")
    const bob = certificateIn(cwd, "bob")
    expect(bob).toMatchObject({ claimsTrust: false, isPrivate: false })
    expect(bob.notAfter - bob.notBefore).toBe(30 * 86_400)
    expect(files(cwd).filter((name) => name.startsWith("ntpkey_RSAsign_bob"))).toHaveLength(1)
    run(cwd, "-P", "-p", "pw", "-s", "carol", "-m", "1024")
    expect(certificateIn(cwd, "carol").isPrivate).toBe(true)
    run(cwd, "-T", "-G", "-p", "pw", "-s", "dora@gqgroup", ...small)
    expect(certificateIn(cwd, "dora").gqPublic).toBeGreaterThan(1n)
    expect(run(cwd, "-e", "-p", "pw", "-s", "dora").stdout).toContain("# ntpkey_gqpar_gqgroup.")
    run(cwd, "-T", "-V", "3", "-p", "pw", "-s", "eve@mvgroup", "-m", "1024", "-b", "256")
    const clients = ["1", "2", "3"].map((client) =>
      mvParametersFrom(numbersOf(run(cwd, "-e", "-p", "pw", "-s", "eve", "--client", client).stdout))
    )
    expect(new Set(clients.map((client) => typeof client === "object" && client.xbar)).size).toBe(3)
    expect(run(cwd, "-e", "-p", "pw", "-s", "eve", "--client", "4").stderr).toContain("expected a client from 1 to 3")
    run(cwd, "-M", "-s", "bob")
    const keys = readFileSync(join(cwd, "ntpkey_md5_bob"), "utf8")
    expect(keys.match(/^ ?\d+ MD5 [^#\s]{20} {2}# MD5 key$/gm)).toHaveLength(10)
    expect(keys.match(/^\d+ SHA1 [0-9a-f]{40} {2}# SHA1 key$/gm)).toHaveLength(10)
  })

  it.each([
    [["-p", "wrong", "-s", "alice"], "ntpkey_host_alice: the password does not open it"],
    [["-e", "-p", "pw", "-s", "alice"], "no group key of alice to export"],
    [["-S", "DSA"], "expected RSA after -S"],
    [["-c", "DSA-SHA"], "expected a scheme of RSA-MD5"],
    [["-C", "des-cbc"], "expected a cipher of aes-256-cbc"],
    [["-m", "100"], "from 256 to 4096"],
    [["-V", "1"], "a number of clients after -V from 2 to 30"],
    [["-G", "-b", "1024", "-p", "pw", "-s", "alice"], "at most 1016 bits"],
    [["-T", "-P"], "not both"],
    [["-s", "../x"], "a host's name of letters"],
    [["-i", "a b"], "a group's name of letters"],
    [["--nonsense"], "Unknown option"],
    [["-p", "pw", "-s", "damaged"], "it is no file of ntp-keygen"],
    [["-p", "pw", "-s", "inthe"], "is there and no soft link"]
  ] as const)("says in one line what to do: %j", (args, message) => {
    const cwd = folder()
    run(cwd, "-p", "pw", "-s", "alice", "-m", "512")
    writeFileSync(join(cwd, "ntpkey_host_damaged"), "nothing\n")
    run(cwd, "-p", "pw", "-s", "inthe", "-m", "512")
    rmSync(join(cwd, "ntpkey_cert_inthe"))
    writeFileSync(join(cwd, "ntpkey_cert_inthe"), readFileSync(join(cwd, "ntpkey_cert_alice")))
    const { status, stdout, stderr } = run(cwd, ...args)
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" })
    expect(stderr.split("\n").at(-2)).toContain(message)
    expect(stderr).not.toMatch(/\n {4}at /)
  })

  it("explains itself", () => {
    expect(run(folder(), "--help").stdout).toContain("Usage: ntp-keygen")
    expect(run(folder(), "--version").stdout).toMatch(/^ntp-keygen \d/)
  })

  it("is a command of its own, in the working directory", () => {
    const cwd = folder()
    const made = spawnSync(process.execPath, [program, "-H", "-p", "clipw", "-s", "bob", "-m", "1024"], {
      cwd,
      encoding: "utf8"
    })
    expect(made).toMatchObject({ status: 0, stdout: "" })
    expect(made.stderr).toContain("ntpkey_host_bob->ntpkey_RSAhost_bob.")
    expect(files(cwd)).toHaveLength(4)
    expect(spawnSync(process.execPath, [program, "-Z"], { cwd, encoding: "utf8" }).status).toBe(1)
  })
})

describe.runIf(peersAvailable("ntp-keygen", ["classic-ntpd", "classic-ntp-keygen"]))("with classic ntp", () => {
  const classic = (cwd: string, name: PeerName, ...args: readonly string[]) => {
    const { command, args: before, env } = peer(name)!
    return spawnSync(command, [...before, ...args], { cwd, env, encoding: "utf8" })
  }

  it("reads what classic wrote, and repairs what it exports", () => {
    const cwd = folder()
    classic(cwd, "classic-ntp-keygen", "-T", "-I", "-p", "srvpw", "-s", "alice@wonder")
    const theirs = classic(cwd, "classic-ntp-keygen", "-e", "-p", "srvpw", "-s", "alice@alice").stdout
    expect(iffParametersFrom(numbersOf(theirs))).toBe("lost-number")
    const ours = run(cwd, "-e", "-p", "srvpw", "-s", "alice@wonder")
    expect(ours.status).toBe(0)
    expect(typeof iffParametersFrom(numbersOf(ours.stdout))).toBe("object")
    expect(run(cwd, "-T", "-p", "srvpw", "-s", "alice").status).toBe(0)
    expect(certificateIn(cwd, "alice").subject).toBe("alice@wonder")
  })

  it("is read by classic: its ntp-keygen exports the same group, its ntpd starts with the files", async () => {
    const cwd = folder()
    run(cwd, "-T", "-G", "-I", "-V", "3", "-S", "RSA", "-p", "srvpw", "-s", "alice@wonder", "-m", "1024", "-b", "512")
    const ours = numbersOf(run(cwd, "-e", "-p", "srvpw", "-s", "alice").stdout)
    const theirs = numbersOf(classic(cwd, "classic-ntp-keygen", "-e", "-p", "srvpw", "-s", "alice@wonder").stdout)
    expect(theirs).toMatchObject({ kind: "rsa", n: (ours as typeof theirs & { n: bigint }).n })
    const configuration = join(cwd, "ntp.conf")
    const lines = [
      `keysdir ${cwd}`,
      "crypto host alice ident wonder pw srvpw",
      `statsdir ${cwd}/`,
      "statistics cryptostats",
      "filegen cryptostats file cryptostats type none",
      "interface ignore all"
    ]
    writeFileSync(configuration, `${lines.join("\n")}\n`)
    const { command, args, env } = peer("classic-ntpd")!
    const child = spawn(command, [...args, "-n", "-c", configuration, "-l", join(cwd, "ntpd.log")], {
      env,
      stdio: "ignore"
    })
    const ended = new Promise<void>((done) => void child.on("exit", () => done()))
    try {
      await expect
        .poll(() => (files(cwd).includes("cryptostats") ? readFileSync(join(cwd, "cryptostats"), "utf8") : ""), {
          timeout: 60_000
        })
        .toContain("setup 0x800e1 host wonder md5WithRSAEncryption")
      const stats = readFileSync(join(cwd, "cryptostats"), "utf8")
      for (const name of ["RSAhost_alice", "RSAsign_alice", "IFFkey_wonder", "GQkey_wonder", "MVkey_wonder"])
        expect(stats).toContain(`ntpkey_${name}.`)
    } finally {
      child.kill()
      await ended
    }
  })
})
