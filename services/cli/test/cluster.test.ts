/**
 * A whole cluster as an operator sees it: three real NATS servers with TLS and nkeys, three real nodes, started and ended
 * by infra/dev/cluster.ts on loopback, asked only by `meridian …`; and what strangers and disks get to see of its keys.
 */
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { openKey, sealedKeysOf } from "@meridian/event-log"
import { jetstreamKeyStore } from "@meridian/event-log/key-store-jetstream"
import type { AnyEvent } from "@meridian/events"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { meridian } from "@meridian/testkit/running-node"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect, type ConnectionOptions, type NatsConnection, nkeyAuthenticator } from "@nats-io/transport-node"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { authorityFile, seedFile } from "../../../infra/nats/make-configuration.ts"
import { READER_INBOX } from "../../../infra/nats/permissions.ts"
import { areFree, cluster, type ClusterPlace, eventually, PATIENCE_MS, startCluster } from "./running-cluster.ts"

const NODES = ["a", "b", "c"]

let place: ClusterPlace
const directory = (): string => place.directory
const natsFolder = (): string => join(directory(), "nats")
const stateOf = (node: string): string => join(directory(), node)

const ask = async (node: string, ...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await meridian([...args, "--state", stateOf(node)])
  if (code !== 0) throw new Error(`meridian ${args.join(" ")} on ${node}: ${stderr}`)
  return stdout
}

interface Status {
  readonly leader: string
  readonly leading: boolean
  readonly term: number
  readonly members: readonly { readonly node: string; readonly drained: boolean; readonly serving: boolean }[]
  readonly ntsKeys: readonly { readonly generation: number; readonly status: string }[]
}
const statusOf = async (node: string): Promise<Status> =>
  JSON.parse(await ask(node, "cluster", "status", "--json")) as Status

interface Keys {
  readonly nts: readonly { readonly generation: number; readonly event: string }[]
  readonly symmetric: readonly { readonly set: number }[]
}
const keysOf = async (node: string): Promise<Keys> => JSON.parse(await ask(node, "keys", "list", "--json")) as Keys
const newest = ({ nts }: Keys): number => Math.max(...nts.map(({ generation }) => generation))

/** What all nodes that are asked say of a generation: their lists, once each has it. A list moves on by the clock, too. */
const listsWith = async (generation: number, nodes: readonly string[]): Promise<readonly Keys[]> =>
  eventually(
    () => Promise.all(nodes.map(keysOf)),
    (lists) =>
      lists.every((keys) => newest(keys) >= generation) && new Set(lists.map((keys) => JSON.stringify(keys))).size === 1
  )

/** What a command says when it may be given again: the rotation before is under way, a node lags, the leader has just changed. */
const TRY_AGAIN = /wait|try again|ask it/
/** Gives a command as soon as it may be given. */
const command = async (node: string, ...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await eventually(
    () => meridian([...args, "--state", stateOf(node)]),
    (finished) => finished.code === 0 || !TRY_AGAIN.test(finished.stderr)
  )
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
  return stdout
}

/** Rotates. Returns the event types. */
const rotate = async (node: string): Promise<readonly string[]> => {
  const stdout = await command(node, "keys", "rotate", "--json")
  return (JSON.parse(stdout) as { events: readonly { type: string }[] }).events.map(({ type }) => type)
}

interface Recorded {
  readonly name: string
  readonly pid: number
}
const recorded = (): readonly Recorded[] =>
  JSON.parse(readFileSync(join(directory(), "processes.json"), "utf8")) as readonly Recorded[]
const childrenOf = (pid: number): readonly number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number)
const commandOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8")
  } catch {
    return ""
  }
}

const signIn = (kind: "coordinator" | "reader", name: string, more: ConnectionOptions = {}): Promise<NatsConnection> =>
  connect({
    servers: [`127.0.0.1:${place.natsPort}`],
    tls: { caFile: authorityFile(natsFolder()) },
    authenticator: nkeyAuthenticator(Buffer.from(readFileSync(seedFile(natsFolder(), kind, name), "utf8").trim())),
    reconnect: false,
    timeout: PATIENCE_MS,
    ...more
  })
const signInReader = (): Promise<NatsConnection> => signIn("reader", "audit", { inboxPrefix: READER_INBOX })

/** Every message of a stream from a place on, whatever its subject. */
const dump = async (connection: NatsConnection, stream: string, from = 1): Promise<readonly Uint8Array[]> => {
  const manager = await jetstreamManager(connection, { checkAPI: false, timeout: PATIENCE_MS })
  const { first_seq: first, last_seq: last } = (await manager.streams.info(stream)).state
  const found: Uint8Array[] = []
  for (let seq = Math.max(first, from); seq <= last; seq++) {
    const message = await manager.streams.getMessage(stream, { seq })
    if (message !== null) found.push(Buffer.from(message.subject), message.data)
  }
  return found
}

/** Every file below a folder that is not a key given to the nodes by hand; none where a folder vanished meanwhile. */
const filesBelow = (folder: string): readonly string[] => {
  try {
    return readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((file) => file !== join(directory(), "cluster-key"))
  } catch {
    return []
  }
}

const contentOf = (file: string): Buffer => {
  try {
    return readFileSync(file)
  } catch {
    // A temporary file of a server that has been renamed since.
    return Buffer.alloc(0)
  }
}

/** The ways in which bytes may lie in others: as they are, in hexadecimal, in Base64 at any of its three alignments. */
const disguises = (key: Uint8Array): readonly Buffer[] => {
  const hex = Buffer.from(key).toString("hex")
  const base64 = [0, 1, 2].flatMap((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), key]).toString("base64")
    const inner = text.slice(shift === 0 ? 0 : 4, -4)
    return [inner, inner.replaceAll("+", "-").replaceAll("/", "_")]
  })
  return [Buffer.from(key), ...[hex, hex.toUpperCase(), ...base64].map((text) => Buffer.from(text))]
}
const holdsKey = (bytes: Uint8Array, key: Uint8Array): boolean =>
  disguises(key).some((needle) => Buffer.from(bytes).includes(needle))

const available = peersAvailable("cluster", ["nats-server-2.10"])

describe.runIf(available)("a cluster of three", () => {
  let started = { code: -1, output: "" }
  beforeAll(async () => {
    ;({ place, started } = await startCluster("meridian-cluster-"))
  })
  afterAll(async () => {
    await cluster(place, "down")
    rmSync(directory(), { recursive: true, force: true })
  })

  it("comes up in agreement, and a second `up` starts nothing", async () => {
    expect(started.output).toContain("the nodes agree")
    expect(started.code).toBe(0)
    const before = recorded()
    expect(before.map(({ name }) => name)).toEqual(["n1", "n2", "n3", ...NODES])
    expect((await cluster(place, "up")).code).toBe(0)
    expect(recorded()).toEqual(before)
  })

  it("is the same cluster whichever node is asked", async () => {
    // They are asked one after the other, and on a busy machine leading may pass on at any time.
    const views = await eventually(
      () => Promise.all(NODES.map(statusOf)),
      (all) =>
        new Set(all.map(({ leader, term, ntsKeys }) => JSON.stringify([leader, term, ntsKeys]))).size === 1 &&
        all.filter(({ leading }) => leading).length === 1 &&
        all.every(({ members }) => members.every(({ serving }) => serving))
    )
    for (const view of views) {
      expect(NODES).toContain(view.leader)
      expect(view.members).toMatchObject(NODES.map((node) => ({ node, live: true, ready: true, serving: true })))
      expect(view.leader).toBe(views[0]?.leader)
      expect(view.term).toBe(views[0]?.term)
      expect(view.ntsKeys).toEqual(views[0]?.ntsKeys)
    }
    expect(views.filter(({ leading }) => leading)).toHaveLength(1)
    for (const index of [0, 1, 2]) {
      const query = () => meridian(["query", `127.0.0.1:${place.ntpPort + index}`])
      expect(await eventually(query, ({ code }) => code === 0)).toMatchObject({ code: 0 })
    }
  })

  it("takes a rotation on a node that does not lead, and every node lists the same keys", async () => {
    const { leader } = await statusOf("a")
    const follower = NODES.find((node) => node !== leader) ?? ""
    const before = await keysOf(follower)
    expect(await rotate(follower)).toContain("NtsGenerationPublished")
    const lists = await listsWith(newest(before) + 1, NODES)
    expect(lists.map(newest)).toEqual(NODES.map(() => newest(before) + 1))
    for (const keys of lists) expect(keys).toEqual(lists[0])
  })

  it("tells on one node what was commanded on another, and which events say who led", async () => {
    await command("a", "cluster", "drain", "b", "--reason", "a test")
    const drained = await eventually(
      () => statusOf("c"),
      ({ members }) => members[1]?.drained === true
    )
    expect(drained.members.map((it) => it.drained)).toEqual([false, true, false])
    await command("c", "cluster", "undrain", "b")
    const lines = (await ask("a", "log", "--json", "--subject", "keys.nts")).trim().split("\n")
    const events = lines.map((line) => (JSON.parse(line) as { event: AnyEvent }).event)
    expect(new Set(events.map(({ subject }) => subject))).toEqual(new Set(["keys.nts"]))
    const explained = JSON.parse(await ask("b", "explain", "--json", "--at", new Date().toISOString())) as {
      leader: { node: string; event: string }
    }
    expect(events.find(({ id }) => id === explained.leader.event)).toMatchObject({
      type: "NtsLeaderTookOver",
      data: { leader: explained.leader.node }
    })
  })

  it("has a new leader after the old one's death, and it rotates", async () => {
    const { leader, term } = await statusOf("a")
    const others = NODES.filter((node) => node !== leader)
    const before = newest(await keysOf(others[0] ?? ""))
    const { pid: supervisor = 0 } = recorded().find(({ name }) => name === leader) ?? {}
    expect(commandOf(supervisor)).toContain(stateOf(leader))
    const coordinator = childrenOf(supervisor).find((pid) => commandOf(pid).includes("coordinator")) ?? 0
    expect(coordinator).toBeGreaterThan(1)
    const killedAt = performance.now()
    process.kill(supervisor, "SIGKILL")
    process.kill(coordinator, "SIGKILL")
    const views = await eventually(
      () => Promise.all(others.map(statusOf)),
      (all) =>
        all.every((view) => view.term > term && others.includes(view.leader)) &&
        all.filter(({ leading }) => leading).length === 1
    )
    process.stdout.write(`a new leader on all nodes ${Math.round(performance.now() - killedAt)} ms after the kill\n`)
    expect(views.every((view) => view.term > term && others.includes(view.leader))).toBe(true)
    expect(views.filter(({ leading }) => leading)).toHaveLength(1)
    expect(await rotate(others[0] ?? "")).toContain("NtsGenerationPublished")
    const lists = await listsWith(before + 1, others)
    expect(lists.map(newest)).toEqual([before + 1, before + 1])
    expect(lists[0]).toEqual(lists[1])
    const again = await cluster(place, "up")
    expect(again).toEqual({ code: 0, output: expect.stringContaining("the nodes agree") as string })
    // Without the status, which moves on by the clock between two questions.
    const generations = async (node: string) =>
      (await keysOf(node)).nts.map(({ generation, event }) => [generation, event])
    expect(await generations(leader)).toEqual(await generations(others[0] ?? ""))
  })

  it("lets nobody in without an nkey, and a reader only read the log", async () => {
    const stranger = connect({
      servers: [`127.0.0.1:${place.natsPort}`],
      tls: { caFile: authorityFile(natsFolder()) },
      reconnect: false,
      timeout: PATIENCE_MS
    })
    await expect(stranger).rejects.toThrow(/authorization/i)
    const reader = await signInReader()
    try {
      const manager = await jetstreamManager(reader, { checkAPI: false, timeout: PATIENCE_MS })
      const { last_seq: last } = (await manager.streams.info("MERIDIAN")).state
      expect(last).toBeGreaterThan(10)
      const refused: string[] = []
      void (async () => {
        for await (const status of reader.status()) if (status.type === "error") refused.push(String(status.error))
      })()
      const forbidden = [
        "meridian.keys.nts",
        "meridian.policy",
        "meridian-shelf.nts.1.x",
        "$KV.meridian-lease.leader",
        "meridian-command.a",
        "$JS.API.STREAM.MSG.GET.MERIDIAN_SHELF",
        "$JS.API.CONSUMER.CREATE.MERIDIAN",
        "$JS.API.STREAM.PURGE.MERIDIAN",
        "$JS.API.STREAM.DELETE.MERIDIAN"
      ]
      const overheard = ["_INBOX.>", "meridian-shelf.>", "meridian-command.*"]
      for (const subject of forbidden) reader.publish(subject, "{}")
      for (const subject of overheard) reader.subscribe(subject)
      await reader.flush()
      await eventually(
        () => Promise.resolve(refused.length),
        (count) => count >= forbidden.length + overheard.length
      )
      const allowed = [...forbidden, ...overheard].filter((it) => !refused.some((text) => text.includes(`"${it}"`)))
      expect(allowed).toEqual([])
      // Of what has been stored since, nothing is the reader's.
      const stored = await dump(reader, "MERIDIAN", last + 1)
      expect(stored.filter((bytes) => Buffer.from(bytes).toString() === "{}")).toEqual([])
    } finally {
      await reader.close()
    }
  })

  it("lets a coordinator write clock events of no node but its own", async () => {
    const coordinator = await signIn("coordinator", "a")
    try {
      const manager = await jetstreamManager(coordinator, { timeout: PATIENCE_MS })
      await expect(coordinator.request("meridian.clock.b", "{}", { timeout: PATIENCE_MS })).rejects.toThrow(
        /permission/i
      )
      await expect(manager.streams.delete("MERIDIAN")).rejects.toThrow(/permission/i)
    } finally {
      await coordinator.close()
    }
  })

  it("shows no key in the clear: not live, not stored, not on any disk", async () => {
    const reader = await signInReader()
    const coordinator = await signIn("coordinator", "b")
    try {
      const live: Uint8Array[] = []
      reader.subscribe("meridian.>", { callback: (_error, message) => void live.push(message.data) })
      await reader.flush()
      await rotate("a")
      await command("a", "keys", "rotate", "--kind", "symmetric")
      await eventually(
        () => Promise.resolve(Buffer.concat(live).toString("utf8")),
        (text) => text.includes("NtsGenerationPublished") && text.includes("SymmetricSetAnnounced")
      )
      const clusterKey = Buffer.from(readFileSync(join(directory(), "cluster-key"), "utf8").trim(), "hex")
      const log = (await ask("a", "log", "--json", "--subject", "keys")).trim().split("\n")
      const sealed = log.flatMap((line) => sealedKeysOf((JSON.parse(line) as { event: AnyEvent }).event))
      const keyStore = await jetstreamKeyStore({
        connection: coordinator,
        stream: "MERIDIAN_SHELF",
        prefix: "meridian-shelf",
        replicas: 3,
        manage: false
      })
      const keys: { readonly subject: string; readonly key: Uint8Array }[] = []
      for (const [place, box] of sealed) {
        const wrapped = await keyStore.get(box.slot)
        if (wrapped !== undefined) keys.push({ subject: place.subject, key: openKey(clusterKey, place, box, wrapped) })
      }
      const count = (subject: string): number => keys.filter((it) => it.subject === subject).length
      expect(count("keys.nts")).toBeGreaterThanOrEqual(4)
      expect(count("keys.symmetric")).toBeGreaterThanOrEqual(2)

      // One file that holds keys in the clear, so that finding no other means something.
      const exported = join(directory(), "exported.keys")
      await ask("a", "keys", "export", "--out", exported)
      const stored = [...(await dump(reader, "MERIDIAN")), ...(await dump(coordinator, "MERIDIAN_SHELF"))]
      const { box } = sealed.at(-1)?.[1] ?? { box: "none" }
      const servers = ["n1", "n2", "n3"]
      const isIn = (server: string, [file, bytes]: readonly [string, Buffer]): boolean =>
        file.includes(`store-${server}`) && bytes.includes(box)
      // The servers write down what they hold in their own time.
      const files = await eventually(
        () => Promise.resolve(filesBelow(directory()).map((file) => [file, contentOf(file)] as const)),
        (found) => servers.every((server) => found.some((file) => isIn(server, file)))
      )
      const places = [
        ...live.map((bytes) => ["a live event", bytes] as const),
        ...stored.map((bytes) => ["a stored message", bytes] as const),
        ...files
      ]
      // The search looks where the keys are: their boxes are found everywhere.
      const withBox = places.filter(([, bytes]) => Buffer.from(bytes).includes(box)).map(([place]) => place)
      expect(withBox).toContain("a live event")
      expect(withBox).toContain("a stored message")
      expect(servers.filter((server) => withBox.some((place) => place.includes(`store-${server}`)))).toEqual(servers)
      const [first = { key: new Uint8Array(16) }] = keys
      for (const needle of disguises(first.key))
        expect(holdsKey(Buffer.concat([Buffer.from("xy"), needle, Buffer.from("z")]), first.key)).toBe(true)

      const exposed = places.filter(([, bytes]) => keys.some(({ key }) => holdsKey(bytes, key))).map(([place]) => place)
      expect(exposed).toEqual([exported])
      const withClusterKey = places.filter(([, bytes]) => holdsKey(bytes, clusterKey)).map(([place]) => place)
      expect(withClusterKey).toEqual([])
    } finally {
      await reader.close()
      await coordinator.close()
    }
  })

  it("goes down and leaves no process, no port and no file", async () => {
    const pids = await eventually(
      () => Promise.resolve(recorded().flatMap(({ pid }) => [pid, ...childrenOf(pid)])),
      (found) => found.length >= 3 + 3 * 5
    )
    expect(pids.length).toBeGreaterThanOrEqual(3 + 3 * 5)
    const ended = await cluster(place, "down")
    expect(ended).toMatchObject({ code: 0 })
    expect(pids.filter((pid) => commandOf(pid) !== "")).toEqual([])
    expect(execFileSync("ps", ["-eo", "args"], { encoding: "utf8" })).not.toContain(directory())
    expect(await areFree(place)).toBe(true)
    expect(existsSync(directory())).toBe(false)
    expect(await cluster(place, "down")).toMatchObject({ code: 0 })
    expect((await cluster(place, "status")).code).toBe(1)
  })
})
