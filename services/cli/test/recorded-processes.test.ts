/** infra/dev ends processes that outlived their starter: only those it started, and all of them. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import {
  endRecorded,
  isRunning,
  readRecords,
  type RecordedProcess,
  startRecorded,
  writeRecords
} from "../../../infra/dev/recorded-processes.ts"

const PATIENCE_MS = 120_000
let folder = ""
const records: RecordedProcess[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meridian-recorded-"))
})
afterEach(async () => {
  for (const record of records.splice(0)) await endRecorded(record, 0)
  rmSync(folder, { recursive: true, force: true })
})

const start = (script: string): RecordedProcess => {
  const record = startRecorded({
    name: "sample",
    command: "/bin/sh",
    args: ["-c", script],
    env: { PATH: process.env["PATH"] },
    log: join(folder, "log")
  })
  records.push(record)
  return record
}
const lineOf = async (file: string): Promise<string> => {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await sleep(20)) {
    const text = readFileSync(file, "utf8")
    if (text.includes("\n")) return text.trim()
  }
  throw new Error(`${file} has no line`)
}
const runs = (pid: number): boolean => {
  try {
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")
  } catch {
    return false
  }
}

describe.runIf(process.platform === "linux")("a recorded process", () => {
  it("is asked to end", async () => {
    const record = start("trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.02; done")
    await lineOf(join(folder, "log"))
    expect(isRunning(record)).toBe(true)
    expect(await endRecorded(record, PATIENCE_MS)).toBe(true)
    expect(isRunning(record)).toBe(false)
    expect(readFileSync(join(folder, "log"), "utf8")).toBe("up\nasked\n")
  })

  it("is killed with its children when it does not", async () => {
    const record = start("trap '' TERM; sleep 600 & echo $!; while :; do sleep 0.05; done")
    const child = Number(await lineOf(join(folder, "log")))
    expect(runs(child)).toBe(true)
    expect(await endRecorded(record, 100)).toBe(true)
    expect([runs(record.pid), runs(child)]).toEqual([false, false])
  })

  it("takes its children with it even where it has died before them", async () => {
    const record = start("trap '' TERM; sleep 600 & echo $!; wait")
    const child = Number(await lineOf(join(folder, "log")))
    process.kill(record.pid, "SIGKILL")
    expect(await endRecorded(record, 100)).toBe(true)
    expect(runs(child)).toBe(false)
  })

  it("is not confused with another that has its number", async () => {
    const stranger = spawn("sleep", ["600"], { detached: true, stdio: "ignore" })
    const { boot, started } = start("sleep 600")
    const pid = stranger.pid ?? 0
    for (const record of [
      { name: "before", pid, started: "1", boot },
      { name: "other boot", pid, started, boot: "another" }
    ]) {
      expect(isRunning(record)).toBe(false)
      expect(await endRecorded(record, 0)).toBe(true)
    }
    expect(stranger.exitCode).toBeNull()
    expect(runs(pid)).toBe(true)
    stranger.kill("SIGKILL")
    await once(stranger, "exit")
  })

  it("is read back as it was written, and nothing else is taken for one", () => {
    const file = join(folder, "processes.json")
    expect(readRecords(file)).toEqual([])
    const record = start("sleep 600")
    writeRecords(file, [record])
    expect(readRecords(file)).toEqual([record])
    for (const text of ["{}", "[1]", '[{"name":"x","pid":1,"started":"5","boot":"b"}]', '[{"name":"x","pid":9}]']) {
      writeFileSync(file, text)
      expect(() => readRecords(file)).toThrow("not ours")
    }
  })

  it("that cannot be started is an error", () => {
    const program = { name: "none", command: join(folder, "none"), args: [], env: {}, log: join(folder, "log") }
    expect(() => startRecorded(program)).toThrow("none could not be started")
  })
})
