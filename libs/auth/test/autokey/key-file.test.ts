import { nodePasswordCiphers } from "@meridian/ciphers/password-ciphers"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { keyCiphers, openKey, pkcs8Block, traditionalDsaBlock } from "../../src/autokey/key-encryption.ts"
import { formatAutokeyFile, readAutokeyFile } from "../../src/autokey/key-file.ts"
import { type DsaNumbers, readPkcs8, writePkcs8 } from "../../src/autokey/private-keys.ts"
import { fileText, recordings } from "./recordings.ts"

const dsa: DsaNumbers = { kind: "dsa", p: 23n, q: 11n, g: 2n, publicNumber: 13n, privateNumber: 7n }

/** Every key file of every recording, with the passwords that were used. */
const recordedFiles = recordings.flatMap(({ keys }) =>
  [keys.server, keys.client].flatMap((side) => Object.keys(side.files).map((name) => ({ side, name })))
)

describe("the reference's key files", () => {
  it("are all read, with the filestamp of their first line", () => {
    let opened = 0
    let certificates = 0
    for (const { side, name } of recordedFiles) {
      const read = readAutokeyFile(fileText(side, name)!)
      if (typeof read === "string") throw new Error(`${name}: expected ${read}`)
      expect([4004169773, 4004169774]).toContain(read.filestamp)
      for (const block of read.blocks) {
        if (block.label === "CERTIFICATE") {
          certificates += 1
          continue
        }
        const password = name.endsWith("otherpw") ? "otherpw" : side.password
        const key = openKey(block, password, nodePasswordCiphers)
        expect(typeof key, `${name}: ${JSON.stringify(typeof key === "string" ? key : key.kind)}`).toBe("object")
        expect(openKey(block, "wrong", nodePasswordCiphers)).toEqual(
          block.label === "ENCRYPTED PRIVATE KEY" ? "password" : key
        )
        opened += 1
      }
    }
    expect({ opened, certificates }).toEqual({ opened: 75, certificates: 28 })
  })
})

describe("our key files", () => {
  it.each(keyCiphers.map((cipher) => [cipher.name, cipher] as const))("are read back under %s", (_, cipher) => {
    for (const password of [undefined, "", "pässword with blanks"]) {
      const pkcs8 = pkcs8Block(dsa, cipher, password, nodePasswordCiphers)
      expect(openKey(pkcs8, password, nodePasswordCiphers)).toEqual({ ...dsa, publicNumber: undefined })
      const traditional = traditionalDsaBlock(dsa, cipher, password, nodePasswordCiphers)
      expect(openKey(traditional, password, nodePasswordCiphers)).toEqual(dsa)
      const text = formatAutokeyFile("ntpkey_iffpar_wonder.4004169774", "Fri Nov 20 13:22:54 2026", [traditional])
      expect(readAutokeyFile(text)).toEqual({
        name: "ntpkey_iffpar_wonder.4004169774",
        filestamp: 4_004_169_774,
        blocks: [traditional]
      })
    }
  })

  it("do not open without their password", () => {
    const block = pkcs8Block(dsa, keyCiphers[0]!, "right", nodePasswordCiphers)
    expect(openKey(block, undefined, nodePasswordCiphers)).toBe("password")
    const traditional = traditionalDsaBlock(dsa, keyCiphers[0]!, "right", nodePasswordCiphers)
    expect(openKey(traditional, "wrong", nodePasswordCiphers)).toBe("password")
    expect(openKey({ ...traditional, headers: { "DEK-Info": "RC4,00" } }, "right", nodePasswordCiphers)).toBe(
      "encryption"
    )
  })

  it("keep every number of an RSA key", () => {
    const rsa = { kind: "rsa", n: 9n, e: 8n, d: 7n, p: 6n, q: 5n, dp: 4n, dq: 3n, qInverse: 2n } as const
    expect(readPkcs8(writePkcs8(rsa))).toEqual(rsa)
  })
})

describe("readAutokeyFile", () => {
  it("says what it missed", () => {
    expect(readAutokeyFile("")).toBe("a first line `# NAME.FILESTAMP`")
    expect(readAutokeyFile("# ntpkey_host_alice\n")).toBe("a first line `# NAME.FILESTAMP`")
    expect(readAutokeyFile("# name.99999999999\n")).toBe("a first line `# NAME.FILESTAMP`")
    expect(readAutokeyFile("# name.1\n")).toBe("a PEM block after the remarks")
    const block = "-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n"
    expect(readAutokeyFile(`# name.1\n${block}`)).toBe("whole base64 in its PEM block")
  })

  it("takes lines that end as on other systems", () => {
    const text = "# a.b.4004169774\r\n\r\n-----BEGIN X-----\r\nAAAA\r\n-----END X-----\r\n"
    expect(readAutokeyFile(text)).toMatchObject({ name: "a.b.4004169774", filestamp: 4_004_169_774 })
  })

  it("never throws", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        expect(readAutokeyFile(`# x.1\n${text}`)).toBeDefined()
      })
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (der) => {
        for (const label of ["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "DSA PRIVATE KEY", "X"])
          expect(typeof openKey({ label, headers: {}, der }, "pw", nodePasswordCiphers)).toBe("string")
      })
    )
  })
})
