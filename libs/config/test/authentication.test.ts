import { describe, expect, it } from "vitest"
import { authenticationSettings } from "../src/authentication-settings.ts"
import { aeadId, keyRange, tlsVersion } from "../src/authentication-types.ts"
import { parseText } from "../src/parse.ts"
import type { Overrides } from "../src/settings.ts"
import { allProblems, settle } from "./settled.ts"

const parsed = (type: { parse(text: string): { ok: boolean; value?: unknown } }, text: string) => type.parse(text).value

describe("symmetric keys", () => {
  it("come from a file, trusted by number and by range", () => {
    const { settings, diagnostics } = settle(
      "keys /etc/ntp.keys\ntrustedkey 1 2 (10 ... 20)\ntrustedkey 65535\ncontrolkey 12\ncryptonak on"
    )
    expect(diagnostics).toEqual([])
    expect(settings.keys.file.value).toBe("/etc/ntp.keys")
    expect(settings.keys.trusted.map(({ value }) => [value.first, value.last])).toEqual([
      [1, 1],
      [2, 2],
      [10, 20],
      [65535, 65535]
    ])
    expect(settings.keys.controlKey).toEqual({ value: 12, origin: { kind: "file", file: "f", line: 4, column: 1 } })
    expect(settings.cryptoNak.value).toBe(true)
    expect(settle("").settings.cryptoNak.value).toBe(false)
  })

  it.each([
    ["trustedkey", "expected keys of 'trustedkey'"],
    ["trustedkey 0", "found '0'"],
    ["trustedkey 65536", "found '65536'"],
    ["trustedkey 10 ... 20", "found '...'"],
    ["trustedkey (20 ... 10)", "write the lower number first: (10 ... 20)"],
    ["trustedkey (1 ... 2 ... 3)", "expected a whole number from 1 to 65535 or a range"],
    ["trustedkey ()", "expected a whole number"],
    ["keys (a)", "expected a file's path"],
    ["controlkey x", "expected a whole number from 1 to 65535"],
    ["cryptonak maybe", "expected on or off"]
  ])("%s is refused", (text, message) => {
    const [first] = allProblems(text)
    expect(first).toMatch(/^error /)
    expect(first).toContain(message)
  })

  it.each([
    ["trustedkey 1", ["warning 1:1 these keys are in no file; add the line: keys FILE"]],
    [
      "keys k\ntrustedkey (1 ... 3)\ncontrolkey 4",
      ["warning 3:12 key 4 is not trusted and cannot be used; add the line: trustedkey 4"]
    ],
    ["keys k\ntrustedkey (1 ... 4)\ncontrolkey 4", []]
  ])("check across lines: %j", (text, expected) => {
    expect(allProblems(text)).toEqual(expected)
  })

  it("write ranges so that they read back", () => {
    for (const range of [
      { first: 1, last: 1 },
      { first: 2, last: 9 }
    ])
      expect(parsed(keyRange, keyRange.write(range))).toEqual(range)
  })
})

describe("whether NTS is served", () => {
  it.each([
    ["", {}, false],
    ["nts enable", {}, true],
    ["nts cert c key k", {}, true],
    ["nts cert c\nnts key k", {}, true],
    ["nts key k\nnts cert c", {}, true],
    ["nts cert c key k disable", {}, false],
    ["nts enable disable", {}, false],
    ["nts enable\nnts cert c key k\nnts disable", {}, false],
    ["nts disable\nnts enable", {}, true],
    ["nts disable\nnts cert c key k", {}, true],
    ["nts ca /roots", {}, false],
    ["", { nts: true }, true],
    ["nts disable", { nts: true }, true],
    ["nts enable", { nts: false }, false]
  ] as [string, Overrides, boolean][])("%j with %j: %s", (text, overrides, expected) => {
    const { settings, diagnostics } = settle(text, overrides)
    expect(settings.nts.enabled.value).toBe(expected)
    expect(diagnostics).toEqual([])
  })

  it("is told by the origin", () => {
    expect(settle("", { nts: true }).settings.nts.enabled.origin).toEqual({ kind: "flag", flag: "nts" })
    expect(settle("", { nts: false }).settings.nts.enabled.origin).toEqual({ kind: "flag", flag: "no-nts" })
    expect(settle("\nnts cert c key k").settings.nts.enabled.origin).toMatchObject({ kind: "file", line: 2 })
  })
})

describe("nts lines", () => {
  it("take all options on one line and on several", () => {
    const options = [
      "enable cert c key k ca /roots cookie /keys aead AES_SIV_CMAC_256 mintls TLS1.3 maxtls TLS1.3 port 4461",
      "tlsciphersuites TLS_AES_128_GCM_SHA256 tlsecdhcurves X25519:P-256 tlscipherserverpreference"
    ]
    const one = settle(`nts ${options.join(" ")}`)
    const several = settle(options.map((line) => `nts ${line}`).join("\n"))
    expect(one.diagnostics).toEqual([])
    expect(several.diagnostics).toEqual([])
    for (const { settings } of [one, several]) {
      expect(settings.nts).toMatchObject({
        enabled: { value: true },
        certificates: [{ value: { cert: "c", key: "k" } }],
        ca: { value: "/roots" },
        cookieFile: { value: "/keys" },
        aeads: [{ value: 15 }],
        minTls: { value: "TLS1.3" },
        maxTls: { value: "TLS1.3" },
        port: { value: 4461 },
        cipherSuites: { value: "TLS_AES_128_GCM_SHA256" },
        curves: { value: "X25519:P-256" },
        serverCipherPreference: { value: true }
      })
    }
  })

  it("pair certificates with keys in their order and keep the algorithms' order, each once", () => {
    const { nts } = settle(
      "nts cert a\nnts cert b key ka\nnts key kb aead 30\nnts aead AEAD_AES_SIV_CMAC_256\nnts aead 30"
    ).settings
    expect(nts.certificates.map(({ value }) => value)).toEqual([
      { cert: "a", key: "ka" },
      { cert: "b", key: "kb" }
    ])
    expect(nts.aeads.map(({ value }) => value)).toEqual([30, 15])
  })

  it("say where clients are told to send NTP, in a name that the record can hold", () => {
    const { nts } = settle("nts enable ntpserver a.ntp.example ntpport 1123").settings
    expect(nts).toMatchObject({ ntpServer: { value: "a.ntp.example" }, ntpPort: { value: 1123 } })
    for (const wrong of ['"two words"', "zür.example", `${"a".repeat(256)}`])
      expect(settle(`nts enable ntpserver ${wrong}`).diagnostics[0]?.message).toMatch(
        /a host's name or address in ASCII/
      )
  })

  it("have a node do key exchange alone where clients are told who answers NTP", () => {
    const messages = (line: string) => settle(line).diagnostics.map(({ message }) => message)
    expect(settle("nts enable exchangeonly ntpserver a.example").settings.nts.exchangeOnly.value).toBe(true)
    expect(messages("nts enable exchangeonly ntpserver a.example")).toEqual([])
    expect(messages("nts enable exchangeonly")).toEqual([expect.stringContaining("add the line: nts ntpserver HOST")])
    expect(messages("nts exchangeonly ntpserver a.example")).toEqual([expect.stringContaining("NTS is off")])
  })

  it("let --nts-port beat the file", () => {
    expect(settle("nts port 4461", { ntsPort: 4462 }).settings.nts.port).toEqual({
      value: 4462,
      origin: { kind: "flag", flag: "nts-port" }
    })
  })

  it.each([
    ["TLS1.3", "TLS1.3"],
    ["TLSv1.2", "TLS1.2"],
    ["1.3", "TLS1.3"],
    ["TLS1.1", undefined],
    ["SSLv3", undefined]
  ])("the version %s is %s", (text, expected) => expect(parsed(tlsVersion, text)).toBe(expected))

  it.each([
    ["AES_SIV_CMAC_256", 15],
    ["AEAD_AES_SIV_CMAC_384", 16],
    ["aes_siv_cmac_512", 17],
    ["AES_128_GCM_SIV", 30],
    ["17", 17],
    ["18", undefined],
    ["AES_SIV_CMAC_128", undefined]
  ])("the algorithm %s is %s", (text, expected) => expect(parsed(aeadId, text)).toBe(expected))

  it.each([
    ["nts", "found the end of the line, expected an option of 'nts': enable, disable, cert"],
    ["nts aead AES_SIV_CMAC_255", "did you mean 'AES_SIV_CMAC_256'?"],
    ["nts mintls TLS1.1", "expected TLS1.3 or TLS1.2"],
    ["nts port 0", "expected a whole number from 1 to 65535"],
    ["nts processes 65", "expected a whole number from 1 to 64"],
    ["nts enabel", "did you mean 'enable'?"],
    ["nts cert c", "found a certificate without its private key; add the line: nts key FILE"],
    ["nts enable key k", "found a private key without its certificate; add the line: nts cert FILE"],
    ["nts maxtls TLS1.2", "found maxtls TLS1.2 below mintls TLS1.3; add: nts mintls TLS1.2"],
    ["extra", "expected what of 'extra'"],
    ["extra port", "expected port of 'extra'"]
  ])("%s is refused", (text, message) => {
    const [first] = allProblems(text)
    expect(first).toMatch(/^error /)
    expect(first).toContain(message)
  })

  it("honour TLS1.2 with a warning", () => {
    const { settings, diagnostics } = settle("nts mintls TLS1.2")
    expect(settings.nts.minTls.value).toBe("TLS1.2")
    expect(diagnostics.map(({ severity, column, message }) => [severity, column, message.slice(0, 11)])).toEqual([
      ["warning", 12, "RFC 8915 §3"]
    ])
  })

  it("say what 'nts port' is where it is a port of NTP", () => {
    expect(allProblems("nts port 123")).toEqual([expect.stringMatching(/^warning 1:10 found 123, a port of NTP; /)])
    expect(allProblems("port 5000\nnts port 5000")).toHaveLength(1)
    expect(allProblems("nts port 4460")).toEqual([])
  })

  it("may name half a certificate while NTS is switched off", () => {
    expect(allProblems("nts cert c\nnts disable")).toEqual([])
    expect(allProblems("nts cert c", { nts: false })).toEqual([])
  })
})

describe("extra ports", () => {
  it("are kept in order; one that is answered on already gets a warning", () => {
    const { settings } = settle("port 1000\nextra port 1001\nextra port 1000\nextra port 1001\nextra port 7")
    expect(settings.extraPorts.map(({ value }) => value)).toEqual([1001, 7])
    expect(allProblems("port 1000\nextra port 1000")).toEqual([
      "warning 2:12 port 1000 is answered on already; this line has no effect"
    ])
    expect(allProblems("extra port 9", { port: 9 })).toHaveLength(1)
  })

  it("are bounded", () => {
    const many = Array.from({ length: 17 }, (_, index) => `extra port ${100 + index}`).join("\n")
    const { statements } = parseText("f", many)
    const { value, diagnostics } = authenticationSettings(statements, {}, 123)
    expect(value.extraPorts).toHaveLength(16)
    expect(diagnostics.map(({ severity, line }) => [severity, line])).toEqual([["error", 17]])
  })
})

describe("files as NTPsec's NTS guide has its readers write them", () => {
  it("make a client", () => {
    const text =
      "driftfile /d\nserver ntp1.example nts iburst\nserver ntp2.example:4461 nts ca /ca.pem\nserver 192.0.2.1 nts noval"
    const { settings, diagnostics } = settle(text)
    expect(settings.sources.map(({ value }) => [value.host, value.port, value.nts?.verify, value.nts?.ca])).toEqual([
      ["ntp1.example", undefined, true, undefined],
      ["ntp2.example", 4461, true, "/ca.pem"],
      ["192.0.2.1", undefined, false, undefined]
    ])
    expect(diagnostics.every(({ severity, message }) => severity === "warning" && message.includes("yet"))).toBe(true)
    expect(settings.nts.enabled.value).toBe(false)
  })

  it("make a server", () => {
    const text =
      "nts enable\nnts key /etc/ntp/key.pem\nnts cert /etc/ntp/fullchain.pem\nnts cookie /var/lib/ntp/nts-keys"
    const { settings, diagnostics } = settle(text)
    expect(diagnostics).toEqual([])
    expect(settings.nts.enabled.value).toBe(true)
    expect(settings.nts.certificates[0]?.value).toEqual({ cert: "/etc/ntp/fullchain.pem", key: "/etc/ntp/key.pem" })
  })
})

describe("Windows clients", () => {
  it("need a signing daemon and a restrict line that says mssntp", () => {
    expect(allProblems("ntpsigndsocket /var/lib/samba/ntp_signd\nrestrict 192.0.2.0/24 mssntp")).toEqual([])
    expect(allProblems("ntpsigndsocket /var/lib/samba/ntp_signd\nrestrict default kod")).toEqual([
      "warning 1:1 nobody is signed for, since no restrict line says mssntp; add one about the domain's machines: restrict 192.0.2.0/24 mssntp"
    ])
    expect(allProblems("restrict default kod mssntp")).toEqual([
      "warning 1:22 nobody signs for these clients; add the line: ntpsigndsocket /var/lib/samba/ntp_signd"
    ])
  })

  it("are signed for where the last line says", () => {
    const { settings } = settle("ntpsigndsocket /a\nntpsigndsocket /run/ntpsignd.socket\nrestrict default mssntp")
    expect(settings.signdSocket.value).toBe("/run/ntpsignd.socket")
    expect(settle("").settings.signdSocket.value).toBeUndefined()
  })
})
