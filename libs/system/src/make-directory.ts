import { existsSync, mkdirSync, statSync } from "./files.ts"
import { dirname } from "node:path"

/**
 * Makes a directory, and those above it that are not there. Node's own way never comes back where the system will not have a directory below
 * one that is there, as in /proc.
 * @throws ErrnoException where it cannot be made, or something else has its name
 */
export const makeDirectory = (path: string, mode: number): void => {
  try {
    mkdirSync(path, { mode })
    return
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === "EEXIST") {
      if (statSync(path).isDirectory()) return
      throw Object.assign(new Error(`${path} is no directory`, { cause: error }), { code: "ENOTDIR" })
    }
    if (code !== "ENOENT" || existsSync(dirname(path))) throw error
  }
  makeDirectory(dirname(path), mode)
  mkdirSync(path, { mode })
}
