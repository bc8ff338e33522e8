/** Building what is compiled at install only where something changed. Plain JavaScript, for the system's Node. */
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname } from "node:path"
import { fileURLToPath } from "node:url"

/** Whether a module is the script that was called, and not imported by another. */
export const isCalled = (url) => process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(url)

/** Everything a result depends on: words such as flags, and files. */
export const fingerprint = (words, files) => {
  const hash = createHash("sha256").update(words.join("\0"))
  for (const file of files) hash.update(`\0${basename(file)}\0`).update(readFileSync(file))
  return hash.digest("hex")
}

/** Built beside its place and renamed: a process that has the old file mapped keeps it, and none sees half a file. @param compile to a path; true where it did */
export const compileTo = (target, compile) => {
  const partial = `${target}.${process.pid}.partial`
  if (compile(partial)) {
    renameSync(partial, target)
    return true
  }
  rmSync(partial, { force: true })
  return false
}

/** Compiles unless the target is of this fingerprint. Returns whether it is there. */
export const buildOnce = (target, wanted, compile) => {
  const stamp = `${target}.sha256`
  if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return true
  mkdirSync(dirname(target), { recursive: true })
  const isBuilt = compile(target)
  if (isBuilt) writeFileSync(stamp, wanted)
  return isBuilt
}
