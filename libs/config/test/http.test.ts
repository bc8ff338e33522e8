/** `control http`: where it is served, and that nobody else reaches it without a token. */
import { isError } from "@meridian/config/diagnostic"
import { parseText } from "../src/parse.ts"
import { describeSettings } from "../src/rendering.ts"
import { effectiveSettings } from "../src/settings.ts"
import { expect, it } from "vitest"

const read = (text: string) => {
  const { statements, diagnostics } = parseText("f", text)
  const { settings, diagnostics: more } = effectiveSettings(statements, {}, { cores: 1, interfaces: [] })
  return { settings, problems: [...diagnostics, ...more].filter(isError).map(({ message }) => message) }
}

it("is on loopback unless a line says otherwise", () => {
  expect(read("").settings.http.place.value).toEqual({ address: "127.0.0.1", port: 11_180, isLoopback: true })
  expect(read("control http off").settings.http.place.value).toBeUndefined()
  expect(read("control http [::1]:80").settings.http.place.value).toEqual({
    address: "::1",
    port: 80,
    isLoopback: true
  })
})

it("asks for a token where other hosts reach it", () => {
  for (const place of ["192.0.2.1:80", "0.0.0.0:80", "[::]:80", "[2001:db8::1]:80"]) {
    expect(read(`control http ${place}`).problems).toEqual([expect.stringContaining("add 'token FILE'")])
    expect(read(`control http ${place} token /etc/meridian/token`).problems).toEqual([])
    expect(read(`control http ${place} cert /c key /k clients /ca`).problems).toEqual([])
    expect(read(`control http ${place} cert /c key /k`).problems).toEqual([expect.stringContaining("add 'token FILE'")])
  }
})

it("lets operators' tokens over no network in the clear", () => {
  expect(read("control http 127.0.0.1:80 operators /o").problems).toEqual([])
  expect(read("control http 192.0.2.1:80 token /t operators /o").problems).toEqual([
    expect.stringContaining("in the clear")
  ])
  expect(read("control http 192.0.2.1:80 token /t operators /o cert /c key /k").problems).toEqual([])
})

it("refuses half of HTTPS", () => {
  for (const half of ["cert /c", "key /k"])
    expect(read(`control http 127.0.0.1:80 ${half}`).problems).toEqual([expect.stringContaining("half")])
  expect(read("control http 127.0.0.1:80 clients /ca").problems).toEqual([expect.stringContaining("plain HTTP")])
})

it("is written as it was read", () => {
  for (const line of [
    "http off",
    "http [::1]:80",
    "http 192.0.2.1:80 token /t",
    "http 192.0.2.1:80 token /t operators /o cert /c key /k clients /ca"
  ])
    expect(describeSettings(read(`control ${line}`).settings)).toContainEqual(
      expect.objectContaining({ directive: "control", value: line })
    )
})

it("refuses what is no address with a port", () => {
  for (const place of ["80", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "localhost:80", "::1:80", "[::1]", "on"])
    expect(read(`control http ${place}`).problems).toHaveLength(1)
})
