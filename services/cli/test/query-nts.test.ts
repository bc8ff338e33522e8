/** `meridian query --nts` against our own node, chronyd and NTPsec's ntpd, and against servers that must not be believed. */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { createServer } from "node:tls"
import { makeCertificate } from "@meridian/testkit/certificates"
import { NtsFieldType } from "@meridian/wire/nts-fields"
import { encodeRecords, endOfMessage, numbersBody, record, RecordType } from "@meridian/wire/nts-ke"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peer, type PeerName, peersAvailable } from "@meridian/testkit/real-peers"
import { SteppedRealtime } from "@meridian/testkit/stepped-realtime"
import { freePort, meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { QueryFailed } from "../src/query.ts"
import { type NtsQueryPlan, queryNts } from "../src/query-nts.ts"
import { eventually, PATIENCE_MS } from "./running-cluster.ts"

const folder = mkdtempSync(join(tmpdir(), "meridian-query-"))
const file = (name: string): string => join(folder, name)
const [key, certificate] = [file("key.pem"), file("certificate.pem")]

beforeAll(() => {
  const names = "DNS:localhost,IP:127.0.0.1"
  makeCertificate({ key, certificate, subject: "/O=Meridian/CN=query test", names })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Printed {
  readonly keys: { from: string; aead: string; port: number; cookies: number; certificate: { subject: string } | null }
  readonly answers: readonly { offset: number; stratum: number; synchronised: boolean; cookies: number }[]
  readonly error: string | null
}

/** What it says where an answer took longer than it waits for one, as it may on a machine with much else to do. */
const SILENCE = /no (authenticated )?answer (came )?from .* within|no whole reply within/
/** Runs it, again where the answer was late. */
const query = (...args: string[]) =>
  eventually(
    () => meridian(["query", ...args]),
    ({ stderr }) => !SILENCE.test(stderr)
  )

/** Runs it with --json. Fails when it does. */
const asked = async (...args: string[]): Promise<Printed> => {
  const { code, stdout, stderr } = await query("--nts", "--json", ...args)
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
  return JSON.parse(stdout) as Printed
}

describe("against our node", () => {
  let node: RunningNode
  let target = ""
  let ca = ""
  beforeAll(async () => {
    const port = await freePort()
    node = await startNode({ args: ["--nts", "--nts-port", String(port), "--workers", "1"] })
    target = `localhost:${port}`
    ca = join(node.state, "nts-development-certificate.pem")
  })
  afterAll(() => node.stop())

  /** Runs something while the node's key exchange does not get to run. */
  const withoutExchange = async <A>(what: () => Promise<A>): Promise<A> => {
    const { ntsKe } = (await node.status()) as unknown as { ntsKe: readonly { pid: number }[] }
    expect(ntsKe).toHaveLength(1)
    const [{ pid }] = ntsKe as [{ pid: number }]
    process.kill(pid, "SIGSTOP")
    try {
      return await what()
    } finally {
      process.kill(pid, "SIGCONT")
    }
  }

  it("says offset, algorithm, cookies and whose certificate it was, and every answer is authenticated", async () => {
    const { code, stdout, stderr } = await query("--nts", "--count", "2", "--ca", ca, target)
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(100)
    const [first, ...answers] = stdout.replaceAll("\n    ", " ").trimEnd().split("\n")
    expect(first).toMatch(/AES_128_GCM_SIV, 8 cookies, certificate CN=Meridian dev.*DNS:localhost.*expires 20\d\d-/)
    expect(first).toContain(`port ${node.port}`)
    expect(answers).toHaveLength(2)
    for (const answer of answers)
      expect(answer).toMatch(/offset .* delay .* stratum 10 .*authenticated, 8 cookies left$/)
  })

  it("is what the first screen says to try, with chronyd's line beside it", async () => {
    const [, line = ""] = /npx meridian (query --nts .*)/.exec(node.stdout()) ?? []
    expect(await query(...line.split(" ").slice(1))).toMatchObject({ code: 0, stderr: "" })
    expect(node.stdout()).toMatch(
      /chronyd -Q -x 'server 127\.0\.0\.1 nts ntsport \d+ iburst' 'ntstrustedcerts .*\.pem'/
    )
  })

  it.each(["AES_SIV_CMAC_256", "AES_SIV_CMAC_384", "AES_SIV_CMAC_512", "AES_128_GCM_SIV"])("with %s", async (aead) => {
    const { keys, answers } = await asked("--aead", aead, "--ca", ca, target)
    expect(keys).toMatchObject({ from: "exchange", aead, port: node.port, cookies: 8 })
    expect(answers).toMatchObject([{ stratum: 10, synchronised: true, cookies: 8 }])
  })

  it("uses kept cookies the next time, without an exchange, and keeps them for its own eyes", async () => {
    const keep = ["--state", file("kept"), "--ca", ca, target]
    expect((await asked(...keep)).keys).toMatchObject({ from: "exchange" })
    const again = await withoutExchange(() => asked(...keep))
    expect(again.keys).toMatchObject({ from: "earlier exchange", cookies: 8, certificate: null })
    expect(again.answers).toMatchObject([{ stratum: 10, cookies: 8 }])
    for (const name of readdirSync(file("kept"))) expect(statSync(join(file("kept"), name)).mode & 0o77).toBe(0)
    // Another authority, another session: what one vouched for is not taken for what the other did.
    const { code } = await query("--nts", "--state", file("kept"), target)
    expect(code).toBe(1)
    expect((await asked(...keep)).keys.from).toBe("earlier exchange")
  })

  it("exchanges anew when the server has forgotten the key of the kept cookies, or the kept file is spoilt", async () => {
    const keep = ["--state", file("revoked"), "--ca", ca, target]
    await asked(...keep)
    const list = await meridian(["keys", "list", "--json", "--state", node.state])
    const { nts } = JSON.parse(list.stdout) as { nts: readonly { generation: number; status: string }[] }
    const active = nts.find(({ status }) => status === "active")?.generation
    const revoked = await meridian(["keys", "revoke", String(active), "--reason", "test", "--state", node.state])
    expect(revoked.code).toBe(0)
    await vi.waitFor(async () => expect((await asked(...keep)).keys.from).toBe("exchange"), {
      timeout: PATIENCE_MS
    })
    writeFileSync(join(file("revoked"), "query-cookies"), "spoilt")
    const { code, stderr } = await query("--nts", ...keep)
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining("exchanged anew") as string })
  })

  it.each([
    [[], /self-signed certificate; ask by a name.* --ca FILE$/],
    [["--ca", "/no/such/file"], /\/no\/such\/file cannot be read: it is not there.*--ca takes a PEM file/],
    [["--ca", "/etc/hostname"], /no certificate in PEM/]
  ])("with %j it says what is wrong and what to do, with status 1", async (args, message) => {
    const { code, stdout, stderr } = await query("--nts", ...args, target)
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    expect(stderr.trimEnd()).toMatch(message)
  })

  it("does not take a certificate for another name", async () => {
    const { code, stderr } = await query("--nts", "--ca", ca, target.replace("localhost", "127.0.0.7"))
    expect(code).toBe(1)
    expect(stderr).toMatch(/not in the cert's list.*ask by a name/)
  })

  it("says which clock or certificate is likely at fault where the dates do not fit", async () => {
    const clock = new SteppedRealtime()
    try {
      const DAY = 86_400
      clock.step(-30 * DAY)
      const slow = await meridian(["query", "--nts", "--ca", ca, target], clock.environment)
      expect(slow.code).toBe(1)
      expect(slow.stderr).toMatch(
        /certificate is not yet valid by this machine's clock \(20.*it is valid from 20.*: this machine's clock is the likely fault, set it first/
      )
      clock.step(5_000 * DAY)
      const late = await meridian(["query", "--nts", "--ca", ca, target], clock.environment)
      expect(late.stderr).toMatch(
        /certificate has expired by this machine's clock.*it expired on 20.*: the server is to renew it, unless this machine's clock is wrong/
      )
    } finally {
      clock.close()
    }
  })

  it("says where there is no key exchange", async () => {
    const { code, stderr } = await query("--nts", `127.0.0.1:${await freePort()}`)
    expect(code).toBe(1)
    expect(stderr).toMatch(/: nobody listens there; .*is NTS served there\?/)
  })
})

it("a node made anew with the same `nts cookie FILE` answers the cookies of the one before it", async () => {
  const [port, ke] = [await freePort(), await freePort()]
  const configuration = `listen 127.0.0.1\nworkers 1\nnts enable cookie ${file("node-keys")}\nnts port ${ke}\n`
  writeFileSync(file("node.conf"), configuration)
  const keep = ["--state", file("from-before"), "--ca", file("authority.pem"), `localhost:${ke}`]
  const ask = async (): Promise<Printed> => {
    // Each node makes a state directory of its own, with a log and a certificate of its own.
    const node = await startNode({ port, args: ["--config", file("node.conf")] })
    try {
      writeFileSync(file("authority.pem"), readFileSync(join(node.state, "nts-development-certificate.pem")))
      return await asked(...keep)
    } finally {
      await node.stop()
    }
  }
  expect((await ask()).keys.from).toBe("exchange")
  expect(statSync(file("node-keys")).mode & 0o777).toBe(0o600)
  const again = await ask()
  expect(again.keys).toMatchObject({ from: "earlier exchange", cookies: 8 })
  expect(again.answers).toMatchObject([{ stratum: 10, cookies: 8 }])
})

it.each([
  [["--ca", "x", "127.0.0.1"], "--ca is about --nts"],
  [["--state", "x", "127.0.0.1"], "--state is about --nts"],
  [["--nts", "--version", "3", "127.0.0.1"], "NTP version 4"],
  [["--nts", "--aead", "ROT13", "127.0.0.1"], "expected AES_SIV_CMAC_256"]
])("query %j ends with 2", async (args, message) => {
  const { code, stderr } = await meridian(["query", ...args])
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) as string })
})

const startPeer = (name: PeerName, args: readonly string[]): { child: ChildProcess; said: () => string } => {
  const { command, args: before, env } = peer(name)!
  const child = spawn(command, [...before, ...args], { env, stdio: ["ignore", "pipe", "pipe"] })
  let said = ""
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => (said += chunk.toString()))
  return { child, said: () => said }
}
const end = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill("SIGKILL")
  await once(child, "exit")
}

describe.runIf(peersAvailable("query --nts with chronyd", ["chronyd-4.3", "chronyd-newest"]))("against chronyd", () => {
  it.each([
    ["chronyd-4.3", "AES_SIV_CMAC_256"],
    ["chronyd-newest", "AES_128_GCM_SIV"]
  ] as const)("%s: %s, eight cookies, authenticated", async (name, aead) => {
    const [ntp, ke] = [await freePort(), await freePort()]
    const lines = [
      `port ${ntp}`,
      "bindaddress 127.0.0.1",
      "cmdport 0",
      "bindcmdaddress /",
      `pidfile ${file(name)}.pid`,
      "local stratum 3",
      "allow",
      `ntsserverkey ${key}`,
      `ntsservercert ${certificate}`,
      `ntsport ${ke}`
    ]
    writeFileSync(file(name), `${lines.join("\n")}\n`)
    const { child } = startPeer(name, ["-x", "-d", "-f", file(name)])
    try {
      const printed = await vi.waitFor(() => asked("--count", "2", "--ca", certificate, `localhost:${ke}`), {
        timeout: PATIENCE_MS,
        interval: 300
      })
      expect(printed.keys).toMatchObject({ aead, port: ntp, cookies: 8 })
      expect(printed.keys.certificate?.subject).toBe("O=Meridian, CN=query test")
      expect(printed.answers).toMatchObject([
        { stratum: 3, synchronised: true, cookies: 8 },
        { stratum: 3, cookies: 8 }
      ])
      for (const { offset } of printed.answers) expect(Math.abs(offset)).toBeLessThan(0.05)
    } finally {
      await end(child)
    }
  })
})

const NTPSEC = "query --nts with NTPsec"
const withNtpsec = canMakeNamespaces(NTPSEC) && peersAvailable(NTPSEC, ["ntpsec-ntpd"])

describe.runIf(withNtpsec)("against NTPsec's ntpd", () => {
  // Its ports 123 and 4460 are fixed, so it gets a network of its own, and the query joins it there.
  const namespace = `meridian-query-${process.pid}`
  const within = ["netns", "exec", namespace]
  beforeAll(() => {
    execFileSync("ip", ["netns", "add", namespace])
    execFileSync("ip", ["-n", namespace, "link", "set", "lo", "up"])
  })
  afterAll(() => void execFileSync("ip", ["netns", "delete", namespace]))

  it("is authenticated with AES_SIV_CMAC_256", async () => {
    const lines = [
      "refclock local stratum 5 prefer minpoll 3 maxpoll 3",
      "tos minsane 1 orphan 6 orphanwait 1",
      "restrict default",
      "restrict 127.0.0.1",
      `nts enable cert ${certificate} key ${key} cookie ${file("ntpsec-cookies")}`
    ]
    writeFileSync(file("ntpsec.conf"), `${lines.join("\n")}\n`)
    const { command, args, env } = peer("ntpsec-ntpd")!
    const server = spawn("ip", [...within, command, ...args, "-n", "-g", "-c", file("ntpsec.conf")], {
      env,
      stdio: "ignore"
    })
    const cli = resolve(import.meta.dirname, "../bin/meridian.mjs")
    const ask = (): Promise<{ failed: boolean; output: string }> =>
      new Promise((done) => {
        const query = [process.execPath, cli, "query", "--nts", "--ca", certificate, "localhost"]
        execFile("ip", [...within, ...query], { timeout: PATIENCE_MS }, (error, stdout, stderr) =>
          done({ failed: error !== null, output: stdout + stderr })
        )
      })
    try {
      await vi.waitFor(
        async () => {
          const { failed, output } = await ask()
          const lines = output.replaceAll("\n    ", " ")
          expect(lines).toMatch(/AES_SIV_CMAC_256, 8 cookies, certificate O=Meridian, CN=query test/)
          expect(lines).toMatch(/stratum \d+ .*authenticated, 8 cookies left/)
          expect(failed).toBe(false)
        },
        { timeout: PATIENCE_MS, interval: 500 }
      )
    } finally {
      await end(server)
    }
  })
})

/** Gives cookies over TLS and answers NTP with what `answer` makes of a request. */
const startImpostor = async (answer: (request: Buffer) => Buffer) => {
  const udp = createSocket("udp4")
  udp.on("message", (request, from) => udp.send(answer(request), from.port, from.address))
  udp.bind(0, "127.0.0.1")
  await once(udp, "listening")
  const reply = encodeRecords([
    record(RecordType.nextProtocol, true, numbersBody([0])),
    record(RecordType.aead, true, numbersBody([15])),
    ...Array.from({ length: 8 }, () => record(RecordType.newCookie, false, new Uint8Array(100))),
    record(RecordType.ntpPort, true, numbersBody([udp.address().port])),
    endOfMessage
  ])
  const tls = createServer({ key: readFileSync(key), cert: readFileSync(certificate), ALPNProtocols: ["ntske/1"] })
  tls.on("secureConnection", (socket) => socket.once("data", () => socket.end(reply)))
  tls.listen(0, "127.0.0.1")
  await once(tls, "listening")
  const plan: NtsQueryPlan = {
    host: "localhost",
    port: (tls.address() as AddressInfo).port,
    count: 2,
    // As long as a reply may take on a machine with much else to do; what cannot be believed is waited for that long.
    timeoutMs: 3_000,
    ca: certificate,
    aead: undefined,
    state: undefined
  }
  const stop = (): void => {
    udp.close()
    tls.close()
  }
  return { plan, stop }
}

/** A header that answers a request: version 4, mode 4. */
const headerFor = (request: Buffer, stratum: number): Buffer => {
  const header = Buffer.alloc(48)
  header[0] = stratum === 0 ? 0xe4 : 0x24
  header[1] = stratum
  request.copy(header, 24, 40, 48)
  return header
}

describe("a server that must not be believed", () => {
  const identifierOf = (request: Buffer): Buffer => {
    expect(request.readUInt16BE(48)).toBe(NtsFieldType.uniqueIdentifier)
    return request.subarray(48, 48 + request.readUInt16BE(50))
  }
  const nak = (request: Buffer): Buffer => {
    const header = headerFor(request, 0)
    header.write("NTSN", 12, "latin1")
    return Buffer.concat([header, identifierOf(request)])
  }
  it.each([
    ["answers without authentication", (request: Buffer) => headerFor(request, 1), /no authenticated answer/],
    ["sends the request back", (request: Buffer) => request, /no authenticated answer/],
    ["does not know its own cookies", nak, /does not know the cookie/]
  ])("one that %s", async (_, answer, message) => {
    const impostor = await startImpostor(answer)
    try {
      const { answers } = await queryNts(impostor.plan)
      expect(answers).toHaveLength(1)
      expect(answers[0]).toBeInstanceOf(QueryFailed)
      expect(answers[0]).toMatchObject({ reason: "silence", message: expect.stringMatching(message) as string })
    } finally {
      impostor.stop()
    }
  })
})
