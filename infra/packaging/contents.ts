/** What a node needs at run time, as one list: the packages, the image and the tarball are laid out from it. */
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, symlinkSync } from "node:fs"
import { basename, dirname, join, relative } from "node:path"

const root = join(import.meta.dirname, "../..")
const SCOPE = "@meridian/"
/** Ours, but for tests alone. */
const NOT_SHIPPED = ["testkit"]
/** What packages carry for people who program with them. */
const FOR_DEVELOPERS =
  /\.(?:d\.[cm]?ts|map|md|flow)$|\/(?:test|tests|bench|benchmarks|docs|examples?|ai-docs|\.github)(?:\/|$)/

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

/** Copies a folder without what only developers read; `keep` decides by the path inside of it. */
const copy = (from: string, to: string, keep: (path: string) => boolean): void =>
  cpSync(from, to, {
    recursive: true,
    dereference: false,
    filter: (source) => source === from || keep(`/${relative(from, source)}`)
  })

/**
 * Lays the program out below a folder: libs, services, node_modules. Nothing in it is compiled here but the addon, which is
 * there where it was built.
 */
export const layOut = (target: string): void => {
  mkdirSync(join(target, "node_modules", SCOPE), { recursive: true })
  for (const own of ownPackages()) {
    for (const part of ["package.json", "src", "bin", "build/meridian.node", "object"]) {
      const from = join(root, own, part)
      if (existsSync(from)) copy(from, join(target, own, part), () => true)
    }
    symlinkSync(join("../..", own), join(target, "node_modules", manifest(join(root, own)).name))
  }
  for (const name of outsidePackages())
    copy(join(root, "node_modules", name), join(target, "node_modules", name), (path) =>
      name === "effect" ? !path.startsWith("/src") && !FOR_DEVELOPERS.test(path) : !FOR_DEVELOPERS.test(path)
    )
  cpSync(join(root, "LICENSE"), join(target, "LICENSE"))
}
