/**
 * Snapshots as files, for logs that are elsewhere: a node whose NATS is out of reach starts from what lies here. Written
 * beside and renamed, so that a crash leaves the old one or the new one; checked by a sum when read.
 */
import { type FileNotRead, readRegularFile } from "@meridian/system/regular-file"
import { hash } from "node:crypto"
import { mkdir, open, rename, rm } from "node:fs/promises"
import { join } from "node:path"
import type { Snapshot } from "./event-log.ts"

const LONGEST = 256 * 1_048_576

/** SHA-256 of a text, hexadecimal. Finds damage, not forgery. */
export const checksum = (text: string): string => hash("sha256", text)

export interface SnapshotStore {
  readonly save: (name: string, snapshot: Snapshot) => Promise<void>
  /** Undefined where there is none or it is damaged. */
  readonly load: (name: string) => Promise<Snapshot | undefined>
}

/**
 * Snapshots in a directory, one file `<name>.snapshot` each: a line of JSON about the state, then the state. `onUnusable` is
 * told of one that is there and cannot be used.
 */
export const snapshotFiles = (directory: string, onUnusable: (message: string) => void = () => {}): SnapshotStore => ({
  save: async (name, { seq, format, state }) => {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const path = join(directory, `${name}.snapshot`)
    const fresh = `${path}.new`
    // Whatever lies there, a pipe too, is not written to.
    await rm(fresh, { force: true })
    const file = await open(fresh, "wx", 0o600)
    try {
      await file.writeFile(`${JSON.stringify({ seq, format, sum: checksum(state) })}\n${state}`)
      await file.sync()
    } catch (error) {
      await rm(fresh, { force: true })
      throw error
    } finally {
      await file.close()
    }
    await rename(fresh, path)
  },
  load: async (name) => {
    const file = join(directory, `${name}.snapshot`)
    const text = contentOf(file, onUnusable)
    if (text === undefined) return undefined
    const end = text.indexOf("\n")
    const state = text.slice(end + 1)
    try {
      const { seq, format, sum } = JSON.parse(text.slice(0, end)) as { seq: number; format: number; sum: string }
      if (sum === checksum(state)) return { seq, format, state }
    } catch {
      // Said below.
    }
    onUnusable(`the snapshot ${file} is damaged: it is not used, and written anew when there is something to write`)
    return undefined
  }
})

const contentOf = (file: string, onUnusable: (message: string) => void): string | undefined => {
  try {
    return readRegularFile(file, LONGEST).toString("utf8")
  } catch (error) {
    const { reason, why } = error as FileNotRead
    if (reason !== "ENOENT") onUnusable(`the snapshot ${file} cannot be read (${why}): it is not used`)
    return undefined
  }
}

/** Snapshots that end with the process. */
export const snapshotMemory = (): SnapshotStore => {
  const held = new Map<string, Snapshot>()
  return { save: async (name, snapshot) => void held.set(name, snapshot), load: async (name) => held.get(name) }
}
