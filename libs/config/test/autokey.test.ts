import { describe, expect, it } from "vitest"
import { formatDiagnostics } from "../src/diagnostic.ts"
import { parseText } from "../src/parse.ts"
import { describeSettings } from "../src/rendering.ts"
import { effectiveSettings } from "../src/settings.ts"

const settle = (text: string) => {
  const { statements, diagnostics } = parseText("f", text)
  const effective = effectiveSettings(statements, {}, { cores: 1, interfaces: [] })
  return { ...effective, diagnostics: [...diagnostics, ...effective.diagnostics] }
}
const messages = (text: string) => settle(text).diagnostics.map(({ severity, message }) => `${severity} ${message}`)
const honest = expect.stringContaining("use NTS where clients can") as string

describe("Autokey", () => {
  it("is off unless a crypto line stands there", () => {
    expect(settle("").settings.autokey).toMatchObject({
      enabled: { value: false },
      keysDirectory: { value: "/usr/local/etc" },
      digest: { value: "MD5" }
    })
    expect(settle("crypto").settings.autokey.enabled.value).toBe(true)
    expect(messages("keysdir /etc/ntp")).toEqual(["warning 'keysdir' has no effect without a line 'crypto'"])
  })

  it("takes what the guide writes", () => {
    const { settings, diagnostics } = settle(
      "keysdir /etc/ntp/\ncrypto pw serverpassword\ncrypto host alice ident wonder digest sha1\ncrypto randfile /dev/urandom\nserver 192.0.2.1 autokey ident wonder"
    )
    expect(settings.autokey).toMatchObject({
      enabled: { value: true },
      keysDirectory: { value: "/etc/ntp/" },
      password: { value: "serverpassword" },
      host: { value: "alice" },
      ident: { value: "wonder" },
      digest: { value: "SHA1" }
    })
    expect(settings.sources[0]?.value.autokey).toEqual({ ident: "wonder" })
    expect(diagnostics.map(({ message }) => message)).toEqual([
      "'randfile' has no effect: random numbers are the system's",
      honest
    ])
  })

  it.each([
    ["crypto host ../x", "error found '../x'"],
    ["crypto digest SHA3", "error found 'SHA3'"],
    ["crypto pw", "error"],
    ["server h autokey", "error found 'autokey' without keys to use it with"]
  ])("refuses %j", (text, start) => {
    expect(messages(text).some((message) => message.startsWith(start))).toBe(true)
  })

  it("says what has no effect beside it", () => {
    expect(messages("crypto\nkeys k\nserver h autokey key 3")).toContain(
      "warning 'key' has no effect beside 'autokey', which authenticates by itself"
    )
    expect(messages("crypto\nserver h autokey nts")).toContain(
      "warning 'autokey' has no effect beside 'nts', which is better"
    )
    expect(settle("crypto\nserver h autokey nts").settings.sources[0]?.value.autokey).toBeUndefined()
  })

  it("shows no password, in remarks or in settings", () => {
    for (const text of [
      "crypto host a pw geheimes randfile /r",
      'crypto pw "geheimes wort" leap /l',
      "crypto pw geheimes"
    ]) {
      const { settings, diagnostics } = settle(text)
      expect(formatDiagnostics(diagnostics)).not.toContain("geheim")
      expect(JSON.stringify(diagnostics)).not.toContain("geheim")
      expect(JSON.stringify(describeSettings(settings))).not.toContain("geheim")
    }
  })
})
