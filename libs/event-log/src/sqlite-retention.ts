/** Retention in an SQLite log. Pages at a time, so that a large log holds up nothing else in its process for long. */
import type { StatementSync } from "node:sqlite"
import { setImmediate } from "node:timers/promises"
import type { Limits } from "./commit-store.ts"

/** Rows that are counted or dropped at a time. */
const PAGE = 5_000
const LARGEST = Number.MAX_SAFE_INTEGER

const SIZES = `
SELECT first, octet_length(body) AS size FROM commits WHERE subject = ? AND first < ? ORDER BY first DESC LIMIT ?`

const DROP = `
DELETE FROM commits WHERE seq IN (SELECT seq FROM commits WHERE subject = :subject
  AND first < min(:kept, (SELECT max(first) FROM commits WHERE subject = :subject)) AND seq < :stays
  ORDER BY first LIMIT ${PAGE})`

/** A statement, prepared once. */
type Sql = (text: string) => StatementSync

/** Runs what touches the file, its errors put in the log's terms. */
type Guarded = <A>(run: () => A) => A

/** Drops what the limits no longer keep; `isLarge` says whether there can be more bytes than they allow. */
export const dropBeyond = async (
  { below, storedBefore, commits, bytes }: Limits,
  sql: Sql,
  guarded: Guarded,
  isLarge: () => boolean
): Promise<number> => {
  let gone = 0
  const large = guarded(isLarge)
  for (const [subject, stays] of below) {
    const young = guarded(() => firstYoung(sql, subject, storedBefore))
    const newest = guarded(() => firstOfNewest(sql, subject, commits))
    const kept = Math.max(young, newest, large ? await firstWithin(sql, guarded, subject, bytes) : 0)
    for (let dropped = PAGE; dropped === PAGE; gone += dropped) {
      dropped = guarded(() => Number(sql(DROP).run({ subject, kept, stays: Math.min(stays, LARGEST) }).changes))
      await setImmediate()
    }
  }
  return gone
}

/** The version of a subject's first commit that is young enough, or beyond all where none is. */
const firstYoung = (sql: Sql, subject: string, storedBefore: number): number =>
  Number(
    sql("SELECT first FROM commits WHERE subject = ? AND stored >= ? ORDER BY first LIMIT 1").get(
      subject,
      storedBefore
    )?.["first"] ?? LARGEST
  )

/** The version of the first of a subject's newest commits, 0 where there are fewer. */
const firstOfNewest = (sql: Sql, subject: string, count: number): number =>
  count === Infinity
    ? 0
    : Number(
        sql("SELECT first FROM commits WHERE subject = ? ORDER BY first DESC LIMIT 1 OFFSET ?").get(
          subject,
          count - 1
        )?.["first"] ?? 0
      )

/** The version of a subject's first commit from which on all take no more than so many bytes. */
const firstWithin = async (sql: Sql, guarded: Guarded, subject: string, bytes: number): Promise<number> => {
  let held = 0
  let kept = LARGEST
  for (;;) {
    const page = guarded(() => sql(SIZES).all(subject, kept, PAGE)) as ReadonlyArray<unknown> as ReadonlyArray<{
      readonly first: number
      readonly size: number
    }>
    for (const { first, size } of page) {
      held += size
      if (held > bytes) return kept
      kept = first
    }
    if (page.length < PAGE) return kept
    await setImmediate()
  }
}
