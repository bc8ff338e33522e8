/**
 * The key store in an SQLite file. What is shredded must leave no bytes behind, and SQLite leaves them in three places:
 * in freed cells (`secure_delete` overwrites them), in a write-ahead log (there is none here) and in the rollback journal,
 * which holds pages as they were. The journal is therefore kept as a file and overwritten with zeros, under the exclusive
 * lock, after every change. What the disk itself keeps (a copy-on-write file system, a drive's spare blocks, backups) is
 * beyond any program's reach.
 */
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  openSync,
  writeSync
} from "@meridian/system/files"
import { DatabaseSync } from "node:sqlite"
import { damageOf } from "./damaged-file.ts"
import { messageOf } from "./event-log.ts"
import { sameKey, type SlotStore, KeyStoreUnavailable, SlotTaken, type WrappedKey } from "./key-store.ts"

/** "MerK" in the file's header. */
const APPLICATION_ID = 0x4d65_724b

const SCHEMA = "CREATE TABLE IF NOT EXISTS slots (slot TEXT PRIMARY KEY, under TEXT NOT NULL, box BLOB NOT NULL) STRICT"

/** A key store in a file, readable by its owner alone. Throws KeyStoreUnavailable where the file cannot be used. */
export const sqliteKeyStore = (file: string, busyMs = 5_000): SlotStore & { readonly close: () => void } => {
  const db = opened(file, busyMs)
  const select = db.prepare("SELECT under, box FROM slots WHERE slot = ?")
  const insert = db.prepare("INSERT INTO slots (slot, under, box) VALUES (?, ?, ?)")
  const remove = db.prepare("DELETE FROM slots WHERE slot = ?")
  const all = db.prepare("SELECT slot, under FROM slots ORDER BY slot")

  const get = (slot: string): WrappedKey | undefined => {
    const row = select.get(slot)
    return row === undefined ? undefined : { under: String(row["under"]), box: row["box"] as Uint8Array }
  }
  const change = <A>(run: () => A): A => {
    db.exec("BEGIN EXCLUSIVE")
    try {
      const result = run()
      db.exec("COMMIT")
      return result
    } catch (error) {
      if (db.isTransaction) db.exec("ROLLBACK")
      throw error
    } finally {
      eraseJournal()
    }
  }
  /** The lock keeps out other processes, whose journal it would otherwise be. */
  const eraseJournal = (): void => {
    db.exec("BEGIN EXCLUSIVE")
    try {
      overwrite(`${file}-journal`)
    } finally {
      db.exec("ROLLBACK")
    }
  }
  const guarded = async <A>(run: () => A): Promise<A> => {
    try {
      return run()
    } catch (error) {
      throw error instanceof SlotTaken ? error : unusable(file, error)
    }
  }
  // What a crash between a commit and its erasure has left.
  eraseJournal()

  return {
    warnings: [],
    put: (slot, key) =>
      guarded(() =>
        change(() => {
          const there = get(slot)
          if (there === undefined) insert.run(slot, key.under, key.box)
          else if (!sameKey(there, key)) throw new SlotTaken({ slot })
        })
      ),
    get: (slot) => guarded(() => get(slot)),
    rewrap: (slot, from, key) =>
      guarded(() =>
        change(() => {
          if (get(slot)?.under !== from) return false
          remove.run(slot)
          insert.run(slot, key.under, key.box)
          return true
        })
      ),
    shred: (slot) => guarded(() => void change(() => remove.run(slot))),
    list: () => guarded(() => all.all().map((row) => ({ slot: String(row["slot"]), under: String(row["under"]) }))),
    close: () => {
      if (db.isOpen) db.close()
    }
  }
}

const DAMAGED = new Set([11, 26])

/** SQLite's error in the key store's terms. */
const unusable = (file: string, cause: unknown): KeyStoreUnavailable => {
  const text = messageOf(cause)
  const damaged = DAMAGED.has(((cause as { readonly errcode?: number }).errcode ?? 0) & 0xff)
  const advice =
    "; move it away and start anew: in a cluster the copies in it are fetched again, on a node of its own new keys are minted"
  return new KeyStoreUnavailable({ detail: `${file}: ${text}${damaged ? advice : ""}`, damaged, cause })
}

const opened = (file: string, busyMs: number): DatabaseSync => {
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(file, { timeout: busyMs })
    const tables = db.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.["n"]
    const id = db.prepare("PRAGMA application_id").get()?.["application_id"]
    if (tables !== 0 && id !== APPLICATION_ID) throw new Error("it is another program's database")
    const damage = damageOf(db, file)
    if (damage !== undefined) throw Object.assign(new Error(damage), { errcode: 11 })
    chmodSync(file, 0o600)
    db.exec(`PRAGMA secure_delete = ON; PRAGMA journal_mode = PERSIST; PRAGMA synchronous = EXTRA;
      PRAGMA temp_store = MEMORY; ${SCHEMA}; PRAGMA application_id = ${APPLICATION_ID}`)
    return db
  } catch (cause) {
    db?.close()
    throw unusable(file, cause)
  }
}

/** Overwrites a file's bytes with zeros where they lie, and waits for the disk. */
const overwrite = (file: string): void => {
  if (!existsSync(file)) return
  const descriptor = openSync(file, constants.O_RDWR)
  try {
    const zeros = new Uint8Array(fstatSync(descriptor).size)
    for (let at = 0; at < zeros.length;) at += writeSync(descriptor, zeros, at, zeros.length - at, at)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
