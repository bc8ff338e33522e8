/** Starting one process, and saying why when the system has none to spare. */
import type { ChildProcess } from "node:child_process"
import { errnoAdvice } from "@meridian/system/errno-words"
import { errnoName } from "@meridian/system/native"
import * as Effect from "effect/Effect"

const sentence = (error: unknown): string => errnoAdvice("process", errnoName(error))

/** A process that runs, or why there is none. Some failures are thrown by Node, others come as an event. */
export const launch = (spawn: () => ChildProcess): Effect.Effect<ChildProcess, string> =>
  Effect.callback<ChildProcess, string>((resume) => {
    try {
      const child = spawn()
      if (child.pid !== undefined) return resume(Effect.succeed(child))
      child.once("error", (error) => resume(Effect.fail(sentence(error))))
    } catch (error) {
      resume(Effect.fail(sentence(error)))
    }
    return undefined
  })
