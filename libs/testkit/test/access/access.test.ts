/** Access control, case by case: Meridian's rules, and the real daemons asked the same questions in a network of their own. */
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { accessRules, parseText, effectiveSettings } from "@meridian/config"
import { parseAddress } from "@meridian/config/address"
import { AccessList, compileAccess } from "@meridian/protocol/access/access-list"
import { AccessGate } from "@meridian/protocol/access/gate"
import { Chance, RateLimiter } from "@meridian/protocol/access/rate-limit"
import { noBatch } from "@meridian/protocol"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { peer, peersAvailable } from "@meridian/testkit/real-peers"
import { SOURCE_STRIDE, sourceAddressAt } from "@meridian/wire/source-address"
import { request } from "./packets.ts"
import { type Case, CASES, type Fate, type Probe } from "./table.ts"

const SUITE = "access control with real daemons"

const settingsOf = ({ dialect, lines }: Case) => {
  const told = lines.length === 0 ? [] : [`dialect ${dialect}`]
  const { statements, diagnostics } = parseText("ntp.conf", [...told, ...lines].join("\n"))
  expect(diagnostics.filter(({ severity }) => severity === "error")).toEqual([])
  return effectiveSettings(statements, {}, { cores: 1, interfaces: [] }).settings.access
}

const gateOf = (one: Case): AccessGate => {
  const access = settingsOf(one)
  const rules = accessRules(access, { addressesOf: () => [], sources: [] })
  const chance = new Chance(1)
  const limiter = new RateLimiter(access.rateLimit.value, chance)
  return new AccessGate(
    new AccessList(rules.map(compileAccess)),
    undefined,
    limiter,
    { limited: false, kod: false, queriesOfAnyVersion: one.dialect === "classic" },
    chance,
    1
  )
}

/** What the gate and the server behind it make of a packet. */
const fateOf = (gate: AccessGate, { from, port, packet }: Probe): Fate => {
  const address = parseAddress(from)!
  const addresses = new Uint8Array(SOURCE_STRIDE)
  addresses.set([(port ?? 40_000) >> 8, (port ?? 40_000) & 255], 2)
  addresses.set(address.bytes, sourceAddressAt(0, address.family))
  gate.begin({ ...noBatch, family: address.family, addresses }, 100, 1)
  const bytes = request(packet)
  const refusal = gate.judge(0, bytes[0]!, bytes.length) ?? (packet === "query" ? undefined : gate.judgeProof(0, false))
  if (refusal === undefined) return packet === "query" ? "answer" : "time"
  return refusal._tag === "Respond"
    ? (({ 0x44454e59: "DENY", 0x52535452: "RSTR" } as Record<number, Fate>)[refusal.code] ?? "RATE")
    : "silence"
}

const addressesUsed = (cases: readonly Case[]): readonly string[] => [
  ...new Set(
    cases.flatMap(({ probes }) => probes.map(({ from }) => (from.includes(":") ? `${from}/64` : `${from}/16`)))
  )
]

/** Starts the daemon on the case's lines, asks it everything, ends it. */
const askReal = async (
  one: Case,
  places: { server: NetworkNamespace; client: NetworkNamespace }
): Promise<readonly Fate[]> => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-access-"))
  const file = join(folder, "ntp.conf")
  writeFileSync(file, [...one.lines, ""].join("\n"))
  const { command, args, env } = peer(one.dialect === "ntpsec" ? "ntpsec-ntpd" : "classic-ntpd")!
  const daemon = spawn(
    "ip",
    [...places.server.within.slice(1), command, ...args, "-n", "-c", file, "-l", join(folder, "log")],
    { env, stdio: "ignore" }
  )
  try {
    await untilItAnswers(places.client)
    return JSON.parse(await ask(places.client, one.probes)) as Fate[]
  } finally {
    daemon.kill("SIGKILL")
    if (daemon.exitCode === null && daemon.signalCode === null) await once(daemon, "exit")
    rmSync(folder, { recursive: true, force: true })
  }
}

/** IPv6 addresses are there when nobody else turned out to have them. */
const untilUsable = async ({ within: [command = "", ...within] }: NetworkNamespace): Promise<void> => {
  for (;;) {
    const { stdout } = await promisify(execFile)(command, [...within, "ip", "-6", "address", "show", "tentative"])
    if (stdout === "") return
    await setTimeout(100)
  }
}

/** What becomes of each probe, as the process that sends them writes it. */
const ask = async (
  { within: [command = "", ...within] }: NetworkNamespace,
  probes: readonly Probe[]
): Promise<string> => {
  const asking = [join(import.meta.dirname, "asking.ts"), "10.9.0.1", "fd09::9", JSON.stringify(probes)]
  const { stdout } = await promisify(execFile)(command, [...within, process.execPath, ...asking])
  return stdout
}

/** Asks from an address that no case restricts. */
const untilItAnswers = async (client: NetworkNamespace): Promise<void> => {
  const probe: Probe = { from: "10.9.200.1", packet: "client", fate: "time" }
  const other: Probe = { from: "fd09::200:1", packet: "client", fate: "time" }
  for (let attempt = 0; attempt < 20; attempt += 1) {
    if ((await ask(client, [probe, other])).includes("time")) return
  }
  throw new Error("the daemon did not answer")
}

it("has at least 120 cases", () => {
  expect(CASES.flatMap(({ probes }) => probes).length).toBeGreaterThanOrEqual(120)
})

describe.each(CASES.map((one) => ({ title: `${one.dialect}: ${one.name}`, one })))("$title", ({ one }) => {
  const gate = gateOf(one)
  it.each(one.probes.map((probe) => ({ ...probe, port: probe.port ?? 0 })))(
    "$packet from $from port $port gets $fate",
    (probe) => {
      expect(
        fateOf(
          gate,
          probe.port === 123 ? { ...probe, port: 123 } : { from: probe.from, packet: probe.packet, fate: probe.fate }
        )
      ).toBe(probe.fate)
    }
  )
})

describe.runIf(canMakeNamespaces(SUITE) && peersAvailable(SUITE, ["ntpsec-ntpd", "classic-ntpd"]))(
  "real daemons",
  () => {
    it.each(["ntpsec", "classic"] as const)("%s's daemon agrees", async (dialect) => {
      const cases = CASES.filter((one) => one.real && one.dialect === dialect)
      const server = new NetworkNamespace()
      const client = new NetworkNamespace()
      try {
        client.connect(
          server,
          [...addressesUsed(cases), "10.9.200.1/16", "fd09::200:1/64"],
          ["10.9.0.1/16", "fd09::9/64"]
        )
        for (const place of [client, server]) await untilUsable(place)
        for (const one of cases) {
          const fates = await askReal(one, { server, client })
          expect(one.probes.map((probe, index) => ({ ...probe, fate: fates[index] }))).toEqual(one.probes)
        }
      } finally {
        client.remove()
        server.remove()
      }
    })
  }
)
