/** A process that starts gives way, and takes part again, with every thread that it has. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync } from "node:fs"
import { getPriority } from "node:os"
import { afterEach, describe, expect, it } from "vitest"
import { loadNative } from "../src/native.ts"
import { mayRaisePriorities, ownPriority, permitPriority, setBack, setEveryThread } from "../src/priority.ts"

const LOWEST = 19
let child: ChildProcess | undefined
afterEach(() => void child?.kill("SIGKILL"))

/** A process of Node's, which has several threads by the time it says something. */
const start = (): ChildProcess =>
  (child = spawn(process.execPath, ["--eval", "console.log(1); setInterval(() => {}, 1000)"], {
    stdio: ["ignore", "pipe", "inherit"]
  }))
const priorities = (pid: number): readonly number[] =>
  readdirSync(`/proc/${pid}/task`).map((thread) => getPriority(Number(thread)))

describe.runIf(loadNative().addon !== undefined && (permitPriority(ownPriority()) || mayRaisePriorities()))(
  "priority",
  () => {
    it("is the lowest for all threads of one that was set back at its start, and what it was afterwards", async () => {
      const { pid = 0, stdout } = start()
      setBack(pid, LOWEST)
      await once(stdout!, "data")
      expect(getPriority(pid)).toBe(LOWEST)
      expect(priorities(pid).length).toBeGreaterThan(1)
      setEveryThread(pid, ownPriority())
      expect(new Set(priorities(pid))).toEqual(new Set([ownPriority()]))
    })

    it("leaves a process that has ended, and the rest of the machine, as they are", async () => {
      const { pid = 0 } = start()
      child?.kill("SIGKILL")
      await once(child!, "exit")
      setBack(pid, LOWEST)
      setEveryThread(pid, ownPriority())
      expect(ownPriority()).toBe(getPriority())
    })

    it("is refused where it is none", () => {
      expect(() => permitPriority(20)).toThrow("from -20 to 19")
    })
  }
)
