/**
 * A CLOCK_REALTIME that a test sets for the processes it starts, by a library that is loaded into them
 * (native/stepped-realtime.c). The machine's own clock is not touched.
 */
import { spawnSync } from "node:child_process"
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

const source = resolve(import.meta.dirname, "../native/stepped-realtime.c")

/** Where the numbers lie in the file. */
const BEFORE = 0
const AFTER = 8
const AT = 16
const NEVER = 2n ** 63n - 1n
/** A step lies a moment ahead, so that nothing was stamped after it that was read before. */
const AHEAD_MS = 2

export class SteppedRealtime {
  /** For the processes whose clock it is to be. */
  readonly environment: NodeJS.ProcessEnv
  private readonly folder: string
  private readonly descriptor: number
  private added = 0n

  /** Compiles the library. Throws where there is no C compiler. */
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "meridian-realtime-"))
    const library = join(this.folder, "stepped-realtime.so")
    const step = join(this.folder, "step")
    const flags = ["-O1", "-std=gnu11", "-D_GNU_SOURCE", "-shared", "-fPIC"]
    const built = spawnSync(process.env["CC"] ?? "cc", [...flags, "-o", library, source, "-ldl"])
    if (built.status !== 0) {
      rmSync(this.folder, { recursive: true })
      throw new Error(`the stepped clock cannot be compiled: ${built.error?.message ?? built.stderr.toString("utf8")}`)
    }
    writeFileSync(step, new Uint8Array(24))
    this.descriptor = openSync(step, "r+")
    this.environment = { LD_PRELOAD: library, MERIDIAN_TEST_REALTIME: step }
  }

  /** CLOCK_REALTIME is set forward by so many seconds, or back. */
  step(seconds: number): void {
    this.write(BEFORE, this.added)
    this.write(AT, NEVER)
    this.added += BigInt(Math.round(seconds * 1e9))
    this.write(AFTER, this.added)
    this.write(AT, BigInt(Date.now() + AHEAD_MS) * 1_000_000n)
  }

  close(): void {
    closeSync(this.descriptor)
    rmSync(this.folder, { recursive: true })
  }

  private write(at: number, value: bigint): void {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(value)
    writeSync(this.descriptor, bytes, 0, 8, at)
  }
}
