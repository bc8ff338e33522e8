/**
 * Real clients with keys against a real node: chronyd and NTPsec's ntpd over NTS, and chronyd under symmetric keys. The
 * node makes its own development certificate; clients are given it as their authority.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, type PeerCommand, peersAvailable, type PeerName } from "@meridian/testkit/real-peers"
import { freePort, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"

const available = peersAvailable("NTS and keys with real clients", [
  "chronyd-4.3",
  "chronyc-4.3",
  "chronyd-newest",
  "chronyc-newest"
])
const folder = mkdtempSync(join(tmpdir(), "meridian-auth-"))
const keyLines = [
  "11 MD5 a-key-in-ascii",
  "12 SHA1 6b65792d3132206c6f6e672068657861646563696d616c",
  "13 AES128 00112233445566778899aabbccddeeff",
  "14 MD5 never-trusted"
]

let node: RunningNode
beforeAll(async () => {
  chmodSync(folder, 0o750)
  const keys = join(folder, "ntp.keys")
  writeFileSync(keys, `${keyLines.join("\n")}\n`, { mode: 0o600 })
  const configuration = join(folder, "ntp.conf")
  const kePort = await freePort()
  writeFileSync(
    configuration,
    `listen 127.0.0.1\nworkers 2\nkeys ${keys}\ntrustedkey 11 (12 ... 13)\nnts enable\nnts port ${kePort}\n`
  )
  node = await startNode({ args: ["--config", configuration] })
  ntsPort = kePort
})
let ntsPort = 0
afterAll(async () => {
  await node.stop()
  rmSync(folder, { recursive: true })
})

const run = (command: PeerCommand, args: readonly string[]): Promise<string> =>
  new Promise((done) => {
    execFile(
      command.command,
      [...command.args, ...args],
      { env: command.env, timeout: PATIENCE_MS },
      (_error, stdout, stderr) => done(stdout + stderr)
    )
  })

const certificate = (): string => {
  const name = readdirSync(node.state).find((entry) => entry.endsWith(".pem") && !entry.includes("key"))
  return join(node.state, name ?? "missing")
}

/**
 * Runs chronyd as a client until its source is selected, then asks chronyc for its sources and more until the answers are as
 * expected, or for a bounded time: while a request is under way its cookie is gone and its poll not yet answered.
 */
const withChronyd = async (
  version: "4.3" | "newest",
  lines: readonly string[],
  ask: readonly string[],
  expected: readonly RegExp[],
  meanwhile: () => Promise<void> = () => Promise.resolve()
): Promise<string> => {
  const place = mkdtempSync(join(folder, "chrony-"))
  chmodSync(place, 0o750)
  const conf = join(place, "conf")
  const socket = join(place, "c.sock")
  writeFileSync(
    conf,
    `${lines.join("\n")}\ncmdport 0\nbindcmdaddress ${socket}\npidfile ${join(place, "pid")}\nrtconutc\n`
  )
  const chronyd = peer(`chronyd-${version}` satisfies PeerName)!
  const chronyc = peer(`chronyc-${version}` satisfies PeerName)!
  const child: ChildProcess = spawn(chronyd.command, [...chronyd.args, "-x", "-d", "-f", conf], {
    env: chronyd.env,
    stdio: "ignore"
  })
  try {
    const answers = (...words: readonly string[]) => run(chronyc, ["-n", "-h", socket, ...words])
    const until = async (question: () => Promise<string>, patterns: readonly RegExp[]): Promise<string> => {
      const deadline = performance.now() + PATIENCE_MS
      let answer = ""
      while (!patterns.every((it) => it.test(answer)) && performance.now() < deadline) {
        await setTimeout(300)
        answer = existsSync(socket) ? await question() : ""
      }
      return answer
    }
    await until(() => answers("sources"), [/^\^\*/m])
    await meanwhile()
    return await until(async () => `${await answers("sources")}\n${await answers(...ask)}`, expected)
  } finally {
    child.kill()
    await once(child, "exit")
  }
}

describe.runIf(available)("NTS", () => {
  it.each(["4.3", "newest"] as const)("chronyd %s is authenticated and has eight cookies", async (version) => {
    // Name, mode, key id, type, length, last, attempts, NAKs, cookies, cookie length
    const fullJar = /NTS\s+\d+\s+\d+\s+\d+\s+\S+\s+0\s+0\s+8\s+\d+/
    const output = await withChronyd(
      version,
      [
        `server 127.0.0.1 port ${node.port} nts ntsport ${ntsPort} minpoll 0 maxpoll 0 iburst`,
        `ntstrustedcerts ${certificate()}`
      ],
      ["-N", "authdata"],
      [/^\^\*/m, fullJar]
    )
    expect(output).toMatch(/^\^\*/m)
    expect(output).toMatch(fullJar)
  })
})

/** A command to the coordinator over its socket. */
const command = (path: string, body: object): Promise<number> =>
  new Promise((done, failed) => {
    const asking = request({ socketPath: join(node.state, "coordinator.sock"), path, method: "POST" }, (response) => {
      response.resume()
      done(response.statusCode ?? 0)
    })
    asking.on("error", failed)
    asking.end(JSON.stringify(body))
  })

describe.runIf(available)("NTS over time", () => {
  it("goes on across a rotation of the master key, new workers and a re-read certificate", async () => {
    // Reach 377: the last eight polls were all answered; no NAK, one key exchange, a full jar.
    const reached = /^\^\*.*\s377\s/m
    const fullJar = /NTS\s+1\s+\d+\s+\d+\s+\S+\s+0\s+0\s+8\s+\d+/
    const generations = async () =>
      (
        (await node.status()) as unknown as { keys: { masterKeyGenerations: readonly { id: number }[] } }
      ).keys.masterKeyGenerations.map(({ id }) => id)
    const before = await generations()
    const output = await withChronyd(
      "4.3",
      [
        `server 127.0.0.1 port ${node.port} nts ntsport ${ntsPort} minpoll 0 maxpoll 0 iburst`,
        `ntstrustedcerts ${certificate()}`
      ],
      ["-N", "authdata"],
      [reached, fullJar],
      async () => {
        await setTimeout(3_000)
        expect(await command("/keys/rotate", { kind: "nts" })).toBe(200)
        await vi.waitFor(async () => expect(Math.max(...(await generations()))).toBeGreaterThan(Math.max(...before)), {
          timeout: PATIENCE_MS,
          interval: 300
        })
        const workers = async () => (await node.status()).workers.map(({ pid }) => pid)
        const old = await workers()
        node.process.kill("SIGHUP")
        await vi.waitFor(async () => expect((await workers()).filter((pid) => old.includes(pid))).toEqual([]), {
          timeout: PATIENCE_MS,
          interval: 300
        })
        await setTimeout(10_000)
      }
    )
    expect(output).toMatch(reached)
    expect(output).toMatch(fullJar)
    expect(Math.max(...(await generations()))).toBeGreaterThan(Math.max(...before))
    const { totals } = (await node.status()) as unknown as { totals: { served: Record<string, number> } }
    expect(totals.served["nts-nak-sent"]).toBe(0)
  })
})

describe.runIf(available)("symmetric keys", () => {
  it.each([
    [11, "MD5"],
    [12, "SHA1"],
    [13, "AES-128"]
  ])("chronyd under key %d (%s)", async (id) => {
    const keys = join(folder, `chrony-${id}.keys`)
    const [number, type, text] = keyLines[id - 11]!.split(" ")
    writeFileSync(keys, `${number} ${type} ${id === 11 ? text : `HEX:${text}`}\n`, { mode: 0o600 })
    const output = await withChronyd(
      "4.3",
      [`server 127.0.0.1 port ${node.port} key ${id} minpoll 0 maxpoll 0 iburst`, `keyfile ${keys}`],
      ["authdata"],
      [/^\^\*/m, new RegExp(`SK\\s+${id}\\s`)]
    )
    expect(output).toMatch(/^\^\*/m)
    expect(output).toMatch(new RegExp(`SK\\s+${id}\\s`))
  })
  it("a key that is not trusted is not answered", async () => {
    const keys = join(folder, "chrony-14.keys")
    writeFileSync(keys, "14 MD5 never-trusted\n", { mode: 0o600 })
    const chronyd = peer("chronyd-4.3")!
    const output = await run(chronyd, [
      "-Q",
      "-x",
      "-t",
      "8",
      `server 127.0.0.1 port ${node.port} key 14 iburst`,
      `keyfile ${keys}`
    ])
    expect(output).toContain("Timeout reached")
    // Workers report once a second.
    await vi.waitFor(
      async () => {
        const { totals } = (await node.status()) as unknown as { totals: { dropped: Record<string, number> } }
        expect(totals.dropped["untrusted-key"]).toBeGreaterThan(0)
      },
      { timeout: PATIENCE_MS, interval: 300 }
    )
  })
})
