/**
 * Files that an operator names: read whole, but never waited for. A pipe or a device in such a place would stop the process
 * for as long as nobody writes to it, or fill its memory.
 */
import type { Stats } from "node:fs"
import { closeSync, constants, fstatSync, openSync, readFileSync } from "./files.ts"
import { errnoWords } from "./errno-words.ts"
import { errnoName } from "./native.ts"

/** Not read; `reason` is the system's name of the error (ENOENT), or a few words. Holds nothing of the file. */
export class FileNotRead extends Error {
  readonly _tag = "FileNotRead"
  readonly reason: string

  constructor(path: string, reason: string) {
    super(`${path} cannot be read: ${errnoWords(reason)}`)
    this.reason = reason
  }

  get why(): string {
    return errnoWords(this.reason)
  }
}

/**
 * The bytes of a regular file, or of what a link leads to.
 * @param most bytes; a longer file is not read at all
 * @param refuse says why the file is not to be read, by its owner and mode
 * @throws FileNotRead
 */
export const readRegularFile = (
  path: string,
  most: number,
  refuse: (status: Stats) => string | undefined = () => undefined
): Buffer<ArrayBuffer> => {
  try {
    // Without O_NONBLOCK opening a pipe waits for its writer.
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
    try {
      const status = fstatSync(descriptor)
      if (status.isDirectory()) throw new FileNotRead(path, "EISDIR")
      if (!status.isFile()) throw new FileNotRead(path, "a pipe, socket or device and no regular file")
      const refusal = refuse(status)
      if (refusal !== undefined) throw new FileNotRead(path, refusal)
      if (status.size > most) throw new FileNotRead(path, `${status.size} bytes, more than ${most}`)
      return readFileSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    throw error instanceof FileNotRead ? error : new FileNotRead(path, errnoName(error))
  }
}

/** All that comes from a pipe whose writer is known to be there: what a shell hands over by its descriptor. Waits for its end. */
export const readWholePipe = (path: string): Buffer<ArrayBuffer> => readFileSync(path)
