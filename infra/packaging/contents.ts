/** What a package holds beside its programs ({@link bundlePrograms}): the packages, the image and the tarball are laid out from it. */
import { cpSync, existsSync, globSync, mkdirSync, readdirSync, readFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"

const root = join(import.meta.dirname, "../..")
const SCOPE = "@meridian/"
/** Ours, but for tests alone. */
const NOT_SHIPPED = ["testkit"]
/** Of each of our packages: the rest of `src` is in the programs. */
const SHIPPED = ["package.json", "src/page", "bin", "build/meridian.node", "object"]
const LICENSE = /^(?:licen[cs]e|notice)(?:\.|$)/i

interface Manifest {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
}

const manifest = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest

/** Our own packages, as folders relative to the root. */
const ownPackages = (): readonly string[] =>
  globSync("{libs,services}/*/package.json", { cwd: root })
    .map((file) => dirname(file))
    .filter((folder) => !NOT_SHIPPED.includes(basename(folder)))
    .sort()

/** The names of all packages from outside that ours load, directly or not. */
const outsidePackages = (): readonly string[] => {
  const found = new Set<string>()
  const visit = (folder: string): void => {
    for (const name of Object.keys(manifest(folder).dependencies ?? {})) {
      if (name.startsWith(SCOPE) || found.has(name)) continue
      found.add(name)
      visit(join(root, "node_modules", name))
    }
  }
  for (const own of ownPackages()) visit(join(root, own))
  return [...found].sort()
}

/** What others' code in the programs asks to be told along with it. */
const layLicenses = (target: string): void => {
  for (const name of outsidePackages()) {
    const folder = join(root, "node_modules", name)
    const files = readdirSync(folder).filter((file) => LICENSE.test(file))
    if (files.length === 0) throw new Error(`${name} has no file that says under what licence it is`)
    const place = join(target, "licenses", name)
    mkdirSync(place, { recursive: true })
    for (const file of files) cpSync(join(folder, file), join(place, file))
  }
}

/** Lays out below a folder what programs find there: libs, services, licenses. The addon is there where it was built. */
export const layOut = (target: string): void => {
  for (const own of ownPackages())
    for (const part of SHIPPED) {
      const from = join(root, own, part)
      if (existsSync(from)) cpSync(from, join(target, own, part), { recursive: true })
    }
  layLicenses(target)
  cpSync(join(root, "LICENSE"), join(target, "LICENSE"))
}
