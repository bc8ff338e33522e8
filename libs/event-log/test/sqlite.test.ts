import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { text } from "node:stream/consumers"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { overStore } from "../src/commit-store.ts"
import { EventLog, type LogUnavailable } from "../src/event-log.ts"
import { type SqliteOptions, sqliteStore } from "../src/sqlite.ts"
import { eventLogContract } from "./event-log-contract.ts"
import { eventsOf, failure, readAll, run } from "./log-fixture.ts"
import { clockEvent, clockEvents, takeOver } from "./sample-events.ts"

let directory = ""
let file = ""
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "meridian-log-"))
  file = join(directory, "log.db")
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const withLog = async <A>(options: SqliteOptions, body: (log: EventLog["Service"]) => Promise<A>): Promise<A> => {
  const store = sqliteStore(options)
  try {
    return await body(overStore(store, options.inspect))
  } finally {
    store.close()
  }
}

/** What opening a file fails with. */
const refusal = (options: SqliteOptions): string => {
  try {
    sqliteStore(options).close()
    return "opened"
  } catch (error) {
    return (error as LogUnavailable).message
  }
}

describe("event log in SQLite", () => {
  eventLogContract(async () => {
    const store = sqliteStore({ file, pollMs: 10 })
    let version = 1_000_000
    return {
      store,
      inject: async (subject, body) => {
        const other = new DatabaseSync(file)
        other
          .prepare("INSERT INTO commits (subject, first, last, id, stored, body) VALUES (?, ?, ?, 'injected', 0, ?)")
          .run(subject, (version += 1), version, body)
        other.close()
      },
      close: async () => store.close()
    }
  })
})

describe("an SQLite log's file", () => {
  it("is its owner's alone and survives being opened again", async () => {
    await withLog({ file }, (log) => run(log.append("keys.nts", [takeOver(1), takeOver(2)], 0)))
    expect(statSync(file).mode & 0o777).toBe(0o600)
    await withLog({ file }, async (log) => {
      expect(eventsOf(await readAll(log))).toEqual([takeOver(1), takeOver(2)])
      expect(await run(log.append("keys.nts", [takeOver(3)], 2))).toMatchObject({ version: 3 })
    })
  })

  it("tells a subscriber what another process has appended", async () => {
    await withLog({ file, pollMs: 10 }, async (log) => {
      const iterator = sqliteStore({ file, pollMs: 10 })
      const tail = iterator.tail({ from: 1 })[Symbol.asyncIterator]()
      expect((await tail.next()).value).toMatchObject({ commits: [], caughtUp: true })
      await run(log.append("keys.nts", [takeOver(1)], 0))
      expect((await tail.next()).value).toMatchObject({ commits: [{ subject: "keys.nts" }], caughtUp: true })
      iterator.close()
      expect((await tail.next()).done).toBe(true)
    })
  })

  it("keeps one winner per version between processes", async () => {
    await withLog({ file }, (log) =>
      withLog({ file }, async (rival) => {
        await run(log.append("keys.nts", [takeOver(1)], 0))
        expect(await failure(rival.append("keys.nts", [takeOver(1, "rival")], 0))).toMatchObject({ actual: 1 })
        await run(rival.append("keys.nts", [takeOver(2, "rival")], 1))
        expect(await failure(log.append("keys.nts", [takeOver(2)], 1))).toMatchObject({ actual: 2 })
      })
    )
  })

  it("says that it is full, and keeps what was there", async () => {
    await withLog({ file, maxBytes: 100_000 }, async (log) => {
      let version = 0
      let full: unknown
      while (full === undefined && version < 10_000) {
        const result = await run(
          Effect.result(log.append("clock.node-a", clockEvents("node-a", version + 1, 8), version))
        )
        if (Result.isFailure(result)) full = result.failure
        else version += 8
      }
      expect(full).toMatchObject({ _tag: "LogFull" })
      expect(String((full as Error).message)).toContain("nothing was stored")
      expect(eventsOf(await readAll(log))).toEqual(clockEvents("node-a", 1, version))
      expect(await run(log.version("clock.node-a"))).toBe(version)
      await run(log.retain({ family: "clock", storedBefore: 0, keepPerSubject: 1 }))
      expect(await run(log.append("clock.node-a", [clockEvent("node-a", version + 1)], version))).toMatchObject({
        version: version + 1
      })
    })
  })

  /** What filler.ts found out, run by a shell after some preparation. */
  const filled = async (shell: string, ...args: ReadonlyArray<string>) => {
    const child = spawn(shell, [...args], { stdio: ["ignore", "pipe", "pipe"] })
    const [out, problems] = await Promise.all([text(child.stdout), text(child.stderr)])
    if (out === "") throw new Error(`nothing was found out: ${problems}`)
    return JSON.parse(out) as Record<"held" | "reopened", ReadonlyArray<number>> &
      Record<"tag" | "message", string> & { readonly acknowledged: number }
  }
  const filler = `exec "${process.execPath}" "${join(import.meta.dirname, "filler.ts")}"`
  const through = (version: number) => Array.from({ length: version }, (_, index) => index + 1)

  it("says so when its files may grow no further, holds what it acknowledged, and goes on with more room", async () => {
    const found = await filled("sh", "-c", `ulimit -f 2000; ${filler} "${file}"`)
    expect(found).toMatchObject({ tag: "LogUnavailable" })
    expect(found.message).toContain("limit on the size of files")
    expect(found.acknowledged).toBeGreaterThan(100)
    expect(found.held).toEqual(through(found.acknowledged))
    expect(found.reopened).toEqual(found.held)
    await withLog({ file }, async (log) => {
      const version = found.acknowledged
      expect(eventsOf(await readAll(log))).toEqual(clockEvents("node-a", 1, version))
      await run(log.append("clock.node-a", [clockEvent("node-a", version + 1)], version))
    })
  })

  const tmpfs = `mount -t tmpfs -o size=1m none "$1"`
  const mounts = spawnSync("unshare", ["-m", "sh", "-c", tmpfs, "sh", tmpdir()]).status === 0
  it.runIf(mounts)(`says so when the disk is full${mounts ? "" : " NOT RUN: may not mount"}`, async () => {
    const found = await filled("unshare", "-m", "sh", "-c", `${tmpfs} && ${filler} "$1/log.db"`, "sh", directory)
    expect(found).toMatchObject({ tag: "LogFull", message: expect.stringContaining("nothing was stored") as string })
    expect(found.acknowledged).toBeGreaterThan(100)
    expect(found.held).toEqual(through(found.acknowledged))
    expect(found.reopened).toEqual(found.held)
  })

  it("loses no more than the last append when that was torn, and goes on", async () => {
    const store = sqliteStore({ file })
    const log = overStore(store)
    for (let version = 1; version <= 5; version++) await run(log.append("keys.nts", [takeOver(version)], version - 1))
    const torn = join(directory, "torn.db")
    copyFileSync(file, torn)
    copyFileSync(`${file}-wal`, `${torn}-wal`)
    store.close()
    const whole = statSync(`${torn}-wal`).size
    truncateSync(`${torn}-wal`, whole - 100)
    await withLog({ file: torn }, async (after) => {
      expect(eventsOf(await readAll(after))).toEqual([1, 2, 3, 4].map((version) => takeOver(version)))
      expect(await run(after.append("keys.nts", [takeOver(5, "again")], 4))).toMatchObject({
        version: 5,
        duplicate: false
      })
    })
  })

  it("is intact up to the frame that a torn write left half old, wherever it was torn", async () => {
    const store = sqliteStore({ file })
    const log = overStore(store)
    for (let version = 1; version <= 5; version++) await run(log.append("keys.nts", [takeOver(version)], version - 1))
    const wal = readFileSync(`${file}-wal`)
    const torn = join(directory, "torn.db")
    copyFileSync(file, torn)
    store.close()
    for (const back of [1, 512, 2_048, 4_000, 4_100]) {
      writeFileSync(`${torn}-wal`, Buffer.concat([wal.subarray(0, wal.length - back), Buffer.alloc(back, 0xa5)]))
      rmSync(`${torn}-shm`, { force: true })
      const copy = join(directory, `torn-${back}.db`)
      copyFileSync(torn, copy)
      copyFileSync(`${torn}-wal`, `${copy}-wal`)
      await withLog({ file: copy }, async (after) => {
        const versions = eventsOf(await readAll(after)).map(({ version }) => version)
        expect(versions).toEqual([1, 2, 3, 4])
        expect(await run(after.append("keys.nts", [takeOver(5, "again")], 4))).toMatchObject({ version: 5 })
      })
    }
  })

  it("holds every append that was acknowledged to a process that was then killed", async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, "appender.ts"), file], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    let acknowledged = ""
    child.stdout.on("data", (chunk: Buffer) => {
      acknowledged += chunk.toString()
      if (acknowledged.split("\n").length > 50) child.kill("SIGKILL")
    })
    await once(child, "close")
    const last = Math.max(...acknowledged.split("\n").slice(0, -1).map(Number))
    await withLog({ file }, async (log) => {
      const events = eventsOf(await readAll(log))
      expect(events.length).toBeGreaterThanOrEqual(last)
      expect(events).toEqual(clockEvents("node-a", 1, events.length))
    })
  })

  it("is refused with a reason when it is not a log, is another program's, of a later release, or damaged", async () => {
    writeFileSync(file, "this is no database at all, whatever its name may say ".repeat(40))
    expect(refusal({ file })).toContain("damaged or not a log")
    rmSync(file)
    const other = new DatabaseSync(file)
    other.exec("CREATE TABLE theirs (x)")
    other.close()
    expect(refusal({ file })).toContain("another program's")
    const later = join(directory, "later.db")
    sqliteStore({ file: later }).close()
    const raised = new DatabaseSync(later)
    raised.exec("PRAGMA user_version = 99")
    raised.close()
    expect(refusal({ file: later })).toContain("upgrade")
    expect(refusal({ file: join(directory, "absent/log.db") })).toContain("unable to open")
  })

  it("does not trust a damaged snapshot", async () => {
    await withLog({ file }, async (log) => {
      await run(log.saveSnapshot("fold", { seq: 1, format: 1, state: "state-as-saved" }))
      const other = new DatabaseSync(file)
      other.exec("UPDATE snapshots SET state = 'state-as-hacked'")
      other.close()
      expect(await run(log.loadSnapshot("fold"))).toBeUndefined()
    })
  })

  it("survives any bytes in place of its write-ahead log", async () => {
    const store = sqliteStore({ file })
    await run(overStore(store).append("keys.nts", [takeOver(1)], 0))
    const copy = join(directory, "copy.db")
    copyFileSync(file, copy)
    const wal = readFileSync(`${file}-wal`)
    store.close()
    for (const at of [0, 8, 40, 100, wal.length - 1]) {
      const broken = Buffer.from(wal)
      broken[at] = (broken[at] as number) ^ 0xff
      writeFileSync(`${copy}-wal`, broken)
      const outcome = refusal({ file: copy })
      expect(["opened", "damaged"].some((it) => outcome.includes(it))).toBe(true)
      rmSync(`${copy}-shm`, { force: true })
    }
  })

  it("notices a flipped bit that leaves valid JSON, and puts that commit aside", async () => {
    const store = sqliteStore({ file })
    const log = overStore(store)
    await run(log.append("keys.nts", [takeOver(1)], 0))
    await run(log.append("keys.nts", [takeOver(2)], 1))
    const other = new DatabaseSync(file)
    other.exec(`UPDATE commits SET body = replace(body, '"term":1', '"term":3') WHERE seq = 1`)
    other.close()
    const batches = await readAll(log)
    expect(eventsOf(batches)).toEqual([takeOver(2)])
    expect(batches.flatMap(({ quarantined }) => quarantined)).toMatchObject([{ seq: 1, reason: "damaged" }])
    store.close()
  })

  it("of a release that kept no sums is read, and kept with sums from then on", async () => {
    await withLog({ file }, (log) => run(log.append("keys.nts", [takeOver(1)], 0)))
    const old = new DatabaseSync(file)
    old.exec("ALTER TABLE commits DROP COLUMN sum")
    old.close()
    await withLog({ file }, async (log) => {
      await run(log.append("keys.nts", [takeOver(2)], 1))
      expect(eventsOf(await readAll(log))).toEqual([takeOver(1), takeOver(2)])
    })
    const now = new DatabaseSync(file)
    expect(now.prepare("SELECT sum IS NULL AS none FROM commits ORDER BY seq").all()).toMatchObject([
      { none: 1 },
      { none: 0 }
    ])
    now.close()
  })
})
