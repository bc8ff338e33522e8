/**
 * The log in an SQLite file: the embedded default of a single machine. One row a commit, write-ahead log, one statement
 * an append, so that a crash leaves either the whole commit or none of it. Several processes may have the file open; one
 * that waits for news hears its own appends at once and those of others within {@link SqliteOptions.pollMs}.
 */
import { chmodSync } from "@meridian/system/files"
import { DatabaseSync, type StatementSync } from "node:sqlite"
import { crc32 } from "node:zlib"
import { type CommitStore, type RawBatch, wants } from "./commit-store.ts"
import { FoundCommit, type Inspect, mayFollow, type RawCommit } from "./commit.ts"
import {
  type Appended,
  LogFull,
  LogUnavailable,
  messageOf,
  type ReadOptions,
  type Snapshot,
  type SubjectStatus,
  VersionConflict
} from "./event-log.ts"
import { damageOf } from "./damaged-file.ts"
import { LogHead } from "./log-head.ts"
import { checksum } from "./snapshot-file.ts"
import { dropBeyond } from "./sqlite-retention.ts"

export interface SqliteOptions {
  /** Created where absent, readable by its owner alone. */
  readonly file: string
  /**
   * `full` (the default): an acknowledged append survives a power cut. `normal`: it survives a crash of the process, a
   * power cut may take the last ones; several times faster on a disk that is slow to flush.
   */
  readonly durability?: "full" | "normal"
  /** Longest the file may grow, bytes; unlimited when absent. */
  readonly maxBytes?: number
  /** How often to look for appends by other processes, 50 ms by default. */
  readonly pollMs?: number
  /** How long to wait for another process's append, 5 s by default. */
  readonly busyMs?: number
  readonly inspect?: Inspect
}

/** "MerE" in the file's header: tells our files from others. */
const APPLICATION_ID = 0x4d65_7245
const FORMAT = 1
/** Commits a page. Larger ones are not faster: what a page holds then outlives the collector's young generation. */
const BATCH = 500

const SCHEMA = `
CREATE TABLE IF NOT EXISTS commits (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  subject TEXT NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  id TEXT NOT NULL,
  stored INTEGER NOT NULL,
  body TEXT NOT NULL,
  sum INTEGER
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS commits_by_version ON commits (subject, first);
CREATE TABLE IF NOT EXISTS snapshots (
  name TEXT PRIMARY KEY, seq INTEGER NOT NULL, format INTEGER NOT NULL, sum TEXT NOT NULL, state TEXT NOT NULL
) STRICT, WITHOUT ROWID;`

const APPEND = `
INSERT INTO commits (subject, first, last, id, stored, body, sum)
SELECT :subject, :first, :last, :id, :stored, :body, :sum
WHERE coalesce((SELECT last FROM commits WHERE subject = :subject ORDER BY first DESC LIMIT 1), 0) IN (:first - 1, :at)`

const SUBJECTS = `
SELECT subject, min(seq) AS firstSeq, min(first) AS firstVersion, max(last) AS version FROM commits GROUP BY subject`

/** A flipped bit may leave valid JSON, and SQLite does not notice it. Of subject and body; null of an older release's. */
const sumOf = (subject: string, body: string): number => crc32(body, crc32(subject))

const FULL = 13
const BUSY = 5
const LOCKED = 6
const READ_ONLY = 8
const IO_ERROR = 10
const CORRUPT = 11
const CANNOT_OPEN = 14
const NOT_A_DATABASE = 26

/** SQLite's error in the log's terms. */
const translate = (error: unknown): LogFull | LogUnavailable => {
  const code = (error as { readonly errcode?: number }).errcode ?? 0
  const text = messageOf(error)
  switch (code & 0xff) {
    case FULL:
      return new LogFull({ detail: text })
    case BUSY:
    case LOCKED:
      return new LogUnavailable({ detail: `another process holds the file: ${text}`, uncertain: false, cause: error })
    case READ_ONLY:
    case CANNOT_OPEN:
      return new LogUnavailable({
        detail: `the file or its directory may not be written by this user (${text}): check owner and mode`,
        uncertain: false,
        cause: error
      })
    case IO_ERROR:
      return new LogUnavailable({
        detail: `the file cannot be read or written (${text}): check the disk, its quota and the limit on the size of files`,
        // Where it was the flush that failed, the commit may yet be found there.
        uncertain: true,
        cause: error
      })
    case CORRUPT:
    case NOT_A_DATABASE:
      return new LogUnavailable({
        detail: `the file is damaged or not a log (${text}): move it away and restore the last backup`,
        uncertain: false,
        damaged: true,
        cause: error
      })
    default:
      return new LogUnavailable({ detail: text, uncertain: false, cause: error })
  }
}

const guarded = <A>(run: () => A): A => {
  try {
    return run()
  } catch (error) {
    throw error instanceof VersionConflict || error instanceof LogUnavailable ? error : translate(error)
  }
}

/** Opens the file and brings it to the current format. Throws LogUnavailable or LogFull. */
const open = (options: SqliteOptions): DatabaseSync =>
  guarded(() => {
    const db = new DatabaseSync(options.file, { timeout: options.busyMs ?? 5_000 })
    try {
      const id = pragma(db, "application_id")
      const format = pragma(db, "user_version")
      const tables = db.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.["n"]
      if (tables !== 0 && id !== APPLICATION_ID) throw unusable(options.file, "it is another program's database")
      if (format > FORMAT)
        throw unusable(options.file, `it has format ${format}, this release knows ${FORMAT}: upgrade`)
      const damage = damageOf(db, options.file)
      if (damage !== undefined) throw damaged(options.file, damage)
      if (options.file !== ":memory:") chmodSync(options.file, 0o600)
      db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${options.durability === "normal" ? "NORMAL" : "FULL"}`)
      // One that is set up already is not written to: it opens on a full disk, too.
      if (id !== APPLICATION_ID || format !== FORMAT)
        db.exec(
          `BEGIN IMMEDIATE; ${SCHEMA}; PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${FORMAT}; COMMIT`
        )
      // Of a release before sums were kept. Those releases read and write the file still.
      else if (
        !db
          .prepare("PRAGMA table_info(commits)")
          .all()
          .some(({ name }) => name === "sum")
      )
        db.exec("ALTER TABLE commits ADD COLUMN sum INTEGER")
      if (options.maxBytes !== undefined)
        db.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(options.maxBytes / pragma(db, "page_size")))}`)
      return db
    } catch (error) {
      db.close()
      throw error
    }
  })

/** Best effort: on a full disk the write-ahead log stays, and the next start reads it. */
const checkpoint = (db: DatabaseSync): void => {
  try {
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)")
  } catch {
    // Said above.
  }
}

const pragma = (db: DatabaseSync, name: string): number => Number(db.prepare(`PRAGMA ${name}`).get()?.[name])

const damaged = (file: string, why: string): LogUnavailable =>
  new LogUnavailable({ detail: `${file} is damaged: ${why}`, uncertain: false, damaged: true })

const unusable = (file: string, why: string): LogUnavailable =>
  new LogUnavailable({ detail: `${file} cannot be used: ${why}`, uncertain: false })

/** A store over an open file; `close` ends it. `clock`: milliseconds since 1970, for retention. */
export const sqliteStore = (
  options: SqliteOptions,
  clock: () => number = Date.now
): CommitStore & { readonly close: () => void } => {
  const db = open(options)
  const tails = new Set<() => void>()
  const prepared = new Map<string, StatementSync>()
  const sql = (text: string): StatementSync => {
    let statement = prepared.get(text)
    if (statement === undefined) prepared.set(text, (statement = db.prepare(text)))
    return statement
  }
  const version = (subject: string): number =>
    Number(sql("SELECT last FROM commits WHERE subject = ? ORDER BY first DESC LIMIT 1").get(subject)?.["last"] ?? 0)
  const page = db.prepare("SELECT seq, subject, body, sum FROM commits WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?")
  // Rows as arrays take half the time of rows as objects.
  page.setReturnArrays(true)
  const rows = (from: number, through: number): ReadonlyArray<RawCommit> =>
    (page.all(from, through, BATCH) as ReadonlyArray<unknown> as ReadonlyArray<Row>).map(
      ([seq, subject, body, sum]) => new FoundCommit(seq, subject, body, sum !== null && sum !== sumOf(subject, body))
    )
  const lastSeq = (): number =>
    Number(sql("SELECT seq FROM sqlite_sequence WHERE name = 'commits'").get()?.["seq"] ?? 0)
  const head = options.file === ":memory:" ? undefined : new LogHead(options.file)
  const shortened = head?.missing(guarded(lastSeq))
  const select = (commits: ReadonlyArray<RawCommit>, only: ReadOptions["only"]): ReadonlyArray<RawCommit> =>
    only === undefined ? commits : commits.filter((it) => wants(only, it.subject))

  return {
    adapter: "sqlite",
    warnings: [
      ...(options.durability === "normal" ? ["durability is normal: a power cut may take the last appends"] : []),
      ...(shortened === undefined ? [] : [shortened])
    ],
    append: async (commit): Promise<Appended> =>
      guarded(() => {
        const { subject, first, last, id, body } = commit
        const found = commit.overHole === true ? version(subject) : first - 1
        const at = mayFollow(commit, found) ? found : first - 1
        const sum = sumOf(subject, body)
        const result = sql(APPEND).run({ subject, first, last, id, stored: clock(), body, sum, at })
        if (result.changes !== 0) {
          head?.note(Number(result.lastInsertRowid))
          for (const wake of tails) wake()
          return { seq: Number(result.lastInsertRowid), version: last, duplicate: false }
        }
        const there = sql("SELECT seq, last, id FROM commits WHERE subject = ? AND first = ?").get(subject, first)
        if (there?.["id"] === id) return { seq: Number(there["seq"]), version: Number(there["last"]), duplicate: true }
        throw new VersionConflict({ subject, expected: first - 1, actual: version(subject) })
      }),
    read: async function* ({ from, only }: ReadOptions): AsyncGenerator<RawBatch> {
      const end = guarded(lastSeq)
      for (let next = from; next <= end;) {
        const commits = guarded(() => rows(next, end))
        next = (commits.at(-1)?.seq ?? end) + 1
        const caughtUp = commits.length < BATCH || next > end
        yield { commits: select(commits, only), caughtUp }
        if (caughtUp) return
      }
    },
    tail: ({ from, only }) =>
      new Tail(db, tails, options.pollMs ?? 50, from, (at) => {
        const commits = guarded(() => rows(at, Number.MAX_SAFE_INTEGER))
        return {
          commits: select(commits, only),
          caughtUp: commits.length < BATCH,
          next: (commits.at(-1)?.seq ?? at - 1) + 1
        }
      }),
    version: async (subject) => guarded(() => version(subject)),
    saveSnapshot: async (name, { seq, format, state }) =>
      guarded(() => {
        sql("INSERT OR REPLACE INTO snapshots (name, seq, format, sum, state) VALUES (?, ?, ?, ?, ?)").run(
          name,
          seq,
          format,
          checksum(state),
          state
        )
      }),
    loadSnapshot: async (name) =>
      guarded(() => {
        const row = sql("SELECT seq, format, sum, state FROM snapshots WHERE name = ?").get(name)
        if (row === undefined || checksum(String(row["state"])) !== row["sum"]) return undefined
        return { seq: row["seq"], format: row["format"], state: row["state"] } as Snapshot
      }),
    // The file is larger than what it holds, so where it is small enough nothing needs counting.
    retain: (limits) =>
      dropBeyond(limits, sql, guarded, () => pragma(db, "page_count") * pragma(db, "page_size") > limits.bytes),
    subjects: async () =>
      guarded(() => ({
        lastSeq: lastSeq(),
        subjects: sql(SUBJECTS).all() as ReadonlyArray<unknown> as ReadonlyArray<SubjectStatus>
      })),
    close: () => {
      for (const wake of tails) wake()
      tails.clear()
      if (!db.isOpen) return
      // A copy of the file alone is then the log.
      if (options.file !== ":memory:") checkpoint(db)
      db.close()
    }
  }
}

type Row = [seq: number, subject: string, body: string, sum: number | null]

interface Page extends RawBatch {
  readonly next: number
}

/** Pages through the log, then waits: for an append of this process, or for `data_version` to tell of another's. */
class Tail implements AsyncIterable<RawBatch>, AsyncIterator<RawBatch> {
  readonly #db: DatabaseSync
  readonly #version: StatementSync
  readonly #tails: Set<() => void>
  readonly #pollMs: number
  readonly #page: (from: number) => Page
  #from: number
  #first = true
  #ended = false
  #dataVersion = -1

  constructor(db: DatabaseSync, tails: Set<() => void>, pollMs: number, from: number, page: (from: number) => Page) {
    this.#db = db
    this.#version = db.prepare("PRAGMA data_version")
    this.#tails = tails
    this.#pollMs = pollMs
    this.#from = from
    this.#page = page
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<RawBatch>> {
    while (!this.#ended && this.#db.isOpen) {
      this.#dataVersion = this.#versionNow()
      const page = this.#page(this.#from)
      const news = page.next > this.#from || this.#first
      this.#first = false
      this.#from = page.next
      if (news) return { done: false, value: page }
      await this.#change()
    }
    return { done: true, value: undefined }
  }

  return(): Promise<IteratorResult<RawBatch>> {
    this.#ended = true
    this.#wake?.()
    return Promise.resolve({ done: true, value: undefined })
  }

  #wake: (() => void) | undefined

  #versionNow(): number {
    return Number(this.#version.get()?.["data_version"])
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout
      const wake = (): void => {
        clearTimeout(timer)
        this.#tails.delete(wake)
        this.#wake = undefined
        resolve()
      }
      const look = (): void => {
        if (!this.#db.isOpen || this.#versionNow() !== this.#dataVersion) return wake()
        // At whole multiples: when a process wakes for other things that come round.
        timer = setTimeout(look, this.#pollMs - (Date.now() % this.#pollMs) + 1)
      }
      timer = setTimeout(look, this.#pollMs)
      this.#tails.add(wake)
      this.#wake = wake
    })
  }
}
