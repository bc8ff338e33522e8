/** Output that cannot be written: a reader that has gone is no fault, a full disk is one; neither is a stack trace. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { openSync } from "node:fs"
import { resolve } from "node:path"
import { expect, it } from "vitest"

const program = resolve(import.meta.dirname, "../bin/meridian.mjs")

const ends = async (output: "closed pipe" | "/dev/full", args: readonly string[]) => {
  const stdout = output === "/dev/full" ? openSync(output, "w") : "pipe"
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", stdout, "pipe"] })
  child.stdout?.destroy()
  let stderr = ""
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
  const [code] = (await once(child, "close")) as [number | null]
  return { code, stderr }
}

it.each([["help"], ["cluster", "--help"], ["keys", "rotate", "--help"], ["cluster", "init", "--help"]])(
  "is no fault where the reader has gone: %s %s %s",
  async (...args) => expect(await ends("closed pipe", args)).toEqual({ code: 0, stderr: "" })
)

it("is one line and exit code 1 where the disk is full", async () => {
  expect(await ends("/dev/full", ["help"])).toEqual({ code: 1, stderr: "meridian: cannot write the output: ENOSPC\n" })
})
