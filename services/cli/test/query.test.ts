import { describe, expect, it } from "vitest"
import { parseTarget } from "../src/query.ts"

describe("a target", () => {
  it.each([
    ["time.example", { host: "time.example", port: 123 }],
    ["time.example:11123", { host: "time.example", port: 11123 }],
    ["127.0.0.1:1", { host: "127.0.0.1", port: 1 }],
    ["[::1]:11123", { host: "::1", port: 11123 }],
    ["[::1]", { host: "::1", port: 123 }],
    ["::1", { host: "::1", port: 123 }],
    ["fe80::1%eth0", { host: "fe80::1%eth0", port: 123 }]
  ])("%s", (text, expected) => expect(parseTarget(text, 123)).toEqual(expected))

  it.each(["time.example:0", "time.example:70000", "time.example:ntp", "[::1]:", "[::1", ""])("%s is refused", (text) =>
    expect(parseTarget(text, 123)).toBeUndefined()
  )
})
