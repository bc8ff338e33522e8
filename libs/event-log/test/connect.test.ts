import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { describe, expect, it } from "vitest"
import { connectNats } from "../src/connect.ts"
import { run } from "./log-fixture.ts"

describe("connecting", () => {
  it("fails with a reason where no server answers", async () => {
    const result = await run(Effect.result(Effect.scoped(connectNats({ servers: ["127.0.0.1:1"], name: "test" }))))
    expect(Result.isFailure(result) && result.failure.message).toContain("no NATS at 127.0.0.1:1")
  })
})
