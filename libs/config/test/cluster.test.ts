import { describe, expect, it } from "vitest"
import { upCommand, upOverrides } from "@meridian/config/command-lines"
import { natsServers, nodeName } from "@meridian/config/cluster-directives"
import { explainCommand, keysRevokeCommand, logCommand } from "@meridian/config/cluster-command-lines"
import { parseFlags } from "@meridian/system/command-line"
import { parseText } from "../src/parse.ts"
import { renderSettings } from "../src/rendering.ts"
import { effectiveSettings, type Overrides } from "../src/settings.ts"

const settle = (text: string, overrides: Overrides = {}) => {
  const { statements, diagnostics } = parseText("f", text)
  const effective = effectiveSettings(statements, overrides, { cores: 1, interfaces: [] })
  return { cluster: effective.settings.cluster, diagnostics: [...diagnostics, ...effective.diagnostics], effective }
}

const problems = (text: string) =>
  settle(text).diagnostics.map(({ severity, line, column, message }) => `${severity} ${line}:${column} ${message}`)

const whole = `node a
cluster nats n1.example:4222,n2.example:4222
cluster nats n3.example:4222 nats n1.example:4222
cluster nkey /etc/a.nkey ca /etc/ca.pem
cluster key "/etc/cluster key" mint nts,symmetric rotate 60 clock-days 30 clock-events 5000 log-bytes 2000000`

describe("the cluster's lines", () => {
  it("leave a node on its own where there are none", () => {
    const { cluster, diagnostics } = settle("")
    expect(diagnostics).toEqual([])
    expect(cluster.nats).toEqual([])
    expect(cluster.node.value).toBeUndefined()
    expect([cluster.replicas.value, cluster.mint.value, cluster.rotate.value]).toEqual([1, "nts", undefined])
  })

  it("add their servers up and say where each came from", () => {
    const text = whole.replace(" nats n1.example:4222\n", "\n")
    const { cluster, diagnostics } = settle(text)
    expect(diagnostics).toEqual([])
    expect(cluster.nats.map(({ value }) => value)).toEqual(["n1.example:4222", "n2.example:4222", "n3.example:4222"])
    expect(cluster.nats[2]?.origin).toEqual({ kind: "file", file: "f", line: 3, column: 14 })
    expect(cluster).toMatchObject({
      node: { value: "a" },
      nkeyFile: { value: "/etc/a.nkey" },
      authorityFile: { value: "/etc/ca.pem" },
      keyFile: { value: "/etc/cluster key" },
      mint: { value: "nts,symmetric" },
      rotate: { value: 60 },
      clockDays: { value: 30 },
      clockEvents: { value: 5_000 },
      logBytes: { value: 2_000_000 }
    })
  })

  it("keep three copies where three servers are named, and what a line says where it says", () => {
    expect(settle("cluster nats a:1,b:1,c:1").cluster.replicas).toEqual({ value: 3, origin: { kind: "default" } })
    expect(settle("cluster nats a:1,b:1").cluster.replicas.value).toBe(1)
    expect(settle("cluster nats a:1,b:1,a:1").cluster.replicas.value).toBe(1)
    expect(settle("cluster nats a:1,b:1,c:1\ncluster replicas 1").cluster.replicas.value).toBe(1)
    expect(settle("cluster nats a:1 replicas 3").cluster.replicas.value).toBe(3)
  })

  it("are beaten by flags", () => {
    const parsed = parseFlags(upCommand, [
      "--node",
      "b",
      "--nats",
      "x:1,y:2",
      "--nats=z:3",
      "--cluster-key",
      "/k",
      "--rotate",
      "5"
    ])
    if (!parsed.ok) throw parsed.error
    const { cluster } = settle(whole, upOverrides(parsed.value.values))
    expect(cluster.nats).toEqual(
      ["x:1", "y:2", "z:3"].map((value) => ({ value, origin: { kind: "flag", flag: "nats" } }))
    )
    expect(cluster).toMatchObject({ node: { value: "b" }, keyFile: { value: "/k" }, rotate: { value: 5 } })
    expect(cluster.nkeyFile.value).toBe("/etc/a.nkey")
  })

  it("come out of their own rendering unchanged", () => {
    const first = settle(whole)
    const second = settle(renderSettings(first.effective.settings))
    expect(second.diagnostics).toEqual([])
    const values = ({ cluster }: typeof first) =>
      Object.entries(cluster).map(([name, it]) => [
        name,
        Array.isArray(it) ? it.map(({ value }) => value as string) : it.value
      ])
    expect(values(second)).toEqual(values(first))
  })

  it.each([
    [
      "cluster",
      [
        "error 1:8 found the end of the line, expected an option of 'cluster': nats, key, nkey, ca, replicas, mint, rotate, clock-days, clock-events, log-bytes"
      ]
    ],
    [
      "cluster nats n1",
      [
        "error 1:14 found 'n1', expected HOST:PORT, several with commas and no blanks between them; NATS's own port is 4222: n1:4222"
      ]
    ],
    ["cluster replicas 2", ["error 1:18 found '2', expected 1 or 3"]],
    [
      "cluster ca /ca.pem",
      ["warning 1:9 no NATS server is named, so 'cluster ca' has no effect; add the line: cluster nats HOST:PORT"]
    ],
    ["cluster mint mac", ["error 1:14 found 'mac', expected nts, symmetric or nts,symmetric"]],
    ["cluster key /k rotate 5 clock-days 1", []],
    ["cluster clock-events 99", ["error 1:22 found '99', expected a whole number from 100 to 100000000"]],
    [
      "node Berlin",
      ["error 1:6 found 'Berlin', expected a name of a-z, 0-9 and inner hyphens, at most 63; write it as berlin"]
    ],
    ["node a\nnode b", ["warning 1:1 'node' is given again at f:2; this line has no effect"]],
    [
      "node a\nnts cookie /k\ncluster nats h:4222 key /c nkey /n ca /a",
      ["warning 2:5 the NTS master keys of a cluster are in its log alone; this file is not used for them"]
    ]
  ])("%j", (text, expected) => expect(problems(text)).toEqual(expected))
})

describe("their values", () => {
  it.each(["h:1", "10.0.0.1:4222", "[::1]:65535", "a.b-c:4222", "a:1,b:2"])("%s is one server or more", (text) =>
    expect(natsServers.parse(text)).toEqual({ ok: true, value: text.split(",") })
  )
  it.each([
    "",
    "h",
    "h:0",
    "h:65536",
    "::1:4222",
    "h:1,",
    "h:1, i:1",
    "nats://h:1",
    "a@h:1",
    Array(17).fill("h:1").join(",")
  ])("%j is none", (text) => expect(natsServers.parse(text).ok).toBe(false))
  it.each(["", "-a", "a-", "a.b", "a_b", "a".repeat(64)])("%j is no node's name", (text) =>
    expect(nodeName.parse(text).ok).toBe(false)
  )
})

describe("the operator's command lines", () => {
  const error = (line: Parameters<typeof parseFlags>[0], ...args: string[]): string => {
    const parsed = parseFlags(line, args)
    return parsed.ok ? "" : parsed.error.message
  }
  it("take a moment only with its zone", () => {
    for (const at of ["2026-11-21", "2026-11-21T12:00Z", "2026-11-21T12:00:00.123+01:00"])
      expect(error(explainCommand, "--at", at)).toBe("")
    for (const at of ["2026-11-21T12:00:00", "12:00Z", "now"])
      expect(error(explainCommand, "--at", at)).toContain("zone")
  })
  it.each([
    ["2026-11-21", "2026-11-21T00:00:00.000Z"],
    ["2026-11-21 12:00:00Z", "2026-11-21T12:00:00.000Z"],
    ["2026-11-21T13:00+01:00", "2026-11-21T12:00:00.000Z"],
    ["2026-11-21T12:00:00.123456789Z", "2026-11-21T12:00:00.123Z"],
    ["2028-02-29T12:00Z", "2028-02-29T12:00:00.000Z"],
    ["2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z"],
    ["2017-01-01T00:59:60.5+01:00", "2016-12-31T23:59:59.999Z"]
  ])("take %s for %s", (at, iso) => {
    const parsed = parseFlags(explainCommand, ["--at", at])
    expect(parsed.ok && parsed.value.values.at).toBe(iso)
  })
  it.each([
    "2026-02-30",
    "2026-02-29T12:00Z",
    "2026-13-01",
    "2026-11-00",
    "2026-11-21T25:00Z",
    "2026-11-21T12:60Z",
    "2026-11-21T12:00.5Z",
    "2026-11-21T12:00:60Z",
    "2026-11-21T12:00+25:00",
    "9999-12-31T23:59:59-23:59",
    "1795273000",
    ""
  ])("take %j for no moment", (at) => expect(error(explainCommand, "--at", at)).toContain("--at"))
  it("take places from 1 and one generation", () => {
    expect(error(logCommand, "--from", "0")).toContain("from 1")
    expect(error(keysRevokeCommand)).toBe("GENERATION is missing, expected: meridian keys revoke GENERATION")
    expect(error(keysRevokeCommand, "1", "2")).toContain("at most 1 GENERATION")
  })
})
