/** Certificates while the service runs: reload, several names, bad files. */
import { copyFileSync, renameSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { CertificateStore } from "../src/certificate-store.ts"
import { type CertificateFiles, readCertificate } from "../src/certificates.ts"
import { ask, connected, request, summary, type Target } from "./ke-client.ts"
import { type Folder, makeFolder, type RunningService, startService } from "./running-service.ts"

const DAY = 86_400
const AGREED = "protocol!(0) aead!(15) cookie[96]×8 end!"

let folder: Folder
beforeAll(() => {
  folder = makeFolder()
})
afterAll(() => folder.remove())

const fingerprint = (files: CertificateFiles): string => readCertificate(files, Date.now() / 1000).status.fingerprint

/** Puts a pair in the place of another as renewal programs do: each file by a rename. */
const replace = (target: CertificateFiles, by: CertificateFiles): void => {
  for (const which of ["certificate", "key"] as const) copyFileSync(by[which], `${target[which]}.new`)
  for (const which of ["certificate", "key"] as const) renameSync(`${target[which]}.new`, target[which])
}

describe("readCertificate", () => {
  const now = Date.now() / 1000
  const broken = (changes: Partial<CertificateFiles>): string => {
    const files = { ...folder.certificate("whole", ["ntp.test"]), ...changes }
    try {
      readCertificate(files, now)
    } catch (error) {
      expect(error).toMatchObject({ _tag: "CertificateError" })
      return (error as Error).message
    }
    throw new Error("it was read")
  }
  const file = (name: string, text: string): string => {
    const path = join(folder.path, name)
    writeFileSync(path, text)
    return path
  }

  it("describes what it read", () => {
    const { status, warning, covers } = readCertificate(
      folder.certificate("a", ["ntp.test", "*.pool.test", "192.0.2.1", "2001:db8::1"]),
      now
    )
    expect(status.names).toEqual(["ntp.test", "*.pool.test", "192.0.2.1", "2001:DB8:0:0:0:0:0:1"])
    expect(status.notAfter - now).toBeCloseTo(365 * DAY, -1)
    expect(status.fingerprint).toMatch(/^[0-9a-f]{64}$/)
    expect(warning).toBeUndefined()
    expect(covers("ntp.test", "literally")).toBe(true)
    expect(covers("NTP.TEST", "literally")).toBe(true)
    expect(covers("a.pool.test", "literally")).toBe(false)
    expect(covers("a.pool.test", "by wildcard")).toBe(true)
    for (const name of [
      "a.b.pool.test",
      "pool.test",
      ".pool.test",
      "*.pool.test.",
      "test",
      "",
      "192.0.2.1",
      "x".repeat(300)
    ])
      expect(covers(name, "by wildcard")).toBe(false)
  })

  it("says what is wrong with each file, and never quotes a key", () => {
    expect(broken({ certificate: "/nonexistent.pem" })).toMatch(
      /certificate from \/nonexistent\.pem, found that it is not there/
    )
    expect(broken({ key: folder.path })).toMatch(/read the key .* found that it is a directory/)
    expect(broken({ certificate: file("empty.pem", "") })).toMatch(/expected a PEM certificate .* found none/)
    const nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    expect(broken({ certificate: file("nonsense.pem", nonsense) })).toMatch(/cannot be read \(number 1\)/)
    const secret = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    const message = broken({ key: file("bad.key", secret) })
    expect(message).toMatch(/unencrypted PEM private key/)
    expect(message).not.toContain("c2VjcmV0")
    expect(broken({ key: folder.certificate("other", ["x.test"]).key })).toMatch(/found another/)
  })

  it("finds a broken intermediate", () => {
    const files = folder.certificate("chain", ["ntp.test"])
    const whole = readCertificate(files, now)
    writeFileSync(files.certificate, `${whole.chain}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`)
    expect(() => readCertificate(files, now)).toThrow(/number 2/)
  })

  it("uses one that is out of date, with a warning", () => {
    const expired = readCertificate(folder.certificate("expired", ["a"], now - 400 * DAY), now)
    expect(expired.warning).toMatch(/expired on 20/)
    const early = readCertificate(folder.certificate("early", ["a"], now + 40 * DAY), now)
    expect(early.warning).toMatch(/valid only from 20/)
  })
})

describe("CertificateStore", () => {
  it("notices a change by dates alone, and a link that points elsewhere", async () => {
    const first = folder.certificate("first", ["ntp.test"])
    const second = folder.certificate("second", ["ntp.test"])
    const linked = { certificate: join(folder.path, "live.crt"), key: join(folder.path, "live.key") }
    const link = (files: CertificateFiles): void => {
      for (const which of ["certificate", "key"] as const) {
        symlinkSync(files[which], `${linked[which]}.new`)
        renameSync(`${linked[which]}.new`, linked[which])
      }
    }
    link(first)
    const seen: string[] = []
    const store = new CertificateStore(
      [linked],
      { onChange: ([loaded]) => void seen.push(loaded!.status.fingerprint), onWarning: () => {} },
      { settleMs: 10, pollMs: 20 }
    )
    store.watch()
    link(second)
    await vi.waitUntil(() => seen.length > 0, { timeout: PATIENCE_MS })
    expect(seen).toEqual([fingerprint(second)])
    utimesSync(second.certificate, 1, 1)
    copyFileSync(first.key, second.key)
    copyFileSync(first.certificate, second.certificate)
    await vi.waitUntil(() => seen.length > 1, { timeout: PATIENCE_MS })
    expect(seen.at(-1)).toBe(fingerprint(first))
    store.close()
  })

  it("says that a certificate has ended or has not begun while nobody touches its file", async () => {
    const now = Date.now() / 1000
    const files = folder.certificate("aging", ["ntp.test"])
    const { notBefore = 0, notAfter } = readCertificate(files, now).status
    let moment = notBefore - 10
    const warnings: string[] = []
    const store = new CertificateStore(
      [files],
      { onChange: () => {}, onWarning: (message) => void warnings.push(message), now: () => moment },
      { settleMs: 10, pollMs: 10 }
    )
    store.watch()
    expect(store.troubles).toEqual([expect.stringMatching(/valid only from .*check the date and this machine's clock/)])
    moment = now
    expect(store.troubles).toEqual([])
    moment = notAfter
    await vi.waitUntil(() => warnings.length === 2, { timeout: PATIENCE_MS })
    expect(warnings[1]).toMatch(/expired on .*: clients will refuse it, renew it/)
    expect(store.troubles).toEqual([warnings[1]])
    store.close()
  })

  it("takes the old ones back when the new ones cannot be put to use", () => {
    const files = folder.certificate("veto", ["ntp.test"])
    const before = fingerprint(files)
    const warnings: string[] = []
    const store = new CertificateStore([files], {
      onChange: () => {
        throw new Error("key too small")
      },
      onWarning: (message) => void warnings.push(message)
    })
    replace(files, folder.certificate("veto-next", ["ntp.test"]))
    store.reload()
    expect(warnings).toEqual(["the new certificates cannot be used, the old ones stay: key too small"])
    expect(store.current[0]?.status.fingerprint).toBe(before)
  })
})

describe("a running service", () => {
  let service: RunningService
  let main: CertificateFiles
  const target = (): Target => ({ port: service.port, ca: main.certificate })
  const lax = { rejectUnauthorized: false }
  const shown = async (servername: string): Promise<string> =>
    (await ask(target(), request(15), { tls: { ...lax, servername } })).fingerprint

  let pool: CertificateFiles
  let special: CertificateFiles
  beforeAll(async () => {
    main = folder.certificate("main", ["localhost", "ntp.test"])
    pool = folder.certificate("pool", ["*.pool.test"])
    special = folder.certificate("special", ["one.pool.test", "special.test"])
    service = await startService({ certificates: [main, pool, special] })
  })
  afterAll(async () => {
    await service.stop()
  })

  it("chooses by the name asked for: literal before wildcard, the first for all others", async () => {
    expect(await shown("ntp.test")).toBe(fingerprint(main))
    expect(await shown("two.pool.test")).toBe(fingerprint(pool))
    expect(await shown("one.pool.test")).toBe(fingerprint(special))
    expect(await shown("nobody.test")).toBe(fingerprint(main))
    expect(await shown("")).toBe(fingerprint(main))
    const { certificates } = await service.report()
    expect(certificates.map(({ names }) => names[0])).toEqual(["localhost", "*.pool.test", "one.pool.test"])
  })

  it("shows a new certificate to new connections and leaves an open one alone", async () => {
    const before = fingerprint(main)
    const old = await connected(target())
    const next = folder.certificate("next", ["localhost", "ntp.test"])
    replace(main, next)
    await vi.waitUntil(async () => (await shown("localhost")) === fingerprint(next), {
      timeout: PATIENCE_MS,
      interval: 100
    })
    expect(before).not.toBe(fingerprint(next))
    let length = 0
    old.on("data", (chunk: Buffer) => (length += chunk.length))
    old.write(request(15))
    await new Promise((closed) => old.once("close", closed))
    expect(length).toBeGreaterThan(8 * 96)
    expect(service.warnings).toEqual([])
  })

  it("still refuses TLS 1.2 after a reload, and still wants ALPN", async () => {
    const old = await ask(target(), request(15), { tls: { ...lax, maxVersion: "TLSv1.2" } })
    expect(old.end).toBe("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION")
    const other = await ask(target(), request(15), { tls: { ...lax, ALPNProtocols: ["h2"] } })
    expect(other.end).toBe("ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL")
  })

  it("keeps the old certificate when the new file is bad, and shouts once", async () => {
    const before = fingerprint(main)
    const copy = { certificate: `${main.certificate}.kept`, key: `${main.key}.kept` }
    replace(copy, main)
    writeFileSync(main.certificate, "half a certifi")
    expect(await service.warning(/main\.crt.*stays in use/)).toContain("found none")
    for (let again = 0; again < 3; again++) service.send({ type: "reload" })
    const shownNow = await ask({ ...target(), ca: copy.certificate }, request(15))
    expect(shownNow.fingerprint).toBe(before)
    expect(summary(shownNow.records)).toBe(AGREED)
    await service.report()
    expect(service.warnings).toHaveLength(1)
    const expired = folder.certificate("late", ["localhost"], Date.now() / 1000 - 400 * DAY)
    replace(main, expired)
    expect(await service.warning(/expired on.*stays in use/)).toBeDefined()
    const { certificates } = await service.report()
    expect(certificates[0]?.fingerprint).toBe(before)
    replace(main, copy)
  })

  it("reads again when it is told to", async () => {
    const next = folder.certificate("told", ["localhost"])
    replace(main, next)
    service.send({ type: "reload" })
    const { certificates } = await service.report((report) => report.certificates[0]?.fingerprint === fingerprint(next))
    expect(certificates).toHaveLength(3)
  })
})
