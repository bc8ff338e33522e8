/**
 * A whole node under NATS's outages: real workers answering a real NTS client (chronyd) while first one NATS server is
 * killed, and then all three for longer than a rotation.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { peer, type PeerCommand, peersAvailable } from "@meridian/testkit/real-peers"
import { type RunningNode, startNode } from "@meridian/testkit/running-node"
import { freePorts, natsBinary, type RunningNats, startNats } from "./nats-cluster.ts"
import { askSocket, makePlace, type Place, until } from "./running-coordinator.ts"

const binary = natsBinary()
const available = peersAvailable("NATS's outages with a real client", [
  "nats-server-2.10",
  "chronyd-4.3",
  "chronyc-4.3"
])
const ROTATION_S = 3
/** Cookies that a client holds (RFC 8915 §5.7). */
const JAR = 8
/** A line of chronyc's authdata: how many key exchanges there were, none is being attempted, no NAK has come, a full jar. */
const AUTHENTICATED = /NTS\s+(\d+)\s+\d+\s+\d+\s+\S+\s+0\s+0\s+8\s+\d+/

interface Status {
  readonly keys: { readonly masterKeyGenerations: readonly { readonly id: number; readonly activation: number }[] }
  readonly coordinator: { readonly adapter: string | null } | null
  readonly workers: readonly { readonly newestKey: { readonly generation: number } }[]
  readonly totals: {
    readonly served: Readonly<Record<string, number>>
    readonly dropped: Readonly<Record<string, number>>
  }
}

describe.runIf(available && binary !== undefined)("a node whose NATS is away", () => {
  let nats: RunningNats
  let place: Place
  let folder: string
  let node: RunningNode | undefined
  let ntsPort = 0
  let client: ChildProcess | undefined
  beforeEach(async () => {
    nats = await startNats(binary ?? [])
    place = makePlace()
    folder = mkdtempSync(join(tmpdir(), "meridian-outage-"))
    chmodSync(folder, 0o750)
    ntsPort = (await freePorts(1))[0] ?? 0
    const configuration = join(folder, "ntp.conf")
    writeFileSync(
      configuration,
      [
        "node a",
        "listen 127.0.0.1",
        "workers 2",
        "nts enable",
        `nts port ${ntsPort}`,
        `cluster nats ${nats.urls.join(",")} key "${place.clusterKey()}" rotate ${ROTATION_S}`,
        "cluster log-bytes 100000000",
        ""
      ].join("\n")
    )
    node = await startNode({ args: ["--config", configuration] })
  })
  afterEach(async () => {
    if (client !== undefined && client.exitCode === null) {
      client.kill()
      await once(client, "exit")
    }
    await node?.stop()
    await nats.stop()
    place.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  const run = ({ command, args, env }: PeerCommand, ...more: readonly string[]): Promise<string> =>
    new Promise((done) => {
      execFile(command, [...args, ...more], { env, timeout: 60_000 }, (_error, stdout, stderr) => done(stdout + stderr))
    })
  const status = async (): Promise<Status> => (await node?.status()) as unknown as Status
  const newest = ({ keys }: Status): number => Math.max(0, ...keys.masterKeyGenerations.map(({ id }) => id))
  const statusWhen = (good: (status: Status) => boolean, what: string): Promise<Status> =>
    until(
      async () => {
        const seen = await status()
        return good(seen) ? seen : undefined
      },
      () => what
    )

  it("answers NTS throughout, goes over to the next generation by the clock, and catches up", async () => {
    await statusWhen((it) => newest(it) >= 2, "the first generations")
    const { port, state } = node as RunningNode
    // Keys last for longer than NATS is away, however long the servers take to come back.
    await until(
      async () => {
        const { status: code } = await askSocket(state, "POST", "/policy", { changes: { ntsAcceptPast: 40 } })
        return code === 200 ? true : undefined
      },
      () => "the policy"
    )
    const certificate = readdirSync(state).find((name) => name.endsWith(".pem") && !name.includes("key"))
    const socket = join(folder, "c.sock")
    const conf = join(folder, "chrony.conf")
    const lines = [
      `server 127.0.0.1 port ${port} nts ntsport ${ntsPort} minpoll 0 maxpoll 0 iburst`,
      `ntstrustedcerts ${join(state, certificate ?? "")}`,
      `cmdport 0\nbindcmdaddress ${socket}\npidfile ${join(folder, "pid")}\nrtconutc\n`
    ]
    writeFileSync(conf, lines.join("\n"))
    const [chronyd, chronyc] = [peer("chronyd-4.3"), peer("chronyc-4.3")] as [PeerCommand, PeerCommand]
    client = spawn(chronyd.command, [...chronyd.args, "-x", "-d", "-f", conf], { env: chronyd.env, stdio: "ignore" })
    const sources = (): Promise<string> => run(chronyc, "-n", "-h", socket, "sources")
    await until(
      async () => (existsSync(socket) && /^\^\*/m.test(await sources()) ? true : undefined),
      () => "chronyd to follow the node over NTS"
    )

    // One server less: rotations go on.
    const [first] = nats.servers
    const before = newest(await status())
    await first?.kill()
    await statusWhen((it) => newest(it) >= before + 2, "two more generations with two of three servers")
    await first?.start()
    await statusWhen((it) => newest(it) >= before + 4, "two more generations with all servers again")

    // None at all, for longer than a rotation: the generation that waits becomes active by the clock, and no other is made.
    await Promise.all(nats.servers.map((it) => it.kill()))
    const away = await statusWhen(({ coordinator }) => coordinator?.adapter === null, "the log out of reach")
    const last = newest(away)
    const active = (it: Status): boolean =>
      it.keys.masterKeyGenerations.some(({ id, activation }) => id === last && activation <= Date.now() / 1_000)
    await statusWhen(active, "the last generation to become active without NATS")
    await sleep(2 * ROTATION_S * 1_000)
    const alone = await status()
    expect([newest(alone), alone.workers.map(({ newestKey }) => newestKey.generation)]).toEqual([last, [last, last]])
    const answered = (it: Status): number => it.totals.served["served-nts"] ?? 0
    expect(answered(alone)).toBeGreaterThan(answered(away))

    await Promise.all(nats.servers.map((it) => it.start()))
    const back = await statusWhen(
      (it) => newest(it) > last + 1 && it.coordinator?.adapter === "jetstream",
      "new generations once NATS is back"
    )
    expect(answered(back)).toBeGreaterThan(answered(alone))
    // The client goes on: every poll of the last eight was answered, and its jar is full.
    let seen = ""
    await until(
      async () => {
        seen = (await sources()) + (await run(chronyc, "-n", "-h", socket, "-N", "authdata"))
        return /^\^\*.*\s377\s/m.test(seen) && AUTHENTICATED.test(seen) ? true : undefined
      },
      () => `eight polls answered in a row and a full jar, found ${seen}`
    )
    // It exchanged keys once; again only if a jar's worth of polls went unanswered, as they may where chronyd or the node
    // do not get to run in time. What came in, the node has answered, and no cookie was ever bad.
    const packets = await run(chronyc, "-n", "-h", socket, "ntpdata")
    const count = (name: string): number => Number(new RegExp(`^${name}\\s+: (\\d+)$`, "m").exec(packets)?.[1])
    expect(count("Total good RX")).toBeGreaterThanOrEqual(8)
    const unanswered = count("Total TX") - count("Total good RX")
    const exchanges = Number(AUTHENTICATED.exec(seen)?.[1])
    expect(exchanges).toBeLessThanOrEqual(1 + Math.floor(unanswered / JAR))
    const { totals } = await status()
    const outcomes = Object.entries({ ...totals.served, ...totals.dropped })
    expect(outcomes.filter(([, packets]) => packets > 0).map(([outcome]) => outcome)).toEqual(["served-nts"])
  })
})
