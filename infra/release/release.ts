/**
 * `npm run release -- VERSION [--dry-run]`: sets the version everywhere, dates the changelog, commits and tags. Pushing and
 * publishing are left to a person, who runs `npm run check` and `npm run package` on the tag first.
 *
 * Exit codes: 0 done, 1 refused, 2 wrong arguments.
 */
import { spawnSync } from "node:child_process"
import { globSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { isLater, isVersion, released, ReleaseRefused, unreleased } from "./changelog.ts"
import { type Lock, lockAt } from "./lock.ts"

const root = join(import.meta.dirname, "../..")
const args = process.argv.slice(2)
const isDry = args.includes("--dry-run")
const [version = "", ...more] = args.filter((arg) => arg !== "--dry-run")

const git = (...words: readonly string[]): string => {
  const { status, stdout, stderr } = spawnSync("git", words, { cwd: root, encoding: "utf8" })
  if (status === 0) return stdout.trim()
  throw new ReleaseRefused(`git ${words[0] ?? ""} failed: ${stderr.trim()}`)
}

const manifests = (): readonly string[] => [
  "package.json",
  ...globSync(["libs/*/package.json", "services/*/package.json"], { cwd: root }).toSorted()
]

/** The first `"version"` of a manifest; nothing else in it is touched. */
const setVersion = (file: string): void => {
  const path = join(root, file)
  writeFileSync(path, readFileSync(path, "utf8").replace(/("version": ")[^"]+(")/, `$1${version}$2`))
}

const setLock = (): void => {
  const path = join(root, "package-lock.json")
  const lock = JSON.parse(readFileSync(path, "utf8")) as Lock
  writeFileSync(path, `${JSON.stringify(lockAt(lock, version), null, 2)}\n`)
}

const release = (): void => {
  const last = (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version
  if (!isLater(version, last)) throw new ReleaseRefused(`expected a version after ${last}, found ${version}`)
  if (git("tag", "--list", `v${version}`) !== "") throw new ReleaseRefused(`there is a tag v${version} already`)
  if (git("status", "--porcelain") !== "")
    throw new ReleaseRefused("the work tree has changes: commit or put them away")
  const path = join(root, "CHANGELOG.md")
  const changelog = readFileSync(path, "utf8")
  const date = new Date().toISOString().slice(0, 10)
  const text = released(changelog, version, date)
  if (isDry) {
    process.stdout.write(
      `${last} -> ${version} (${date}), ${manifests().length} manifests\n\n${unreleased(changelog)}\n`
    )
    return
  }
  writeFileSync(path, text)
  for (const file of manifests()) setVersion(file)
  setLock()
  git("commit", "--all", "--quiet", "--message", `Release ${version}`)
  git("tag", "--annotate", `v${version}`, "--message", `Meridian ${version}`)
  process.stdout.write(`tagged v${version}; run npm run check and npm run package on it, then push it\n`)
}

if (!isVersion(version) || more.length > 0) {
  process.stderr.write("npm run release -- VERSION [--dry-run], where VERSION is as 1.2.3\n")
  process.exit(2)
}
try {
  release()
} catch (error) {
  if (!(error instanceof ReleaseRefused)) throw error
  process.stderr.write(`release: ${error.message}\n`)
  process.exit(1)
}
