/** Files in the place of a certificate or key that are none, at start and while the service runs. */
import { execFileSync } from "node:child_process"
import { generateKeyPairSync } from "node:crypto"
import { appendFileSync, copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { CertificateStore } from "../src/certificate-store.ts"
import { type CertificateFiles, readCertificate } from "../src/certificates.ts"
import { ask, request, summary } from "./ke-client.ts"
import { type Folder, makeFolder, startService } from "./running-service.ts"

let folder: Folder
let whole: CertificateFiles
beforeAll(() => {
  folder = makeFolder()
  whole = folder.certificate("whole", ["localhost"])
})
afterAll(() => folder.remove())

const now = Date.now() / 1000
const path = (name: string): string => join(folder.path, name)
const text = (name: string, content: string | Uint8Array): string => {
  writeFileSync(path(name), content)
  return path(name)
}
const openssl = (...args: readonly string[]): void => void execFileSync("openssl", args, { stdio: "ignore" })

/** Things that cannot be read, put at a path, and what is said of them. */
const unreadable: readonly (readonly [string, (at: string) => void, RegExp])[] = [
  ["a link to itself", (at) => symlinkSync(at, at), /links that lead to each other/],
  ["a folder", (at) => mkdirSync(at), /it is a directory/],
  ["a pipe that nobody writes to", (at) => execFileSync("mkfifo", [at]), /a pipe, socket or device/],
  ["a device without end", (at) => symlinkSync("/dev/zero", at), /a pipe, socket or device/],
  ["a file longer than any chain", (at) => writeFileSync(at, new Uint8Array(2 << 20)), /2097152 bytes, more than/],
  ["nothing", () => {}, /it is not there/]
]

describe("a pair of files", () => {
  it.each(unreadable)("of which one is %s is refused at once", (what, put, why) => {
    const at = path(`bad ${what}`)
    put(at)
    expect(() => readCertificate({ ...whole, certificate: at }, now)).toThrow(why)
    expect(() => readCertificate({ ...whole, key: at }, now)).toThrow(why)
  })

  it("says when a key has a passphrase, in either form of PEM", () => {
    const encrypted = path("pkcs8.key")
    openssl("pkey", "-in", whole.key, "-aes256", "-passout", "pass:secret", "-out", encrypted)
    expect(() => readCertificate({ ...whole, key: encrypted }, now)).toThrow(/passphrase/)
    openssl("ec", "-in", whole.key, "-aes128", "-passout", "pass:secret", "-out", encrypted)
    expect(() => readCertificate({ ...whole, key: encrypted }, now)).toThrow(/passphrase/)
  })

  it("says when the chain begins with another certificate than the key's", () => {
    const other = folder.certificate("issuer", ["issuer.test"])
    const chain = [other.certificate, whole.certificate].map((file) => readFileSync(file, "utf8"))
    expect(() => readCertificate({ ...whole, certificate: text("turned.pem", chain.join("")) }, now)).toThrow(
      /own certificate first .* after another/
    )
    expect(readCertificate({ ...whole, certificate: text("right.pem", chain.toReversed().join("")) }, now)).toBeTruthy()
  })

  it("may not bring along more certificates than a client takes", () => {
    const one = readFileSync(whole.certificate, "utf8")
    const long = text("bundle.pem", one.repeat(400))
    expect(() => readCertificate({ ...whole, certificate: long }, now)).toThrow(/\d{6} bytes of certificates/)
  })

  it.each([
    ["certificate and key in one file", (both: string) => both],
    ["lines ended as Windows does", (both: string) => both.replaceAll("\n", "\r\n")],
    ["a byte order mark", (both: string) => `\uFEFF${both}`],
    ["words around", (both: string) => `Certificate:\n  Issuer: x\n${both}\nend\n`]
  ])("is taken with %s", (name, change) => {
    const both = change(readFileSync(whole.key, "utf8") + readFileSync(whole.certificate, "utf8"))
    const file = text(`${name}.pem`, both)
    expect(readCertificate({ certificate: file, key: file }, now).status.names).toEqual(["localhost"])
  })

  it.each([
    ["a certificate in DER", () => readCertificateBytes(), /PEM text .* found binary data/],
    [
      "half a certificate at its end",
      () => `${readFileSync(whole.certificate, "utf8")}-----BEGIN CERTIFICATE-----\nM`,
      /bad/
    ]
  ])("is refused with %s", (name, content, why) => {
    expect(() => readCertificate({ ...whole, certificate: text(name, content()) }, now)).toThrow(why)
  })

  it.each([
    ["rsa:2048", "RSA"],
    ["ed25519", "Ed25519"]
  ])("may be of %s", (algorithm, name) => {
    const files = { certificate: path(`${name}.crt`), key: path(`${name}.key`) }
    make(files, algorithm, "a.test")
    expect(readCertificate(files, now).status.names).toEqual(["a.test"])
  })
})

const readCertificateBytes = (): Uint8Array => {
  openssl("x509", "-in", whole.certificate, "-outform", "DER", "-out", path("whole.der"))
  return readFileSync(path("whole.der"))
}

const make = (files: CertificateFiles, algorithm: string, name: string): void => {
  const made = ["-newkey", algorithm, "-nodes", "-keyout", files.key, "-out", files.certificate]
  openssl("req", "-x509", ...made, "-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`, "-days", "2")
}

describe("the files in use", () => {
  it("are taken up when they are at rest, however much goes on beside them", async () => {
    const live = folder.certificate("busy", ["localhost"])
    const next = folder.certificate("busy-next", ["localhost"])
    const changes: string[] = []
    const store = new CertificateStore(
      [live],
      { onChange: ([loaded]) => void changes.push(loaded!.status.fingerprint), onWarning: () => {} },
      { settleMs: 200, pollMs: 60_000 }
    )
    store.watch()
    let writing = true
    const beside = (async () => {
      for (; writing; await sleep(10)) appendFileSync(path("a log"), "line\n")
    })()
    for (const which of ["key", "certificate"] as const) copyFileSync(next[which], live[which])
    await vi.waitUntil(() => changes.length > 0, { timeout: PATIENCE_MS })
    writing = false
    await beside
    store.close()
    expect(changes).toEqual([readCertificate(next, now).status.fingerprint])
  })
})

describe("a running service", () => {
  it("goes on with the certificate it has, whatever is put in its place", async () => {
    const live = folder.certificate("live", ["localhost"])
    copyFileSync(live.certificate, path("trusted.crt"))
    const service = await startService({ certificates: [live] })
    try {
      const agrees = async (): Promise<string> =>
        summary((await ask({ port: service.port, ca: path("trusted.crt") }, request(15))).records)
      for (const [, put, why] of unreadable) {
        rmSync(live.certificate, { recursive: true, force: true })
        put(live.certificate)
        service.send({ type: "reload" })
        expect(await service.warning(why)).toMatch(/stays in use/)
        expect(await agrees()).toMatch(/^protocol!\(0\) aead!\(15\)/)
      }
    } finally {
      expect(await service.stop()).toBe(0)
    }
  })

  it("serves with one pair where another is one that TLS will not have, and names that", async () => {
    const good = folder.certificate("good", ["localhost"])
    const weak = { certificate: path("weak.crt"), key: path("weak.key") }
    make(weak, "rsa:1024", "weak.test")
    const service = await startService({ certificates: [weak, good] })
    try {
      expect(await service.warning(/weak\.crt and .*weak\.key, found: ee key too small/)).toBeTruthy()
      const { records } = await ask({ port: service.port, ca: good.certificate }, request(15))
      expect(summary(records)).toMatch(/^protocol!\(0\) aead!\(15\)/)
    } finally {
      await service.stop()
    }
  })

  it("keeps the pair where the new one's key is another's, and takes it once the key is right", async () => {
    const live = folder.certificate("swapped", ["localhost"])
    const next = folder.certificate("swapped-next", ["localhost"])
    const before = readCertificate(live, now).status.fingerprint
    const service = await startService({ certificates: [live] })
    try {
      copyFileSync(next.certificate, live.certificate)
      service.send({ type: "reload" })
      expect(await service.warning(/found another.*stays in use/)).toBeTruthy()
      expect((await service.report()).certificates[0]?.fingerprint).toBe(before)
      const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
      writeFileSync(live.key, privateKey.export({ type: "pkcs1", format: "pem" }))
      service.send({ type: "reload" })
      copyFileSync(next.key, live.key)
      const after = readCertificate(next, now).status.fingerprint
      await service.report(({ certificates }) => certificates[0]?.fingerprint === after)
    } finally {
      await service.stop()
    }
  })
})
