/** A process that says that its event loop turns: into memory where its supervisor gives it some, else by messages. */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { afterEach, beforeEach, expect, it } from "vitest"

const HEARTBEAT = import.meta.resolve("../src/heartbeat.ts")

let folder: string
let memory: number
let child: ChildProcess
const said: unknown[] = []

const start = (settings: string): void => {
  const program = ["--import", HEARTBEAT, "-e", "setInterval(() => {}, 60_000)"]
  const env = { ...process.env, MERIDIAN_HEARTBEAT: settings }
  child = spawn(process.execPath, program, { stdio: ["ignore", "inherit", "inherit", "ipc", memory], env })
  child.on("message", (message) => said.push(message))
}

const turns = (): number => {
  const read = new Uint32Array(1)
  readSync(memory, read, 0, read.byteLength, 0)
  return read[0]!
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meridian-heartbeat-"))
  memory = openSync(join(folder, "turns"), "w+")
  ftruncateSync(memory, 4)
  said.length = 0
})
afterEach(() => {
  child.kill("SIGKILL")
  closeSync(memory)
  rmSync(folder, { recursive: true })
})

it("counts turns in the memory that it is given, and says nothing", async () => {
  start("every=50&memory=4")
  await expect.poll(turns, { timeout: 60_000 }).toBeGreaterThan(3)
  expect(said).toEqual([])
  child.kill("SIGSTOP")
  await setTimeout(200)
  const stopped = turns()
  await setTimeout(300)
  expect(turns()).toBe(stopped)
})

it("says so where it cannot count in that memory", async () => {
  ftruncateSync(memory, 0)
  start("every=50&memory=4")
  await expect.poll(() => said.length, { timeout: 60_000 }).toBeGreaterThan(3)
})

it("says so without memory", async () => {
  start("every=50")
  await expect.poll(() => said.length, { timeout: 60_000 }).toBeGreaterThan(3)
  expect(said.every((message) => JSON.stringify(message) === '{"type":"alive"}')).toBe(true)
  expect(turns()).toBe(0)
})
