/** GET /log where the store fails in the middle: the reader must be able to tell that from the end of the log. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer, request } from "node:http"
import { once } from "node:events"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, expect, it } from "vitest"
import { type EventLog, LogUnavailable, overStore } from "@meridian/event-log"
import { memoryStore } from "@meridian/event-log/memory"
import { streamLog } from "../src/api-queries.ts"
import type { Coordinator } from "../src/coordinator.ts"
import { policyAggregate, ClusterFold } from "../src/cluster-fold.ts"
import { carryOut } from "../src/command.ts"

const closing: Array<() => void> = []
afterEach(() => closing.splice(0).forEach((close) => close()))

/** What a reader gets of a log, and whether the answer came to its end. */
const answerOf = async (
  log: EventLog["Service"]
): Promise<{ readonly lines: ReadonlyArray<string>; readonly complete: boolean }> => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-stream-"))
  const server = createServer((asked, response) => {
    void streamLog({ backend: { log } } as Coordinator, new URL(asked.url ?? "/", "http://test"), response)
  })
  closing.push(() => {
    server.close()
    server.closeAllConnections()
    rmSync(folder, { recursive: true, force: true })
  })
  server.listen(join(folder, "s"))
  await once(server, "listening")
  return new Promise((done, failed) => {
    const asking = request({ socketPath: join(folder, "s"), path: "/log", agent: false }, (response) => {
      let text = ""
      response.on("data", (chunk: Buffer) => (text += chunk.toString()))
      response.on("error", () => {})
      response.on("close", () => done({ lines: text.split("\n").slice(0, -1), complete: response.complete }))
    })
    asking.on("error", failed)
    asking.end()
  })
}

const logWithOneEvent = async (): Promise<EventLog["Service"]> => {
  const log = overStore(memoryStore())
  const writer = {
    log,
    fold: new ClusterFold(),
    node: "a",
    now: () => Date.parse("2026-01-01T00:00:00Z"),
    newId: () => "id",
    foldedSeq: () => 0
  }
  const change = { _tag: "Change" as const, changes: { clockRetentionCount: 500 } }
  await Effect.runPromise(carryOut(writer, policyAggregate, () => Effect.succeed(change)))
  return log
}

it("comes to its end where the log does", async () => {
  expect(await answerOf(await logWithOneEvent())).toEqual({
    lines: [expect.stringContaining("PolicyChanged")],
    complete: true
  })
})

it("breaks off where the store fails in the middle", async () => {
  const log = await logWithOneEvent()
  const failing: EventLog["Service"] = {
    ...log,
    read: (options) =>
      Stream.concat(log.read(options), Stream.fail(new LogUnavailable({ detail: "test", uncertain: false })))
  }
  expect(await answerOf(failing)).toEqual({
    lines: [expect.stringContaining("PolicyChanged"), expect.stringContaining("unavailable: test")],
    complete: false
  })
})
