import { execFile, spawnSync } from "node:child_process"
import { createPrivateKey, X509Certificate } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { DEVELOPMENT_SUBJECT, developmentCertificate } from "../src/development-certificate.ts"
import { ask, request, summary } from "./ke-client.ts"
import { type Folder, makeFolder, startService } from "./running-service.ts"

const DAY = 86_400
const now = Math.floor(Date.now() / 1000)

let folder: Folder
beforeAll(() => {
  folder = makeFolder()
})
afterAll(() => folder.remove())

const made = (name: string, host = "box.example", at = now) => {
  const place = join(folder.path, name)
  const files = developmentCertificate(place, host, at)
  return { place, files, certificate: new X509Certificate(readFileSync(files.certificate)) }
}

describe("developmentCertificate", () => {
  it("is what its name says, for this machine and for a year", () => {
    const { certificate } = made("plain")
    expect(certificate.subject).toBe(`CN=${DEVELOPMENT_SUBJECT}`)
    expect(certificate.issuer).toBe(certificate.subject)
    expect(certificate.subjectAltName).toBe(
      "DNS:localhost, DNS:box.example, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1"
    )
    expect(certificate.verify(certificate.publicKey)).toBe(true)
    expect(certificate.ca).toBe(false)
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"])
    expect(certificate.validToDate.getTime() / 1000 - now).toBe(365 * DAY)
    expect(certificate.validFromDate.getTime() / 1000).toBeLessThan(now)
    expect(certificate.serialNumber).toMatch(/^[0-9A-F]{20,32}$/)
  })

  it("keeps the key to its owner and puts nothing else in the folder", () => {
    const { place, files, certificate } = made("owner")
    expect(statSync(files.key).mode & 0o777).toBe(0o600)
    expect(readdirSync(place).toSorted()).toEqual(["nts-development-certificate.pem", "nts-development-key.pem"])
    expect(certificate.checkPrivateKey(createPrivateKey(readFileSync(files.key)))).toBe(true)
    expect(readFileSync(files.certificate, "utf8")).not.toContain("PRIVATE")
  })

  it("is made once, and anew with the same key when it is about to run out or the machine has another name", () => {
    const first = made("again")
    expect(made("again", "box.example", now + 300 * DAY).certificate.serialNumber).toBe(first.certificate.serialNumber)
    const second = made("again", "box.example", now + 340 * DAY)
    expect(second.certificate.serialNumber).not.toBe(first.certificate.serialNumber)
    expect(second.certificate.publicKey.equals(first.certificate.publicKey)).toBe(true)
    const renamed = made("again", "other.example", now + 340 * DAY)
    expect(renamed.certificate.subjectAltName).toContain("DNS:other.example")
    rmSync(first.files.certificate)
    expect(made("again").certificate.publicKey.equals(first.certificate.publicKey)).toBe(true)
  })

  it("is one for processes that ask at the same time", async () => {
    const place = join(folder.path, "together")
    const script = [
      `import { readFileSync } from "node:fs"`,
      `import { developmentCertificate } from ${JSON.stringify(new URL("../src/development-certificate.ts", import.meta.url).href)}`,
      `const { certificate, key } = developmentCertificate(${JSON.stringify(place)}, "box.example", ${now})`,
      `process.stdout.write(readFileSync(certificate, "utf8") + readFileSync(key, "utf8"))`
    ].join("\n")
    const run = promisify(execFile)
    const asking = Array.from({ length: 6 }, () => run(process.execPath, ["--input-type=module", "-e", script]))
    const shown = (await Promise.all(asking)).map(({ stdout }) => stdout)
    expect(shown[0]).toContain("-----END CERTIFICATE-----")
    expect(new Set(shown).size).toBe(1)
    expect(readdirSync(place).toSorted()).toEqual(["nts-development-certificate.pem", "nts-development-key.pem"])
  })

  it("leaves a key it cannot read to the operator", () => {
    const { files, place } = made("broken")
    writeFileSync(files.key, "not a key")
    expect(() => developmentCertificate(place, "box.example", now)).toThrow(
      /unencrypted PEM private key in .*replace the file/
    )
    expect(readFileSync(files.key, "utf8")).toBe("not a key")
  })

  it("says in words that a directory has its place, and leaves it and nothing else there", () => {
    const { files, place } = made("directory")
    rmSync(files.certificate)
    mkdirSync(join(files.certificate, "of somebody"), { recursive: true })
    expect(() => developmentCertificate(place, "box.example", now)).toThrow(
      /^the development certificate cannot be made in .*directory: it is a directory; make room/
    )
    expect(readdirSync(place).toSorted()).toEqual(["nts-development-certificate.pem", "nts-development-key.pem"])
  })

  it.each(["", "localhost", "with space", "ünicode", "-x", "a..b", "x".repeat(300), "192.0.2.7"])(
    "does without a host name such as %j",
    (host) => {
      const { certificate } = made(`host-${Buffer.from(host).toString("hex").slice(0, 40)}`, host)
      expect(certificate.subjectAltName).toBe("DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1")
    }
  )

  it.runIf(spawnSync("openssl", ["version"]).status === 0)("satisfies openssl", () => {
    const { files } = made("openssl")
    const openssl = (...args: readonly string[]): string => {
      const { stdout, stderr, status } = spawnSync("openssl", [...args], { encoding: "utf8" })
      expect({ status, stderr }).toMatchObject({ status: 0 })
      return stdout
    }
    const text = openssl("x509", "-in", files.certificate, "-noout", "-text")
    expect(text).toMatch(/Version: 3 \(0x2\)/)
    expect(text).toContain("Signature Algorithm: ecdsa-with-SHA256")
    expect(text).toMatch(/Basic Constraints: critical\s+CA:FALSE/)
    expect(text).toMatch(/Key Usage: critical\s+Digital Signature\n/)
    expect(text).toContain("TLS Web Server Authentication")
    const trust = ["-CAfile", files.certificate, "-purpose", "sslserver"]
    expect(openssl("verify", ...trust, "-verify_hostname", "box.example", files.certificate)).toContain("OK")
    expect(openssl("verify", ...trust, "-verify_ip", "::1", files.certificate)).toContain("OK")
  })

  it("is made by the service when no certificate is given", async () => {
    const place = join(folder.path, "state", "new")
    const service = await startService({ settings: { developmentDirectory: place } })
    try {
      const ca = join(place, "nts-development-certificate.pem")
      expect(existsSync(ca)).toBe(true)
      const { records } = await ask({ port: service.port, ca }, request(15))
      expect(summary(records)).toBe("protocol!(0) aead!(15) cookie[96]×8 end!")
    } finally {
      await service.stop()
    }
  })
})
