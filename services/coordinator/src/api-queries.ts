/** What the API answers from the fold and the log. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ServerResponse } from "node:http"
import { once } from "node:events"
import { formatSharedKeyFile } from "@meridian/auth/key-file"
import { KeyTable, SymmetricKey } from "@meridian/auth/key-table"
import { macAlgorithm } from "@meridian/auth/mac-algorithms"
import type { EventLog, LogBatch, ReadOptions } from "@meridian/event-log"
import { type Family, familyOf, setStatus } from "@meridian/events"
import type { ClusterState, Explanation } from "@meridian/ipc"
import { type ApiAnswer, ApiError, json } from "./api-answer.ts"
import type { Coordinator } from "./coordinator.ts"
import { explain, momentOf } from "./explain.ts"
import { sentence } from "./notices.ts"
import { liveKeys } from "./serving.ts"
import { stateView } from "./state-view.ts"

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/
/** What the times of events can be. */
const EARLIEST = Date.parse("0000-01-01T00:00:00.000Z")
const LATEST = Date.parse("9999-12-31T23:59:59.999Z")

/** Answers GET of everything but the log. */
export const readState = async (coordinator: Coordinator, url: URL): Promise<ApiAnswer> => {
  switch (url.pathname) {
    case "/state":
      return json(stateOf(coordinator))
    case "/keys/export":
      return exportKeys(coordinator)
    case "/explain": {
      const event = url.searchParams.get("event")
      const now = coordinator.now()
      if (event !== null) return json(await explainEvent(coordinator, event, now))
      const text = url.searchParams.get("at")
      // Date.parse alone finds a time in words that have none.
      const at = text === null ? now : INSTANT.test(text) ? Date.parse(text) : Number.NaN
      if (!(at >= EARLIEST && at <= LATEST))
        throw new ApiError(400, "Malformed", "expected at, a time such as 2026-11-21T12:00:00Z")
      return json(await Effect.runPromise(explain(logOf(coordinator), at, now)))
    }
    default:
      throw new ApiError(404, "NotFound", `no such resource: ${url.pathname.slice(0, 64)}`)
  }
}

const EVENT_ID = /^[0-9A-Za-z-]{1,64}(?:\.\d{1,6})?$/

const explainEvent = async (coordinator: Coordinator, id: string, now: number): Promise<Explanation> => {
  if (!EVENT_ID.test(id)) throw new ApiError(400, "Malformed", "expected event, an id as `meridian log` shows it")
  const log = logOf(coordinator)
  const at = await Effect.runPromise(momentOf(log, id))
  if (at !== undefined) return Effect.runPromise(explain(log, at, now))
  const why = "it is another cluster's, or retention has dropped it"
  throw new ApiError(404, "NoSuchEvent", `no event ${id} is in the log: ${why}`)
}

const stateOf = ({ settings, fold, report, now, putAside, clock, nameDoubt, leadership }: Coordinator): ClusterState =>
  stateView(settings.node, fold, report, now(), { putAside, clockDoubt: clock.doubt, nameDoubt, ...leadership })

/** The ntp.keys file for clients: the set that is trusted, and the one announced, so that it is in place before its time. */
const exportKeys = async (coordinator: Coordinator): Promise<ApiAnswer> => {
  const { fold } = coordinator
  const now = coordinator.now()
  const sets = fold.symmetric.live.filter(({ set }) =>
    ["trusted", "announced"].includes(setStatus(fold.symmetric, set, now))
  )
  if (sets.length === 0)
    throw new ApiError(
      404,
      "NoKeys",
      "there are no symmetric keys: make some with `meridian keys rotate --kind symmetric`"
    )
  const keys: Array<SymmetricKey> = []
  for (const live of liveKeys({ generations: [], sets })) {
    const secret = await Effect.runPromise(coordinator.openKey(live))
    const [, id, type] = live.place.purpose.split(":")
    const algorithm = macAlgorithm(type ?? "")
    if (algorithm !== undefined) keys.push(new SymmetricKey(Number(id), algorithm, secret))
  }
  const header = sets.map(({ set, trustedFrom, keys: its }) => {
    const ids = its.map(({ keyId }) => keyId).join(", ")
    return `# set ${set}: key ${ids}, to send with from ${new Date(trustedFrom).toISOString()}\n`
  })
  return { status: 200, type: "text/plain", body: `${header.join("")}${formatSharedKeyFile(KeyTable.of(keys))}` }
}

const logOf = ({ backend }: Coordinator): EventLog["Service"] => {
  if (backend === undefined) throw new ApiError(503, "LogUnavailable", "the event log is out of reach: try again")
  return backend.log
}

/**
 * The log as lines of JSON: first what retention has dropped of what was asked for, then events with their places, and
 * records of what was put aside; why it could not be read on, if so. With `follow` it goes on until the reader leaves.
 */
export const streamLog = async (coordinator: Coordinator, url: URL, response: ServerResponse): Promise<void> => {
  const log = logOf(coordinator)
  const options = readOptions(url)
  const follow = ["1", "true"].includes(url.searchParams.get("follow") ?? "")
  const { families } = await Effect.runPromise(log.status)
  response.writeHead(200, { "content-type": "application/x-ndjson" })
  const write = async (lines: ReadonlyArray<unknown>): Promise<void> => {
    if (lines.length === 0 || response.destroyed) return
    const room = response.write(`${lines.map((line) => JSON.stringify(line)).join("\n")}\n`)
    if (!room && !response.destroyed) await Promise.race([once(response, "drain"), once(response, "close")])
  }
  const dropped = families
    .flatMap(({ subjects }) => subjects)
    .filter(
      ({ subject, firstVersion, firstSeq }) => wanted(options, subject) && firstVersion > 1 && options.from < firstSeq
    )
  await write(
    dropped.map(({ subject, firstVersion, firstSeq }) => ({
      dropped: { subject, events: firstVersion - 1, firstVersion, firstSeq }
    }))
  )
  const source = follow ? log.subscribe(options) : log.read(options)
  const copying = Effect.runFork(Stream.runForEach(source, (batch) => Effect.promise(() => write(linesOf(batch)))))
  const left = once(response, "close").catch(() => undefined)
  const ended = new Promise<void>((done) => copying.addObserver(() => done()))
  await Promise.race([ended, left])
  const outcome = copying.pollUnsafe()
  copying.interruptUnsafe()
  if (outcome?._tag !== "Failure") return void response.end()
  // A log that could not be read to its end must not look like one that ends there: the answer says why, and has no end.
  response.write(`${JSON.stringify({ unread: { reason: sentence(Cause.squash(outcome.cause)) } })}\n`, () =>
    response.destroy()
  )
}

const linesOf = ({ events, quarantined }: LogBatch): ReadonlyArray<unknown> => [
  ...events.map(({ seq, event }) => ({ seq, event })),
  ...quarantined.map((record) => ({ quarantined: record }))
]

const FAMILIES: ReadonlyArray<string> = ["keys", "members", "policy", "clock"] satisfies ReadonlyArray<Family>

const readOptions = (url: URL): ReadOptions => {
  const text = url.searchParams.get("from") ?? "1"
  const from = /^\d{1,16}$/.test(text) ? Number(text) : 0
  if (!Number.isSafeInteger(from) || from < 1) throw new ApiError(400, "Malformed", "expected from, a place from 1")
  const subject = url.searchParams.get("subject")
  if (subject === null || subject === "") return { from }
  if (FAMILIES.includes(subject)) return { from, only: { family: subject as Family } }
  if (familyOf(subject) !== undefined) return { from, only: { subject } }
  throw new ApiError(400, "Malformed", `expected subject, such as keys.nts, or one of ${FAMILIES.join(", ")}`)
}

const wanted = ({ only }: ReadOptions, subject: string): boolean =>
  only === undefined || ("subject" in only ? only.subject === subject : familyOf(subject) === only.family)
