/** Key files of ntp-keygen and ntpkeygen in one directory: found by their links, written whole and never over another file. */
import {
  closeSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "@meridian/system/files"
import { join } from "node:path"
import { type AutokeyFile, readAutokeyFile } from "@meridian/auth/autokey/key-file"
import { reasonOf } from "@meridian/system/errno-words"
import { errnoName } from "@meridian/system/native"
import { FileNotRead, readRegularFile } from "@meridian/system/regular-file"

/** A file that cannot be read or written; the message is one line for a person. */
export class KeyFileTrouble extends Error {
  readonly _tag = "KeyFileTrouble"
}

const LONGEST_FILE = 1024 * 1024

export class KeyDirectory {
  private readonly path: string
  private readonly mode: number

  /** @param mode of the files that are written */
  constructor(path: string, mode: number) {
    this.path = path
    this.mode = mode
  }

  /** The file behind a link or a name; undefined when there is none. Throws {@link KeyFileTrouble}. */
  read(name: string): (AutokeyFile & { readonly target: string }) | undefined {
    const path = join(this.path, name)
    let text: string
    try {
      text = readRegularFile(path, LONGEST_FILE).toString("utf8")
    } catch (error) {
      if (!(error instanceof FileNotRead)) throw error
      if (error.reason === "ENOENT") return undefined
      throw new KeyFileTrouble(`cannot read ${path}: ${error.why}`)
    }
    const file = readAutokeyFile(text)
    if (typeof file === "string") throw new KeyFileTrouble(`${path}: expected ${file}; it is no file of ntp-keygen`)
    return { ...file, target: this.targetOf(name) ?? name }
  }

  private targetOf(name: string): string | undefined {
    try {
      return readlinkSync(join(this.path, name))
    } catch {
      return undefined
    }
  }

  /** Whether anything bears the name, a dangling link included. */
  has(name: string): boolean {
    return lstatSync(join(this.path, name), { throwIfNoEntry: false }) !== undefined
  }

  /**
   * Writes a new file whole, then points the links at it. Throws {@link KeyFileTrouble}; where the first link could not be made there is no
   * file either.
   */
  write(name: string, text: string, links: readonly string[]): void {
    const path = join(this.path, name)
    for (const link of links) this.refuseFile(link)
    try {
      placeFile(path, text, this.mode)
    } catch (error) {
      const again = errnoName(error) === "EEXIST" ? "; wait a second and try again" : ""
      throw new KeyFileTrouble(`cannot write ${path}: ${reasonOf(error)}${again}`)
    }
    for (const [index, link] of links.entries()) {
      try {
        this.link(link, name)
      } catch (error) {
        if (index === 0) rmSync(path, { force: true })
        throw error
      }
    }
  }

  /** A file of a link's name was put there by somebody; it is not ours to replace. */
  private refuseFile(link: string): void {
    const path = join(this.path, link)
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found !== undefined && !found.isSymbolicLink())
      throw new KeyFileTrouble(`${path} is there and no soft link; move it away first, it may hold keys in use`)
  }

  /** A link cannot be changed in place; renaming a new one over it leaves no moment without. */
  private link(link: string, target: string): void {
    const path = join(this.path, link)
    const passing = `${path}.${process.pid}`
    try {
      symlinkSync(target, passing)
      renameSync(passing, path)
    } catch (error) {
      rmSync(passing, { force: true })
      throw new KeyFileTrouble(`cannot write ${path}: ${reasonOf(error)}`)
    }
  }
}

/** Written under a passing name, then linked to the proper one: link(2) refuses where rename(2) would replace. */
const placeFile = (path: string, text: string, mode: number): void => {
  const passing = `${path}.${process.pid}`
  const descriptor = openSync(passing, "wx", mode)
  try {
    writeFileSync(descriptor, text)
    fsyncSync(descriptor)
    linkSync(passing, path)
  } finally {
    closeSync(descriptor)
    rmSync(passing, { force: true })
  }
}
