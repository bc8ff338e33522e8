import { describeSettings, effectiveSettings, parseText, type Settings } from "@meridian/config"
import { describe, expect, it } from "vitest"
import { changesBetween, formatChange, runningLines } from "../src/reload.ts"

const settingsOf = (...lines: readonly string[]): Settings =>
  effectiveSettings(parseText("ntp.conf", lines.join("\n")).statements, {}, { cores: 1, interfaces: [] }).settings

const changesOf = (before: readonly string[], after: readonly string[]): readonly string[] =>
  changesBetween(describeSettings(settingsOf(...before)), describeSettings(settingsOf(...after))).map(formatChange)

it.each([
  ["fallbackdrift", "6 18", "clock"],
  ["maxupdateskew", "100", "clock"],
  ["tos", "minsane 3", "clock"],
  ["server", "127.127.1.0", "clock"],
  ["server", "ntp.example", "now"],
  ["nts ca", "/ca", "now"],
  ["nts port", "4460", "restart"],
  ["nts", "enable", "restart"],
  ["enable", "stats", "clock"],
  ["enable", "ntp", "restart"],
  ["crypto host", "a", "restart"],
  ["cluster nats", "a:1", "restart"],
  ["workers", "2", "restart"]
])("a line %s %s takes effect as the reference says: %s", (directive, value, effect) => {
  expect(changesBetween([], [{ directive, value, origin: { kind: "default" } }])).toMatchObject([{ effect }])
})

describe("lines that stand in another order", () => {
  it.each([
    [
      ["restrict default noquery", "unrestrict default noquery"],
      ["unrestrict default noquery", "restrict default noquery"],
      ["moved: unrestrict default noquery (ntp.conf:1:1)"]
    ],
    [["allow all", "deny 10.0.0.0/8"], ["deny 10.0.0.0/8", "allow all"], ["moved: deny 10.0.0.0/8 (ntp.conf:1:1)"]],
    [
      ["restrict source ignore", "restrict 192.0.2.1", "restrict 192.0.2.2", "restrict source nomodify"],
      ["restrict source nomodify", "restrict source ignore", "restrict 192.0.2.1", "restrict 192.0.2.2"],
      ["moved: restrict source nomodify (ntp.conf:1:1)"]
    ],
    [
      ["deny 192.0.2.1", "allow 192.0.2.0/24", "deny 192.0.2.1"],
      ["allow 192.0.2.0/24", "deny 192.0.2.1", "deny 192.0.2.1", "allow 192.0.2.2"],
      ["+ allow 192.0.2.2 (ntp.conf:4:1)", "moved: allow 192.0.2.0/24 (ntp.conf:1:1)"]
    ],
    // Between the two lists, and among servers, no order counts.
    [
      ["restrict 192.0.2.1 ignore", "allow all", "server 192.0.2.8", "server 192.0.2.9"],
      ["server 192.0.2.9", "server 192.0.2.8", "allow all", "restrict 192.0.2.1 ignore"],
      []
    ]
  ])("%j -> %j", (before, after, changes) => {
    expect(changesOf(before, after)).toEqual(changes)
  })
})

it.each([
  [[], ["logfile /a"], undefined, "no logfile -> logfile /a (ntp.conf:1:1); at the next start of the node"],
  [["logfile /a"], [], "/a", "logfile /a -> no logfile (default); at the next start of the node"],
  [["logfile /a"], ["logfile /b"], "/b", undefined]
])("a node started with %j that took up %j writes its log to %s", (started, applied, running, stillWaits) => {
  const lines = runningLines(settingsOf(...started), settingsOf(...applied))
  expect(lines.find(({ directive }) => directive === "logfile")?.value).toBe(running)
  expect(changesBetween(lines, describeSettings(settingsOf(...applied))).map(formatChange)).toEqual(
    stillWaits === undefined ? [] : [stillWaits]
  )
})
