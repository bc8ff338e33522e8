/** Who is served by files of chrony and ntpd-rs, and by the ntp.conf that `config convert` makes of each: the real daemons are asked. */
import { execFile, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { accessRules, loadSettings } from "@meridian/config"
import { parseAddress } from "@meridian/config/address"
import { AccessFlag } from "@meridian/protocol/access/access-flags"
import { AccessList, compileAccess } from "@meridian/protocol/access/access-list"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { peer, peersAvailable } from "@meridian/testkit/real-peers"
import { meridian } from "@meridian/testkit/running-node"
import { withoutClock } from "@meridian/testkit/without-clock"
import type { Fate, Probe } from "./table.ts"

const SUITE = "converted files beside real daemons"
/** Nobody's file says anything about these two. */
const ASKERS = ["10.9.1.1", "10.9.1.2", "10.9.2.130", "10.9.7.7", "fd09::1:1", "fd09::1:2", "fd09::7"]
const [SERVER4, SERVER6] = ["10.9.0.1", "fd09::9"]

const CHRONY: readonly (readonly string[])[] = [
  [],
  ["allow"],
  ["allow 10.9.0.0/16"],
  ["allow 10.9.1.1"],
  ["allow 10.9"],
  ["allow 10.9.1.0/24", "deny 10.9.1.1"],
  ["deny 10.9.1.1", "allow 10.9.1.0/24"],
  ["allow", "deny 10.9.2.128/25"],
  ["deny 10.9.1.0/24", "allow all 10.9.0.0/16"],
  ["deny 10.9.1.0/24", "allow"],
  ["deny 10.9.1.0/24", "allow all"],
  ["allow fd09::/64"],
  ["allow fd09::1:0/112", "deny fd09::1:1"],
  ["allow 0/0"],
  ["allow ::/0"],
  ["allow 10.9.1.1/24"],
  ["allow", "deny all", "allow 10.9.7.7"],
  ["allow 10.9.1.0/24", "deny all 10.9.0.0/16", "allow 10.9.2.0/24"],
  ["allow", "port 0"]
]

const everybody = '["0.0.0.0/0", "::/0"]'
const [ipv4, ipv6] = ["0.0.0.0", "[::]"].map((host) => `[[server]]\nlisten = "${host}:123"`) as [string, string]
const lists = (
  listen: string,
  allow: string | undefined,
  deny: string | undefined,
  actions = ["ignore", "ignore"]
): string =>
  [
    listen,
    ...(deny === undefined ? [] : [`[server.denylist]\nfilter = ${deny}\naction = "${actions[1]}"`]),
    ...(allow === undefined ? [] : [`[server.allowlist]\nfilter = ${allow}\naction = "${actions[0]}"`])
  ].join("\n")

/** IPv4 clients of a socket on [::] have IPv6 addresses in ntpd-rs 1.9, which no IPv4 filter meets: what it says of IPv4 is not asked there. */
const NTPD_RS: readonly string[] = [
  ipv6,
  ipv4,
  '[[server]]\nlisten = "10.9.0.1:123"',
  lists(ipv4, undefined, '["10.9.1.0/24"]'),
  lists(ipv4, undefined, '["10.9.1.0/24"]', ["ignore", "deny"]),
  lists(ipv4, '["10.9.1.0/24"]', undefined),
  lists(ipv4, '["10.9.1.0/24"]', undefined, ["deny", "ignore"]),
  lists(ipv4, '["10.9.0.0/16"]', '["10.9.1.1/32"]'),
  lists(ipv4, '["10.9.1.1/32"]', '["10.9.0.0/16"]'),
  lists(ipv4, '["10.9.1.0/24", "10.9.7.7/32"]', '["10.9.1.0/24"]', ["deny", "ignore"]),
  lists(ipv4, everybody, '["10.9.7.7/32"]', ["ignore", "deny"]),
  lists(ipv4, '["0.0.0.0/0"]', undefined),
  lists(ipv6, '["fd09::/64"]', undefined),
  lists(ipv6, '["fd09::1:0/112"]', '["fd09::1:2/128"]'),
  lists(ipv6, '["fd09::1:2/128"]', '["fd09::1:0/112", "0.0.0.0/0"]')
]

const folder = mkdtempSync(join(tmpdir(), "meridian-converted-"))

/** Who gets what by the file that this one is converted to. */
const converted = async (file: string): Promise<readonly Fate[]> => {
  const { stdout } = await meridian(["config", "convert", file])
  const { settings, diagnostics } = loadSettings({
    file: "ntp.conf",
    readFile: () => ({ ok: true, bytes: Buffer.from(stdout) }),
    overrides: {},
    machine: { cores: 1, interfaces: [] }
  })
  expect(diagnostics.filter(({ severity }) => severity === "error")).toEqual([])
  const list = new AccessList(accessRules(settings.access, { addressesOf: () => [], sources: [] }).map(compileAccess))
  const listens = settings.listen.map(({ value }) => value.text)
  return ASKERS.map((asker): Fate => {
    const { family, bytes } = parseAddress(asker)!
    const view = new DataView(Uint8Array.from(bytes).buffer)
    const word = (at: number): number => view.getInt32(at)
    const flags = family === 4 ? list.ipv4(word(0), 40_000) : list.ipv6(word(0), word(4), word(8), word(12), 40_000)
    const addresses = family === 4 ? ["0.0.0.0", SERVER4] : ["::", SERVER6]
    if (!addresses.some((address) => listens.includes(address))) return "silence"
    if ((flags & (AccessFlag.ignore | AccessFlag.noserve)) === 0) return "time"
    return (flags & AccessFlag.kodDeny) === 0 ? "silence" : "DENY"
  })
}

describe.runIf(canMakeNamespaces(SUITE) && peersAvailable(SUITE, ["chronyd-newest", "ntpd-rs"]))(
  "a converted file serves whom the other program served:",
  { timeout: 60_000 },
  () => {
    let server: NetworkNamespace
    let client: NetworkNamespace
    beforeAll(() => {
      server = new NetworkNamespace()
      client = new NetworkNamespace()
      const own = [...ASKERS, "10.9.200.1", "fd09::200:1"].map((it) => `${it}/${it.includes(":") ? 64 : 16}`)
      client.connect(server, own, [`${SERVER4}/16`, `${SERVER6}/64`])
    })
    afterAll(() => {
      client.remove()
      server.remove()
      rmSync(folder, { recursive: true, force: true })
    })

    const askAll = async (): Promise<readonly Fate[]> => {
      const probes = ASKERS.map((from): Probe => ({ from, packet: "client", fate: "time" }))
      const words = [join(import.meta.dirname, "asking.ts"), SERVER4, SERVER6, JSON.stringify(probes)]
      const { stdout } = await promisify(execFile)("ip", [...client.within.slice(1), process.execPath, ...words])
      return JSON.parse(stdout) as readonly Fate[]
    }

    /** Whether somebody listens there yet. */
    const isThere = (): boolean =>
      execFileSync("ip", [...server.within.slice(1), "ss", "-Hlun", "sport = :123"], { encoding: "utf8" }) !== ""

    /** @param serves whether it opens its port at all */
    const served = async (
      command: string,
      args: readonly string[],
      env: NodeJS.ProcessEnv,
      serves: boolean
    ): Promise<readonly Fate[]> => {
      const daemon = spawn("ip", [...server.within.slice(1), command, ...args], { env, stdio: "ignore" })
      try {
        while (serves && !isThere() && daemon.exitCode === null) await new Promise((done) => setTimeout(done, 100))
        expect(daemon.exitCode).toBeNull()
        return await askAll()
      } finally {
        daemon.kill("SIGKILL")
        if (daemon.exitCode === null && daemon.signalCode === null) await once(daemon, "exit")
      }
    }

    it.each(CHRONY.map((lines) => ({ lines, title: lines.join(" · ") || "an empty file" })))(
      "chrony, $title",
      async ({ lines }) => {
        const file = join(folder, "chrony.conf")
        const beside = ["local stratum 10", "cmdport 0", "bindcmdaddress /", `pidfile ${join(folder, "pid")}`]
        writeFileSync(file, [...beside, ...lines, ""].join("\n"))
        const { command, args, env } = peer("chronyd-newest")!
        const serves = lines.some((line) => line.startsWith("allow")) && !lines.includes("port 0")
        expect(await converted(file)).toEqual(await served(command, [...args, "-x", "-d", "-f", file], env, serves))
      }
    )

    it.each(NTPD_RS.map((text) => ({ text, title: text.replaceAll(/\s*\n\s*/g, " ") })))(
      "ntpd-rs, $title",
      async ({ text }) => {
        const file = join(folder, "ntp.toml")
        writeFileSync(file, `${text}\n`)
        const { command, args, env } = peer("ntpd-rs")!
        expect(await converted(file)).toEqual(
          await served(command, [...withoutClock(args, folder), "-c", file], env, true)
        )
      }
    )
  }
)
