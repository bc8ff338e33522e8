/** Starting one process, and saying why when the system has none to spare. */
import type { ChildProcess } from "node:child_process"
import { errnoName } from "@meridian/system/native"
import * as Effect from "effect/Effect"

const reasons: Readonly<Record<string, string>> = {
  ENOMEM: "the system has no memory for it (ENOMEM)",
  EAGAIN: "the system has no process to spare (EAGAIN): see the limit on tasks of the unit or the user",
  EMFILE: "this process has no descriptor left (EMFILE): raise its limit on open files",
  ENFILE: "the system has no open file to spare (ENFILE)"
}

const sentence = (error: unknown): string => {
  const name = errnoName(error)
  return reasons[name] ?? `it cannot be started: ${name}`
}

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
