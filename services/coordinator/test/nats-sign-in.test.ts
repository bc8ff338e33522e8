/** Signing in to NATS with TLS and an nkey, as infra/nats configures it: whom it lets in, for what, and what the others are told. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import {
  authorityFile,
  makeNatsConfiguration,
  seedFile,
  serverConfiguration
} from "../../../infra/nats/make-configuration.ts"
import { refusal } from "../src/cluster.ts"
import { LEASE_MS } from "../src/cluster-lease.ts"
import { freePorts, listening, natsBinary, ownLoopback } from "./nats-cluster.ts"
import { eventsOf } from "./running-cluster.ts"
import { ids, makePlace, type Place, type RunningCoordinator, startCoordinator } from "./running-coordinator.ts"

const binary = natsBinary()
const why =
  binary === undefined ? " NOT RUN: no nats-server of Debian trixie (set PEERS, or let infra/peers fetch it)" : ""

describe.runIf(binary !== undefined)(`signing in to NATS${why}`, () => {
  const root = mkdtempSync(join(tmpdir(), "meridian-sign-in-"))
  const folder = join(root, "nats")
  const foreign = join(root, "foreign")
  const host = ownLoopback()
  let place: Place
  let port = 0
  let server: ChildProcess
  let running: Array<RunningCoordinator> = []
  beforeAll(async () => {
    place = makePlace()
    port = (await freePorts(1, host))[0] ?? 0
    const servers = [{ name: "n1", host, port, routePort: port, store: join(root, "store") }]
    for (const each of [folder, foreign])
      makeNatsConfiguration({ folder: each, servers, coordinators: ["a"], readers: ["audit"] })
    const [program = "nats-server", ...words] = binary ?? []
    server = spawn(program, [...words, "-c", serverConfiguration(folder, "n1")], { stdio: "ignore" })
    await once(server, "spawn")
    await listening(server, host, port)
  })
  afterEach(async () => {
    await Promise.all(running.map((it) => it.kill()))
    running = []
  })
  afterAll(async () => {
    server.kill("SIGKILL")
    await once(server, "exit")
    place.remove()
    rmSync(root, { recursive: true, force: true })
  })

  const start = (node: string, seed: string | undefined, authority: string | undefined): RunningCoordinator => {
    const args = ["--nats", `${host}:${port}`, "--log-bytes", "100000000", "--cluster-key", clusterKey]
    const started = startCoordinator(join(place.path, node), node, [
      ...args,
      ...(seed === undefined ? [] : ["--nats-nkey-seed", seed]),
      ...(authority === undefined ? [] : ["--nats-ca", authority])
    ])
    running.push(started)
    return started
  }
  let clusterKey = ""
  beforeAll(() => void (clusterKey = place.clusterKey()))
  const own = seedFile(folder, "coordinator", "a")

  it("lets a coordinator lead, and keeps keys from whom the operator made a reader", async () => {
    const reader = start("audit", seedFile(folder, "reader", "audit"), authorityFile(folder))
    const leader = start("a", own, authorityFile(folder))
    await leader.report(({ leading }) => leading)
    expect(ids(await leader.keys())).toEqual([1, 2])
    const before = await eventsOf(leader, "keys")
    await leader.kill()
    // The lease is free once it has lapsed, and the reader has been told by then what it may not do.
    await new Promise((done) => setTimeout(done, LEASE_MS + 1_000))
    expect(await reader.warning(/has no log for us/)).toMatch(/permission/i)
    expect(await reader.report()).toMatchObject({ leading: false, adapter: null })
    expect(reader.allKeys).toEqual([])
    const again = start("a", own, authorityFile(folder))
    await again.report(({ leading }) => leading)
    const after = await eventsOf(again, "keys")
    expect(after.slice(0, before.length)).toEqual(before)
    expect(new Set(after.map(({ node }) => node))).toEqual(new Set(["a"]))
  })

  it("says what is wrong, and does not end for it", async () => {
    const cases = [
      [own, authorityFile(foreign), /not signed by the authority in \S+foreign\/ca.pem/],
      [own, undefined, /it shows a certificate .* name the authority .* `cluster ca FILE`/],
      [
        seedFile(foreign, "coordinator", "a"),
        authorityFile(folder),
        /not let in the nkey in \S+foreign\/coordinator-a.nkey/
      ],
      [undefined, authorityFile(folder), /nobody in without an nkey: .* `cluster nkey FILE`/],
      [own, "/nonexistent/ca.pem", /\/nonexistent\/ca.pem doesn't exist/]
    ] as const
    const started = cases.map(([seed, authority], index) => start(`b${index}`, seed, authority))
    for (const [index, coordinator] of started.entries()) {
      // A machine with much else to do may have it say first that the server took too long; it asks again.
      const line = await coordinator.warning(cases[index]?.[2] ?? /never/)
      expect(line).toMatch(/^no NATS at 127[.\d]+:\d+: .*; this node has no snapshot and waits, without keys$/)
      expect(line).not.toMatch(/SU[A-Z2-7]{56}/)
      expect(coordinator.process.exitCode).toBeNull()
    }
  })

  it("ends where the seed cannot be read, or is none", async () => {
    const missing = start("b", "/nonexistent/a.nkey", authorityFile(folder))
    expect(await missing.exited).toBe(1)
    expect(missing.said()).toContain("/nonexistent/a.nkey")
    const rubbish = join(root, "rubbish.nkey")
    writeFileSync(rubbish, "SUnothing\n", { mode: 0o600 })
    const wrong = start("b", rubbish, authorityFile(folder))
    expect(await wrong.exited).toBe(1)
    expect(wrong.said()).toContain(`${rubbish} holds no seed of a user's nkey: expected one line that begins with SU`)
    expect(wrong.said()).not.toContain("SUnothing")
  })

  it("passes on what it has no words of its own for", () => {
    const plan = { servers: ["h:1"], seedFile: null, authorityFile: null, replicas: 1, logBytes: 1 }
    expect(refusal(plan, new Error("connection refused"))).toBe("connection refused")
  })
})
