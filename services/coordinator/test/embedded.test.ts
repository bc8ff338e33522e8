/** A coordinator on its own, with its log and key store in SQLite files: real processes throughout. */
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { describe, expect, it } from "vitest"
import { parseKeyFile } from "@meridian/auth/key-file"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { coordinatorsForEach } from "./coordinators-for-each.ts"
import { ids, type RunningCoordinator, until } from "./running-coordinator.ts"

const own = coordinatorsForEach()
const start = (...args: ReadonlyArray<string>): RunningCoordinator => own.start("a", "node-a", args)

const keyOf = (keys: ServingKeys, id: number): string =>
  Buffer.from(keys.generations.find((it) => it.id === id)?.key ?? []).toString("hex")

/** Every byte in the files below a directory. */
const bytesBelow = (directory: string): Buffer =>
  Buffer.concat(
    readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name)))
  )

describe("a coordinator on its own", () => {
  it("mints two generations, sends them before it says ready, and keeps them over restarts", async () => {
    const first = start()
    const keys = await first.keys()
    expect(ids(keys)).toEqual([1, 2])
    expect(keys.generations.map(({ key }) => key.length)).toEqual([32, 32])
    await until(
      () => (first.messages.includes("ready") ? true : undefined),
      () => first.messages.join()
    )
    // Reports go out every second from the start on, whatever else there is.
    expect(first.messages.filter((type) => type !== "report").slice(0, 2)).toEqual(["keys", "ready"])
    const state = await first.state()
    expect(state.ntsKeys.map(({ status }) => status)).toEqual(["active", "pending"])
    expect(statSync(join(first.directory, "cluster-key")).mode & 0o777).toBe(0o600)
    expect(statSync(join(first.directory, "coordinator.sock")).mode & 0o777).toBe(0o660)
    expect(await first.drain()).toBe(0)

    const again = start()
    const kept = await again.keys()
    expect(ids(kept)).toEqual([1, 2])
    expect([keyOf(kept, 1), keyOf(kept, 2)]).toEqual([keyOf(keys, 1), keyOf(keys, 2)])
    const after = await again.stateWhen((it) => it.leading && it.term === 2)
    expect(after.ntsKeys.map(({ event }) => event)).toEqual(state.ntsKeys.map(({ event }) => event))
    expect(again.warnings).toEqual([])
  })

  it("rotates by schedule, and a generation that is active stays so on a clock stepped back an hour", async () => {
    const first = start("--rotate", "1")
    await first.keysOnce((keys) => ids(keys).includes(4))
    await first.kill()
    // The one that was pending has become active by then, the next is an hour away, and the node has written down both.
    const again = start("--rotate", "3600")
    const before = await again.stateWhen(({ leading, ntsKeys, members }) => {
      const pending = ntsKeys.filter(({ status }) => status === "pending")
      const [next] = pending
      const far = next !== undefined && Date.parse(next.activation ?? "") > Date.now() + 1_800_000
      return leading && pending.length === 1 && far && members[0]?.health?.ntsGeneration === next.generation
    })
    await again.kill()
    const active = before.ntsKeys.find(({ status }) => status === "active")?.generation ?? 0
    expect(active).toBeGreaterThanOrEqual(2)

    const back = start("--rotate", "3600", "--clock-offset=-3600")
    const after = await back.stateWhen((it) => it.leading)
    expect(after.ntsKeys.find(({ status }) => status === "active")?.generation).toBe(active)
    const { generations } = await back.keys()
    const now = Date.now() / 1_000 - 3_600
    const seals = generations.filter((it) => it.activation <= now && it.retirement > now).map(({ id }) => id)
    expect(Math.max(...seals)).toBe(active)
  })

  it("revokes at once, and what was revoked cannot be recovered from its directory", async () => {
    const coordinator = start()
    const keys = await coordinator.keys()
    const old = keyOf(keys, 1)
    const log = (await coordinator.ask("GET", "/log?subject=keys.nts")).text
    const published = log
      .split("\n")
      .filter((line) => line !== "")
      .map(
        (line) =>
          JSON.parse(line) as { event: { type: string; data: { generation: number; sealed: { slot: string } } } }
      )
      .find(({ event }) => event.type === "NtsGenerationPublished" && event.data.generation === 1)
    const slot = published?.event.data.sealed.slot ?? "none"
    const keyStore = new DatabaseSync(join(coordinator.directory, "shelf", "keys.sqlite"), { readOnly: true })
    const box = Buffer.from(keyStore.prepare("SELECT box FROM slots WHERE slot = ?").get(slot)?.["box"] as Uint8Array)
    keyStore.close()
    expect(bytesBelow(join(coordinator.directory, "shelf")).includes(box)).toBe(true)

    const answer = await coordinator.ask("POST", "/keys/revoke", { generation: 1, reason: "laptop lost" })
    expect(answer.status).toBe(200)
    const after = await coordinator.keys((it) => !ids(it).includes(1))
    expect(ids(after)).toEqual([2, 3])
    expect(after.generations.find(({ id }) => id === 2)?.activation).toBe(0)
    expect((await coordinator.ask("POST", "/keys/revoke", { generation: 1, reason: "again" })).status).toBe(409)
    await coordinator.drain()

    // The event with the sealed key is still there; what it was sealed under is not, in any file, by name or by bytes.
    const files = bytesBelow(coordinator.directory)
    expect(bytesBelow(join(coordinator.directory, "log")).includes(slot)).toBe(true)
    expect(bytesBelow(join(coordinator.directory, "shelf")).includes(slot)).toBe(false)
    expect(files.includes(box)).toBe(false)
    expect(files.includes(Buffer.from(old, "hex"))).toBe(false)
    expect(files.includes(old)).toBe(false)
    const again = start()
    expect(ids(await again.keys())).toEqual([2, 3])
  })

  it("hands out symmetric keys in sets that overlap", async () => {
    const coordinator = start("--mint", "nts,symmetric")
    await coordinator.keys(({ symmetric }) => symmetric.length === 1)
    // Sets overlap for as long as the policy says: the first two for longer than this test lasts.
    expect((await coordinator.ask("POST", "/keys/rotate", { kind: "symmetric" })).status).toBe(200)
    const both = await coordinator.keys(({ symmetric }) => symmetric.length === 2)
    expect(both.trusted).toEqual(both.symmetric.map(({ id }) => ({ first: id, last: id })))
    const { status, text } = await coordinator.ask("GET", "/keys/export")
    expect(status).toBe(200)
    const { table, problems } = parseKeyFile(text, "export")
    expect(problems).toEqual([])
    expect(table.keys.map(({ id, secret }) => [id, Buffer.from(secret).toString("hex")])).toEqual(
      both.symmetric.map(({ id, secret }) => [id, Buffer.from(secret).toString("hex")])
    )
    // Those that follow for a second each, so that the end of one is seen.
    expect((await coordinator.ask("POST", "/keys/revoke", { set: 1, reason: "a test" })).status).toBe(200)
    const changes = { symmetricAnnounceMs: 1_000, symmetricGraceMs: 1_000 }
    expect((await coordinator.ask("POST", "/policy", { changes })).status).toBe(200)
    expect((await coordinator.ask("POST", "/keys/rotate", { kind: "symmetric" })).status).toBe(200)
    const earlier = new Set(both.symmetric.map(({ id }) => id))
    const overlapping = await coordinator.keysOnce(({ symmetric }) => symmetric.some(({ id }) => !earlier.has(id)))
    expect(overlapping.symmetric).toHaveLength(2)
    const last = overlapping.symmetric.at(-1)?.id
    await coordinator.keys(({ symmetric }) => symmetric.length === 1 && symmetric[0]?.id === last)
    const state = await coordinator.stateWhen((it) => it.symmetricSets.length === 1)
    expect(state.symmetricSets[0]?.status).toBe("trusted")
  })

  it("speaks for the node: ready with health and keys, drained on command, and its clock's story", async () => {
    const coordinator = start("--workers", "2")
    expect((await coordinator.report()).reason).not.toBe("")
    coordinator.send({ type: "health", workers: 2, synchronised: true, stratum: 2 })
    coordinator.send({
      type: "clock-events",
      events: [
        { _tag: "ChoosePeer", peer: "192.0.2.7", reason: "the best of three", measurements: [] } as { _tag: string },
        { _tag: "ChoosePeer", peer: "", reason: "no such peer", measurements: [] } as { _tag: string },
        { _tag: "Rubbish" }
      ]
    })
    await coordinator.report((it) => it.ready && it.clockEventsDropped === 2)
    const state = await coordinator.stateWhen((it) => it.members[0]?.serving === true && it.clocks.length === 1)
    expect(state.clocks[0]).toMatchObject({ node: "node-a", peer: "192.0.2.7" })
    expect((await coordinator.ask("POST", "/cluster/drain", { node: "node-a" })).status).toBe(200)
    await coordinator.report((it) => it.drained)
    expect((await coordinator.ask("POST", "/cluster/undrain", { node: "node-a" })).status).toBe(200)
    expect((await coordinator.ask("POST", "/cluster/drain", { node: "node-z" })).status).toBe(404)
    const at = new Date().toISOString()
    const told = JSON.parse((await coordinator.ask("GET", `/explain?at=${at}`)).text) as Record<string, unknown>
    expect(told).toMatchObject({ leader: { node: "node-a", term: 1 }, clocks: [{ peer: "192.0.2.7" }], dropped: [] })
    const early = await coordinator.ask("GET", "/explain?at=2020-01-01T00:00:00Z")
    expect(JSON.parse(early.text)).toMatchObject({ leader: null, generations: [], clocks: [] })
  })

  it("drops clock events beyond what is kept as soon as it leads, and keys never", async () => {
    const first = start()
    await first.stateWhen((it) => it.leading)
    const choose = (index: number) => ({ _tag: "ChoosePeer", peer: `192.0.2.${index}`, reason: "x", measurements: [] })
    const events = Array.from({ length: 150 }, (_, index) => choose(index))
    first.send({ type: "clock-events", events })
    const state = await first.stateWhen((it) => it.clocks[0]?.peer === "192.0.2.149")
    await first.drain()

    const again = start("--clock-events", "100")
    await again.stateWhen((it) => it.leading)
    const linesOf = async (subject: string): Promise<ReadonlyArray<string>> =>
      (await again.ask("GET", `/log?subject=${subject}`)).text.split("\n").filter((line) => line !== "")
    const left = await until(
      async () => {
        const lines = await linesOf("clock")
        return lines.length === 101 ? lines : undefined
      },
      () => "a hundred clock events and a line on those that went"
    )
    expect(JSON.parse(left[0] ?? "")).toMatchObject({
      dropped: { subject: "clock.node-a", events: 50, firstVersion: 51 }
    })
    expect(await linesOf("keys.nts")).toHaveLength(
      (await linesOf("keys.nts")).filter((it) => it.includes('"event"')).length
    )
    // What was dropped is in nobody's way: the state is the same, and another fold of what is left goes on from it.
    expect((await again.state()).clocks).toEqual(state.clocks)
  })

  it("changes the cluster key, goes on with a change that was cut short, and refuses the old key afterwards", async () => {
    const old = own.place.clusterKey("old")
    const fresh = own.place.clusterKey("fresh")
    const coordinator = start("--cluster-key", old)
    const keys = await coordinator.keys()
    await coordinator.stateWhen((it) => it.clusterKey.current !== null)
    const open = own.place.clusterKey("open", 0o644)
    expect((await coordinator.ask("POST", "/cluster/key", { newKeyFile: open })).status).toBe(400)
    expect((await coordinator.ask("POST", "/cluster/key", { newKeyFile: fresh })).status).toBe(200)
    // Killed at once: the next start has both keys and finishes.
    await coordinator.kill()
    const again = start("--cluster-key", old)
    await again.stateWhen(({ clusterKey }) => clusterKey.changingTo === null)
    expect(await again.warning(/put the new key in place/)).toContain(old)
    await again.kill()
    const withNew = start("--cluster-key", fresh)
    const kept = await withNew.keys()
    expect(keyOf(kept, 2)).toBe(keyOf(keys, 2))
    await withNew.stateWhen((it) => it.leading)
    expect((await withNew.ask("POST", "/cluster/key", { newKeyFile: old })).status).toBe(409)
    await withNew.drain()
    const late = start("--cluster-key", old)
    expect(await late.exited).toBe(1)
    expect(late.said()).toContain("a former one")
  })

  it("does not start with the wrong cluster key, and says which it is", async () => {
    const first = start("--cluster-key", own.place.clusterKey())
    const { clusterKey } = await first.stateWhen((it) => it.clusterKey.current !== null)
    await first.drain()
    const wrong = own.place.clusterKey("wrong")
    const second = start("--cluster-key", wrong)
    expect(await second.exited).toBe(1)
    expect(second.said()).toContain(wrong)
    expect(second.said()).toContain(`the cluster's is ${clusterKey.current}`)
    const open = start("--cluster-key", own.place.clusterKey("open", 0o604))
    expect(await open.exited).toBe(1)
    expect(open.said()).toMatch(/mode 0604.*chmod 600/)
  })

  it("answers what it cannot do with an error and a status", async () => {
    const { ask, keys } = start()
    await keys()
    const tagOf = (text: string): unknown => (JSON.parse(text) as { error: { tag: string } }).error.tag
    for (const [method, path, body, status] of [
      ["GET", "/nothing", undefined, 404],
      ["POST", "/nothing", {}, 404],
      ["POST", "/keys/rotate", "{", 400],
      ["POST", "/keys/rotate", { kind: "other" }, 400],
      ["POST", "/keys/revoke", {}, 400],
      ["POST", "/keys/revoke", { generation: 1.5, reason: "x" }, 400],
      ["POST", "/keys/revoke", { generation: 99, reason: "x" }, 404],
      ["POST", "/keys/revoke", { generation: 1, set: 1, reason: "x" }, 400],
      ["POST", "/policy", { changes: { ntsRotationMs: 5 } }, 400],
      ["POST", "/policy", { changes: { unheard: 5 } }, 400],
      ["POST", "/policy", { changes: { ntsAead: 30 } }, 400],
      ["POST", "/cluster/key", { newKeyFile: "/nonexistent" }, 400],
      ["POST", "/keys/rotate", "x".repeat(20_000), 413],
      ["POST", "/keys/rotate", "x".repeat(4_000_000), 413],
      ["GET", "/log?from=0", undefined, 400],
      ["GET", "/log?subject=rubbish", undefined, 400],
      ["GET", "/explain?at=noon", undefined, 400],
      ["GET", "/keys/export", undefined, 404]
    ] as const) {
      const answer = await ask(method, path, body)
      expect([path, answer.status]).toEqual([path, status])
      expect(tagOf(answer.text)).toMatch(/^[A-Z]/)
    }
  })

  it("has its directory to itself, though it be too busy to answer", async () => {
    const coordinator = start()
    const keys = await coordinator.keys()
    coordinator.process.kill("SIGSTOP")
    const rival = start()
    expect(await rival.exited).toBe(1)
    expect(rival.said()).toContain("already runs")
    coordinator.process.kill("SIGCONT")
    expect((await coordinator.state()).ntsKeys).toHaveLength(keys.generations.length)
    // What one that was killed has left behind keeps nobody out.
    await coordinator.kill()
    expect(ids(await start().keys())).toEqual(ids(keys))
  })

  it("says ready when there are no keys to wait for, and why", async () => {
    const nobody = ["--nats", "127.0.0.1:1", "--cluster-key", own.place.clusterKey()]
    const coordinator = start(...nobody, "--ready-limit", "0.5")
    expect(await coordinator.warning(/no keys to serve with yet/)).toContain("event log")
    await until(
      () => (coordinator.messages.includes("ready") ? true : undefined),
      () => coordinator.messages.join()
    )
    expect(coordinator.messages.filter((type) => type !== "report").slice(0, 2)).toEqual(["warning", "ready"])
    expect(coordinator.allKeys).toEqual([])
  })
})
