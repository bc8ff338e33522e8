import { generateKeyPairSync, X509Certificate } from "node:crypto"
import { nodeRsa } from "@meridian/ciphers/autokey-rsa"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  type AutokeyCertificate,
  isSelfSigned,
  isSignedBy,
  publicKeyOf,
  readCertificate
} from "../../src/autokey/certificate.ts"
import {
  type HostCertificate,
  issueClientCertificate,
  issueHostCertificate
} from "../../src/autokey/certificate-issue.ts"
import { schemeByName, schemeByNumber, signatureSchemes } from "../../src/autokey/signature-schemes.ts"
import { signatureFault, signValue, stampFault } from "../../src/autokey/signed-value.ts"
import { file, recording } from "./recordings.ts"

const newKey = (bits = 1024) =>
  nodeRsa.openPrivateKey(
    generateKeyPairSync("rsa", { modulusLength: bits }).privateKey.export({ type: "pkcs8", format: "der" })
  )!
const alice = newKey()
const bob = newKey()
const from = 1_795_180_974
const about: HostCertificate = {
  name: "alice@wonder",
  serial: from + 2_208_988_800,
  from,
  lifetimeSeconds: 365 * 86_400,
  kind: "trusted"
}
const md5 = schemeByName("rsa-md5")!
const read = (der: Uint8Array): AutokeyCertificate => {
  const certificate = readCertificate(der)
  if (typeof certificate === "string") throw new Error(certificate)
  return certificate
}

describe("certificates", () => {
  it("of the reference say what its log says of them", () => {
    const side = recording("gq-p15").keys.server
    const certificate = read(file(side, "ntpkey_cert_alice").blocks[0]!.der)
    expect(certificate).toMatchObject({
      subject: "alice@wonder",
      issuer: "alice@wonder",
      claimsTrust: true,
      isPrivate: false,
      scheme: schemeByNumber(8)
    })
    expect(certificate.gqPublic).toBeGreaterThan(1n << 500n)
    expect(certificate.notAfter - certificate.notBefore).toBe(365 * 86_400)
    expect(read(file(recording("pc").keys.server, "ntpkey_cert_alice").blocks[0]!.der).isPrivate).toBe(true)
    expect(isSignedBy(certificate, publicKeyOf(certificate, nodeRsa)!)).toBe(true)
  })

  it.each(signatureSchemes.map((scheme) => [scheme.name, scheme] as const))(
    "of ours with %s are sound",
    (_, scheme) => {
      const gqPublic = (1n << 1010n) + 12_345n
      const der = issueHostCertificate({ ...about, gqPublic }, alice, scheme)
      const certificate = read(der)
      expect(certificate).toMatchObject({
        subject: "alice@wonder",
        notBefore: from,
        notAfter: from + 365 * 86_400,
        serial: BigInt(about.serial),
        claimsTrust: true,
        gqPublic,
        scheme
      })
      expect(isSelfSigned(certificate)).toBe(true)
      expect(isSignedBy(certificate, publicKeyOf(certificate, nodeRsa)!)).toBe(true)
      const other = new X509Certificate(der)
      expect(other.subject).toBe("CN=alice@wonder")
      expect(other.ca).toBe(true)
      expect(other.validFromDate.getTime() / 1000).toBe(from)
    }
  )

  it("of clients are signed with the client's key and extensions in them", () => {
    const own = read(issueHostCertificate({ ...about, name: "bob", kind: "plain" }, bob, md5))
    const signed = read(issueClientCertificate(own, "alice@wonder", about.serial + 9, from + 9, alice, md5))
    expect(signed).toMatchObject({ subject: "bob", issuer: "alice@wonder", claimsTrust: false, notBefore: from + 9 })
    expect(signed.spki).toEqual(own.spki)
    expect(signed.extensions).toEqual(own.extensions)
    expect(isSignedBy(signed, nodeRsa.openSpki(alice.publicSpki)!)).toBe(true)
    expect(isSignedBy(signed, publicKeyOf(own, nodeRsa)!)).toBe(false)
  })

  it("with a year past 2049, and names that are none", () => {
    const late = { ...about, from: 2_524_608_000, serial: 1 }
    expect(read(issueHostCertificate(late, alice, md5)).notBefore).toBe(2_524_608_000)
    for (const name of ["", "two words", "ünder", "x".repeat(257)])
      expect(readCertificate(issueHostCertificate({ ...about, name }, alice, md5))).toBe("name")
    expect(readCertificate(issueHostCertificate({ ...about, lifetimeSeconds: -1 }, alice, md5))).toBe("validity")
  })

  it("never make the reader throw, however they are damaged", () => {
    const der = issueHostCertificate(about, alice, md5)
    expect(readCertificate(new Uint8Array(5000))).toBe("format")
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(der.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        (changes) => {
          const damaged = der.slice()
          for (const [at, value] of changes) damaged[at] = value
          const certificate = readCertificate(damaged)
          if (typeof certificate !== "string") void publicKeyOf(certificate, nodeRsa)
        }
      )
    )
  })
})

describe("signed values", () => {
  const signer = { key: alice, scheme: md5 }
  const key = nodeRsa.openSpki(alice.publicSpki)!

  it("verify under the signer's key and for what was signed alone", () => {
    const value = signValue(signer, 10, 5, Uint8Array.of(1, 2, 3))
    expect(signatureFault(value, key, md5)).toBeUndefined()
    expect(signatureFault({ ...value, timestamp: 11 }, key, md5)).toBe("signature")
    expect(signatureFault({ ...value, value: Uint8Array.of(1, 2, 4) }, key, md5)).toBe("signature")
    expect(signatureFault({ ...value, signature: value.signature.subarray(1) }, key, md5)).toBe("signature-length")
    expect(signatureFault(value, nodeRsa.openSpki(bob.publicSpki)!, md5)).toBe("signature")
    expect(signValue(signer, 0, 5, Uint8Array.of(1)).signature).toHaveLength(0)
  })

  it("have stamps that can be", () => {
    const now = 4_004_170_000
    expect(stampFault({ timestamp: 0, filestamp: 0 }, undefined, now)).toBe("timestamp")
    expect(stampFault({ timestamp: now - 9, filestamp: now - 8 }, undefined, now)).toBe("timestamp")
    expect(stampFault({ timestamp: now + 90_000, filestamp: now - 8 }, undefined, now)).toBe("timestamp")
    expect(stampFault({ timestamp: now + 90_000, filestamp: now - 8 }, undefined, 0)).toBeUndefined()
    const before = { timestamp: now - 50, filestamp: now - 100 }
    expect(stampFault({ timestamp: now - 51, filestamp: now - 100 }, before, now)).toBe("timestamp")
    expect(stampFault({ timestamp: now, filestamp: now - 101 }, before, now)).toBe("filestamp")
    expect(stampFault({ timestamp: now, filestamp: now - 100 }, before, now)).toBeUndefined()
    // Across the end of the era.
    expect(stampFault({ timestamp: 5, filestamp: 0xffff_fff0 }, undefined, 6)).toBeUndefined()
  })
})

describe("RSA", () => {
  it("decrypts what was encrypted to it, and nothing else", () => {
    const cookie = Uint8Array.of(0x94, 0x98, 0xbc, 0x2a)
    const ciphertext = nodeRsa.encryptPkcs1(bob.publicPkcs1, cookie)!
    expect(new Uint8Array(bob.decrypt(ciphertext)!)).toEqual(cookie)
    expect(alice.decrypt(ciphertext)).toBeUndefined()
    expect(bob.decrypt(ciphertext.subarray(1))).toBeUndefined()
  })

  it("takes no key that is none, nor one of absurd size", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        expect(nodeRsa.encryptPkcs1(bytes, new Uint8Array(4))).toBeUndefined()
        expect(nodeRsa.openSpki(bytes)).toBeUndefined()
        expect(nodeRsa.openPrivateKey(bytes)).toBeUndefined()
      })
    )
    const long = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "der" })
    expect(nodeRsa.openSpki(long)).toBeUndefined()
  })
})
