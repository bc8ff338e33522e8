import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { afterEach, describe, expect, it, vi } from "vitest"
import { connectNats } from "../src/connect.ts"
import { run } from "./log-fixture.ts"
import { natsServers, startNats } from "./nats-server.ts"

const newest = natsServers().found.at(-1)

describe("connecting", () => {
  it("fails with a reason where no server answers", async () => {
    const result = await run(Effect.result(Effect.scoped(connectNats({ servers: ["127.0.0.1:1"], name: "test" }))))
    expect(Result.isFailure(result) && result.failure.message).toContain("no NATS at 127.0.0.1:1")
  })
})

describe.runIf(newest !== undefined)(
  `a connection to a server that comes back${newest ? "" : " NOT RUN: none found"}`,
  () => {
    afterEach(() => void vi.useRealTimers())

    it("is made again at once, though the wall clock was set back by an hour", async () => {
      if (newest === undefined) throw new Error("expected nats-server")
      const nats = await startNats(newest, 1)
      const [server] = nats.servers
      try {
        const again = Effect.gen(function* () {
          const connection = yield* connectNats({ servers: nats.urls, name: "test" })
          yield* Effect.promise(() => connection.flush())
          vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - 3_600_000 })
          yield* Effect.promise(async () => {
            const lost = isBack(connection.status(), "disconnect")
            const found = isBack(connection.status(), "reconnect")
            await server?.kill()
            await lost
            await server?.start()
            await found
            await connection.flush()
          })
          return connection.info?.server_name
        })
        expect(await run(Effect.scoped(again))).toBeDefined()
      } finally {
        vi.useRealTimers()
        await nats.stop()
      }
    })
  }
)

const isBack = async (statuses: AsyncIterable<{ readonly type: string }>, type: string): Promise<void> => {
  for await (const status of statuses) if (status.type === type) return
}
