/**
 * Real clients under the keys of one ntpkeygen file: chronyd and NTPsec's ntpd read it as it is, the classic ntpd a copy with
 * its own type word. Each asks one node under an AES key as text, one as hexadecimal, an MD5 and a SHA1 key, and is answered
 * under all of them. The daemons know no port but 123, so node and clients have networks of their own.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, type PeerName, peersAvailable } from "@meridian/testkit/real-peers"
import { type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"

const SUITE = "keys with real clients"
const peers = ["chronyd-4.3", "chronyc-4.3", "ntpsec-ntpd", "ntpsec-ntpq"] as const
const available = canMakeNamespaces(SUITE) && peersAvailable(SUITE, peers)
const withClassic = available && peersAvailable(`${SUITE}: classic ntpd`, ["classic-ntpd", "classic-ntpq"])

/** Key ids, and which address of the node is asked under each: 10.77.x.1, .2 … */
const KEYS = [3, 14, 31, 32]
const WRONG = 33
const appended = `31 MD5 made-with-an-editor\n32 SHA1 twenty-characters-a1\n`

const folder = available ? mkdtempSync(join(tmpdir(), "meridian-keyed-")) : ""
const keyFile = join(folder, "ntp.keys")
const networks: NetworkNamespace[] = []
let node: RunningNode

/** A network with a cable to the node's. @param subnet of 10.77 */
const network = (subnet: number): NetworkNamespace => {
  const made = new NetworkNamespace()
  const served = [...KEYS, WRONG].map((_, index) => `10.77.${subnet}.${index + 1}/24`)
  networks[0]!.connect(made, served, [`10.77.${subnet}.100/24`])
  networks.push(made)
  return made
}

beforeAll(async () => {
  if (!available) return
  networks.push(new NetworkNamespace())
  chmodSync(folder, 0o755)
  execFileSync(process.execPath, [resolve(import.meta.dirname, "../../cli/bin/ntpkeygen.mjs")], {
    cwd: folder,
    stdio: "ignore"
  })
  const generated = readFileSync(keyFile, "utf8")
  rmSync(keyFile)
  writeFileSync(keyFile, `${generated}${appended}${WRONG} MD5 the-server-has-this\n`, { mode: 0o600 })
  writeFileSync(join(folder, "node.conf"), `keys ${keyFile}\ntrustedkey (1 ... 40)\nworkers 2\n`)
  node = await startNode({ port: 123, args: ["--config", join(folder, "node.conf")], within: networks[0]!.within })
})
afterAll(async () => {
  if (!available) return
  await node.stop()
  for (const one of networks) one.remove()
  rmSync(folder, { recursive: true, force: true })
})

/** A folder for one client, with the keys as it gets them: the last one is another than the server's. */
const placeFor = (name: string, change: (text: string) => string = (text) => text): string => {
  const place = join(folder, name)
  mkdirSync(place)
  chmodSync(place, 0o750)
  const keys = change(readFileSync(keyFile, "utf8")).replace("the-server-has-this", "the-client-has-that")
  writeFileSync(join(place, "keys"), keys, { mode: 0o600 })
  return place
}

const start = (name: PeerName, within: readonly string[], args: readonly string[]): (() => Promise<void>) => {
  const { command, args: before, env } = peer(name)!
  const [program = "", ...rest] = [...within, command, ...before, ...args]
  const child: ChildProcess = spawn(program, rest, { env, stdio: "ignore" })
  const ended = once(child, "exit")
  return async () => {
    child.kill("SIGTERM")
    await Promise.race([ended, sleep(PATIENCE_MS, undefined, { ref: false }).then(() => child.kill("SIGKILL"))])
    await ended
  }
}

const ask = (name: PeerName, within: readonly string[], args: readonly string[]): string => {
  const { command, args: before, env } = peer(name)!
  const [program = "", ...rest] = [...within, command, ...before, ...args]
  return execFileSync(program, rest, {
    env,
    encoding: "utf8",
    timeout: PATIENCE_MS,
    stdio: ["ignore", "pipe", "ignore"]
  })
}

const counted = async (): Promise<Record<string, number>> => {
  const { totals } = (await node.status()) as unknown as { totals: { served: object; dropped: object } }
  return { ...totals.served, ...totals.dropped } as Record<string, number>
}

/** ntpd of either kind: what `ntpq -c as` says of each association once four are reached and the fifth was tried. */
const withNtpd = async (
  names: { readonly ntpd: PeerName; readonly ntpq: PeerName },
  subnet: number,
  place: string
): Promise<readonly string[]> => {
  const { within } = network(subnet)
  const servers = [...KEYS, WRONG].map(
    (key, index) => `server 10.77.${subnet}.${index + 1} key ${key} iburst minpoll 3 maxpoll 3`
  )
  const lines = [
    `keys ${join(place, "keys")}`,
    "trustedkey 3 14 31 32 33",
    `driftfile ${join(place, "drift")}`,
    "restrict default",
    "restrict 127.0.0.1"
  ]
  writeFileSync(join(place, "drift"), "0.0\n")
  writeFileSync(join(place, "conf"), `${[...servers, ...lines].join("\n")}\n`)
  const stop = start(names.ntpd, within, ["-n", "-g", "-c", join(place, "conf"), "-l", join(place, "log")])
  try {
    return await vi.waitFor(
      () => {
        const rows = ask(names.ntpq, within, ["-c", "as", "127.0.0.1"])
          .split("\n")
          .filter((line) => /^\s*\d+\s+\d+\s/.test(line))
        expect(rows.slice(0, -1)).toEqual(KEYS.map(() => expect.stringMatching(/\sok\s+(?!reject)/) as string))
        expect(rows.filter((row) => row.includes("sys.peer"))).toHaveLength(1)
        return rows
      },
      { timeout: 2 * PATIENCE_MS, interval: 500 }
    )
  } finally {
    await stop()
  }
}

describe.runIf(available)("keys of ntpkeygen, an MD5 and a SHA1 key", () => {
  it("our own node reads the file without a word about it", () => {
    expect(node.stderr()).not.toMatch(/keys|given before/)
  })

  it.concurrent("chronyd is authenticated under each of them, and not under one that differs", async () => {
    const place = placeFor("chrony")
    const { within } = network(1)
    const socket = join(place, "c.sock")
    const servers = [...KEYS, WRONG].map((key, index) => `server 10.77.1.${index + 1} key ${key} iburst minpoll 0`)
    const lines = ["cmdport 0", `bindcmdaddress ${socket}`, `pidfile ${join(place, "pid")}`, "rtconutc"]
    writeFileSync(join(place, "conf"), `${[...servers, ...lines, `keyfile ${join(place, "keys")}`].join("\n")}\n`)
    const stop = start("chronyd-4.3", within, ["-x", "-d", "-f", join(place, "conf")])
    try {
      await vi.waitFor(
        () => {
          const chronyc = (...args: string[]) => ask("chronyc-4.3", within, ["-n", "-h", socket, ...args])
          const authenticated = KEYS.map((_, index) =>
            /Authenticated\s+: Yes/.test(chronyc("ntpdata", `10.77.1.${index + 1}`))
          )
          expect(authenticated).toEqual(KEYS.map(() => true))
          const authdata = chronyc("authdata")
          for (const [key, type, bits] of [
            [3, 13, 128],
            [14, 13, 128],
            [31, 1, 152],
            [32, 2, 160]
          ])
            expect(authdata).toMatch(new RegExp(`SK\\s+${key}\\s+${type}\\s+${bits}\\s`))
          expect(chronyc("sources")).toMatch(/^\^\* 10\.77\.1\.[1-4]\s/m)
          expect(chronyc("sources")).toMatch(/^\^\? 10\.77\.1\.5\s+0\s/m)
        },
        { timeout: 2 * PATIENCE_MS, interval: 500 }
      )
    } finally {
      await stop()
    }
  })

  it.concurrent("NTPsec's ntpd is, and not under one that differs", async () => {
    const rows = await withNtpd({ ntpd: "ntpsec-ntpd", ntpq: "ntpsec-ntpq" }, 2, placeFor("ntpsec"))
    expect(rows).toHaveLength(5)
    expect(rows[4]).toMatch(/\sno\s+(?:bad|ok)\s+reject/)
  })

  it.runIf(withClassic).concurrent("classic ntpd is, with AES128CMAC for AES", async () => {
    // It takes a file with more than fifteen lines that it does not understand for spoilt.
    const inItsWords = (text: string): string =>
      text.replaceAll(/^.* AES128 .*\n/gm, "").replaceAll(" AES ", " AES128CMAC ")
    const names = { ntpd: "classic-ntpd", ntpq: "classic-ntpq" } as const
    const rows = await withNtpd(names, 3, placeFor("classic", inItsWords))
    expect(rows).toHaveLength(5)
  })

  it("counts them all as served under a key, and what the last key made as bad", async () => {
    let found: Record<string, number> = {}
    // Workers report once a second.
    await vi.waitFor(
      async () => {
        found = await counted()
        expect(found["served-keyed"]).toBeGreaterThanOrEqual(4 * KEYS.length)
        expect(found["bad-mac"]).toBeGreaterThan(0)
      },
      { timeout: PATIENCE_MS, interval: 300 }
    )
    expect([found["unknown-key"], found["untrusted-key"], found["malformed"]]).toEqual([0, 0, 0])
  })
})
