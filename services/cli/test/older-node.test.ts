/** The command started by an older Node than the pinned one, as `npx meridian` is on a machine with Node 20. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { freePort } from "@meridian/testkit/running-node"
import { expect, it } from "vitest"

const program = resolve(import.meta.dirname, "../bin/meridian.mjs")
const OLDER = 'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"20.20.0"})'

it("passes on the signal that a service manager sends to it alone, and ends as the node ended", async () => {
  const state = mkdtempSync(join(tmpdir(), "meridian-older-"))
  const port = await freePort()
  const args = ["up", "--port", String(port), "--listen", "127.0.0.1", "--workers", "1", "--state", state]
  const wrapper = spawn(process.execPath, ["--import", OLDER, program, ...args])
  try {
    const ended = once(wrapper, "close") as Promise<[number | null]>
    let said = ""
    const ready = new Promise<void>((done) =>
      wrapper.stdout.on("data", (chunk: Buffer) => {
        said += chunk.toString()
        if (said.includes("Try next")) done()
      })
    )
    wrapper.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()))
    await Promise.race([ready, ended])
    wrapper.kill("SIGTERM")
    const [code] = await ended
    expect(said).toContain("drained and ended (SIGTERM)")
    expect(code).toBe(0)
  } finally {
    wrapper.kill("SIGKILL")
    rmSync(state, { recursive: true, force: true })
  }
})
