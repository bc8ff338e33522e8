/** Real clients complete the key exchange, and the cookies they got open to the keys they derived. */
import { execFile, spawn, spawnSync } from "node:child_process"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { loopbackAddresses } from "@meridian/testkit/address-families"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, type PeerName, peersAvailable } from "@meridian/testkit/real-peers"
import { type NtsKeReport, parseFromNtsKe } from "@meridian/ipc/nts-ke-report"
import type { CertificateFiles } from "../src/certificates.ts"
import { request } from "./ke-client.ts"
import {
  childEnvironment,
  type Folder,
  generation,
  makeFolder,
  opened,
  type RunningService,
  settingsWith,
  startService
} from "./running-service.ts"

const chronyds = ["chronyd-4.3", "chronyd-4.6", "chronyd-newest"] as const satisfies readonly PeerName[]
const withChrony = peersAvailable("NTS-KE with chrony", chronyds)
const inNamespace = spawnSync("unshare", ["-n", "ip", "link", "set", "lo", "up"]).status === 0
const withNtpsec = peersAvailable("NTS-KE with NTPsec", ["ntpsec-ntpd"]) && inNamespace
const withOpenssl = spawnSync("openssl", ["version"]).status === 0
const withGnutls = peersAvailable("NTS-KE with gnutls-cli", ["gnutls-cli"])

const addresses = loopbackAddresses("NTS-KE clients")
let folder: Folder
let files: CertificateFiles
let service: RunningService
beforeAll(async () => {
  folder = makeFolder()
  files = folder.certificate("server", ["localhost", "ntp.test", "127.0.0.1", "::1"])
  service = await startService({ certificates: [files], addresses })
})
afterAll(async () => {
  await service.stop()
  folder.remove()
})

interface Dump {
  readonly aead: number
  readonly keys: readonly string[]
  readonly cookies: readonly string[]
}

/** What chronyd writes on its end of each NTS source: a line with the AEAD and the keys, then a line for each cookie. */
const readDump = (path: string): Dump => {
  const lines = readFileSync(path, "utf8").trim().split("\n")
  const [, aead, ...keys] = lines[4]!.split(" ")
  return { aead: Number(aead), keys, cookies: lines.slice(5) }
}

/** What a chronyd got of an exchange. It never has the right to set the clock, and its NTP server is a socket of ours. */
const exchangedBy = async (name: PeerName, address: string): Promise<Dump> => {
  const server = createSocket(address.includes(":") ? "udp6" : "udp4")
  // It writes the dump only for a source that it has begun to poll, which it does some seconds after the exchange.
  const polled = once(server, "message", { signal: AbortSignal.timeout(PATIENCE_MS) })
  server.bind(0, address)
  await once(server, "listening")
  const place = join(folder.path, name)
  mkdirSync(place)
  chmodSync(place, 0o700)
  const lines = [
    `ntstrustedcerts ${files.certificate}`,
    `server ${address} nts ntsport ${service.port} iburst port ${server.address().port}`,
    `ntsdumpdir ${place}`,
    `pidfile ${place}/pid`,
    "cmdport 0",
    "bindcmdaddress /"
  ]
  writeFileSync(join(place, "conf"), `${lines.join("\n")}\n`)
  const { command, args, env } = peer(name)!
  const client = spawn(command, [...args, "-x", "-d", "-f", join(place, "conf")], { env, stdio: "ignore" })
  const ended = once(client, "exit")
  try {
    await polled
  } finally {
    client.kill("SIGTERM")
    await ended
    server.close()
  }
  return readDump(join(place, `${address}.nts`))
}

describe.runIf(withChrony)("chrony", () => {
  const cases = [
    ["chronyd-4.3", "127.0.0.1", 15],
    ["chronyd-4.6", addresses.at(-1)!, 30],
    ["chronyd-newest", "127.0.0.1", 30]
  ] as const
  const dumps = new Map<PeerName, Dump>()

  beforeAll(async () => {
    await Promise.all(cases.map(async ([name, address]) => dumps.set(name, await exchangedBy(name, address))))
    await service.report(({ counters, open }) => counters.outcomes["agreed"] === cases.length && open === 0)
  })

  it.each(cases)("%s over %s gets cookies for AEAD %i that hold its keys", (name, _, aead) => {
    const dump = dumps.get(name)!
    expect(dump.aead).toBe(aead)
    // Eight less those that its first packets took along.
    expect(dump.cookies.length).toBeGreaterThanOrEqual(5)
    for (const cookie of dump.cookies) {
      const keys = opened(Buffer.from(cookie, "hex"), [generation(1)])
      if (typeof keys === "string") throw new Error(keys)
      const mine = [keys.c2s, keys.s2c].map((key) => Buffer.from(key).toString("hex").toUpperCase())
      expect(keys.aead.id).toBe(aead)
      expect(mine.toSorted()).toEqual(dump.keys.toSorted())
    }
  })
})

describe.runIf(withNtpsec)("NTPsec", () => {
  it("ntpd gets eight cookies and the port, in a network of its own, from a service that opened its own socket", async () => {
    const program = resolve(import.meta.dirname, "../src/main.ts")
    const server = spawn(
      "unshare",
      ["-n", "sh", "-c", 'ip link set lo up && exec "$0" "$@"', process.execPath, program],
      { stdio: ["ignore", "inherit", "inherit", "ipc"], serialization: "advanced", env: childEnvironment() }
    )
    const ended = once(server, "exit")
    const reports: NtsKeReport[] = []
    let ready = false
    server.on("message", (raw) => {
      const message = parseFromNtsKe(raw)
      ready ||= message?.type === "ready"
      if (message?.type === "report") reports.push(message)
    })
    const plan = {
      ...settingsWith({ certificates: [files], timeServer: { host: null, port: 1123 } }),
      accepts: true,
      generations: [generation(1)]
    }
    server.send({ type: "plan", version: 1, sockets: [{ address: "127.0.0.1", port: 4460 }], plan })
    await vi.waitUntil(() => ready, { timeout: PATIENCE_MS })
    const place = join(folder.path, "ntpsec")
    mkdirSync(place)
    writeFileSync(join(place, "drift"), "0.000\n")
    const lines = [
      `server localhost:4460 nts iburst ca ${files.certificate}`,
      `nts cookie ${place}/cookies`,
      `driftfile ${place}/drift`
    ]
    writeFileSync(join(place, "conf"), `${lines.join("\n")}\n`)
    const { command, args, env } = peer("ntpsec-ntpd")!
    const client = spawn(
      "nsenter",
      ["-t", String(server.pid), "-n", command, ...args, "-n", "-g", "-c", join(place, "conf")],
      { env, stdio: ["ignore", "pipe", "pipe"] }
    )
    let log = ""
    for (const stream of [client.stdout, client.stderr]) stream.on("data", (chunk: Buffer) => (log += chunk.toString()))
    const gone = once(client, "exit")
    try {
      await vi.waitUntil(() => /NTS-KE req to .* took .*\n/.test(log), { timeout: PATIENCE_MS })
      expect(log).toContain("Good ALPN from localhost")
      expect(log).toContain("Using port 1123")
      expect(log).toContain("Got 8 cookies, length 96, aead=15")
      expect(log).toMatch(/NTS-KE req to localhost:4460 took .* OK/)
      await vi.waitUntil(() => reports.at(-1)?.counters.outcomes["agreed"] === 1, {
        timeout: PATIENCE_MS
      })
      expect(reports.at(-1)?.counters.outcomes).toEqual({ agreed: 1 })
    } finally {
      client.kill("SIGTERM")
      await gone
      server.kill("SIGTERM")
      await ended
    }
  })
})

/** Next protocol NTPv4, AEAD 15 and the first cookie's header, as they lie in a reply. */
const REPLY_START = "\x80\x01\x00\x02\x00\x00\x80\x04\x00\x02\x00\x0f\x00\x05\x00\x60"

/** Feeds a command a request and gives what it printed, bytes as latin1. */
const feed = (command: string, args: readonly string[], env = process.env): Promise<string> =>
  new Promise((done) => {
    const options = { timeout: PATIENCE_MS, encoding: "latin1", env } as const
    const child = execFile(command, args, options, (_, stdout, stderr) => done(stdout + stderr))
    child.stdin?.write(request(15))
    // These tools say goodbye when their input ends: it is left open until the reply is there.
    let printed = ""
    child.stdout?.on("data", (text: string) => {
      printed += text
      if (printed.includes(REPLY_START)) child.stdin?.end()
    })
  })

describe("command-line tools", () => {
  it.runIf(withOpenssl)("openssl s_client trusts the certificate, agrees on ntske/1 and prints the reply", async () => {
    const target = ["-connect", `127.0.0.1:${service.port}`, "-alpn", "ntske/1", "-tls1_3"]
    const trust = ["-CAfile", files.certificate, "-verify_return_error", "-verify_hostname", "ntp.test"]
    const output = await feed("openssl", ["s_client", ...target, ...trust])
    expect(output).toContain("ALPN protocol: ntske/1")
    expect(output).toContain("Verify return code: 0 (ok)")
    expect(output).toContain("TLS_AES_128_GCM_SHA256")
    expect(output).toContain(REPLY_START)
  })

  it.runIf(withGnutls)("gnutls-cli does too", async () => {
    const { command, args, env } = peer("gnutls-cli")!
    const trust = [
      "--alpn",
      "ntske/1",
      "--x509cafile",
      files.certificate,
      "--priority",
      "NORMAL:-VERS-ALL:+VERS-TLS1.3"
    ]
    const output = await feed(command, [...args, ...trust, "-p", String(service.port), "localhost"], env)
    expect(output).toContain("The certificate is trusted")
    expect(output).toContain("Application protocol: ntske/1")
    expect(output).toContain(REPLY_START)
  })
})
