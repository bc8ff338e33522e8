/**
 * How large the tree is and how its parts hang together: `npx node infra/workspace/structure.ts` prints a table, of another checkout
 * with its folder as argument. `--check` fails where docs/architecture.md gives another number of files for a package or names a
 * file that is not there, or where a file of source is longer than 400 lines; `--mend` writes the numbers, those of the whole tree too.
 */
import { existsSync, globSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"

const flags = process.argv.slice(2)
const root = resolve(flags.find((word) => !word.startsWith("-")) ?? join(import.meta.dirname, "../.."))
const LONGEST = 400
const MAP = join(root, "docs/architecture.md")

interface Package {
  /** As in `libs/time`. */
  readonly place: string
  readonly typescript: readonly string[]
  readonly native: readonly string[]
}

const packages: readonly Package[] = ["libs", "services"].flatMap((kind) =>
  readdirSync(join(root, kind))
    .filter((name) => statSync(join(root, kind, name)).isDirectory())
    .toSorted()
    .map((name) => ({
      place: `${kind}/${name}`,
      typescript: globSync("src/**/*.ts", { cwd: join(root, kind, name) }).map((file) => join(root, kind, name, file)),
      native: globSync("native/**/*.{c,h}", { cwd: join(root, kind, name) }).map((file) => join(root, kind, name, file))
    }))
)

const linesOf = (file: string): number => readFileSync(file, "utf8").split("\n").length - 1
const sum = (files: readonly string[]): number => files.reduce((lines, file) => lines + linesOf(file), 0)

const IMPORT = /\bfrom "@meridian\/([a-z0-9-]+)(\/[^"]+)?"/g

/** `from → to` of packages, and of a module and an entry of another package. */
const pairs = (): readonly [packages: number, modules: number] => {
  const [betweenPackages, betweenModules] = [new Set<string>(), new Set<string>()]
  for (const { place, typescript } of packages)
    for (const file of typescript)
      for (const [, to = "", entry = ""] of readFileSync(file, "utf8").matchAll(IMPORT)) {
        if (place.endsWith(`/${to}`)) continue
        betweenPackages.add(`${place} ${to}`)
        betweenModules.add(`${file} ${to}${entry}`)
      }
  return [betweenPackages.size, betweenModules.size]
}

/** The modules of a lib that others may import, by specifier; where a lib lets them import every one, every one. */
const entries = new Map<string, string>()
for (const { place, typescript } of packages.filter((each) => each.place.startsWith("libs/"))) {
  const folder = join(root, place)
  const named: Record<string, string> = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).exports
  const all = typescript.map((file) => [`./${relative(join(folder, "src"), file).slice(0, -3)}`, file] as const)
  for (const [name, file] of "./*" in named ? all : Object.entries(named))
    entries.set(`@meridian/${place.slice(5)}${name.slice(1)}`, resolve(folder, file))
}

/** Modules of ours that a process has loaded when its main module runs: imports of types load nothing. */
const loadedBy = (main: string, loaded = new Set<string>()): number => {
  loaded.add(main)
  const imported = /^(?:import|export) (?!type )(?:[^"';]*? from )?"([^"]+)"/gm
  for (const [, specifier = ""] of readFileSync(main, "utf8").matchAll(imported)) {
    const file = specifier.startsWith(".") ? resolve(dirname(main), specifier) : entries.get(specifier)
    if (file !== undefined && existsSync(file) && !loaded.has(file)) loadedBy(file, loaded)
  }
  return loaded.size
}

const RUN = 6
/** Runs of six lines or more that stand in two places, comments, imports and lone punctuation aside. */
const duplicates = (files: readonly string[]): number => {
  const places = new Map<string, (readonly [lines: readonly string[], at: number])[]>()
  for (const file of files) {
    const text = readFileSync(file, "utf8").replaceAll(/\/\*[^]*?\*\/|^import [^"]*"[^"]*"$|\/\/.*$/gm, "")
    const lines = text.split("\n").flatMap((line) => (/\w/.test(line) ? [line.trim()] : []))
    for (let at = 0; at + RUN <= lines.length; at += 1) {
      const run = lines.slice(at, at + RUN).join("\n")
      places.set(run, [...(places.get(run) ?? []), [lines, at]])
    }
  }
  let count = 0
  for (const same of places.values())
    for (const [first, [one, at]] of same.entries())
      for (const [other, there] of same.slice(first + 1)) {
        // A longer run is counted where it begins.
        if (at === 0 || there === 0 || one[at - 1] !== other[there - 1]) count += 1
      }
  return count
}

/** Files that the numbered steps of a section of the map name: what a packet or an event meets on its way. */
const filesOnTheWay = (section: string): number => {
  const text = existsSync(MAP) ? readFileSync(MAP, "utf8") : ""
  const steps = (text.split(`## ${section}\n`)[1] ?? "").split("\n## ")[0]!.match(/^(?:\d+\.|  ) .*$/gm) ?? []
  return new Set(steps.join("\n").match(/(?<=[`/])[a-z0-9-]+\.(?:ts|c)(?=`)/g)).size
}

const tests = ["libs", "services"].flatMap((kind) =>
  globSync(`${kind}/*/test/**/*.ts`, { cwd: root, exclude: (name) => String(name) === "node_modules" }).map((file) =>
    join(root, file)
  )
)
const typescript = packages.flatMap((each) => each.typescript)
const native = packages.flatMap((each) => each.native)
const [packagePairs, modulePairs] = pairs()

const rows: readonly (readonly [string, number])[] = [
  ["packages", packages.length],
  ["files of TypeScript", typescript.length],
  ["lines of TypeScript", sum(typescript)],
  ["files of C", native.length],
  ["lines of C", sum(native)],
  ["files of tests", tests.length],
  ["lines of tests", sum(tests)],
  ["modules that libs let others import", entries.size],
  ["pairs of packages, one importing the other", packagePairs],
  ["pairs of modules of two packages", modulePairs],
  ["modules that a worker has loaded when it starts", loadedBy(join(root, "services/worker/src/main.ts"))],
  ["runs of six lines or more that stand twice, in sources", duplicates([...typescript, ...native])],
  ["the same, in tests", duplicates(tests)],
  ["files that a packet's way names", filesOnTheWay("A packet's way")],
  ["files that an event's way names", filesOnTheWay("An event's way")],
  [`files over ${LONGEST} lines`, [...typescript, ...native].filter((file) => linesOf(file) > LONGEST).length]
]

/** `| `libs/time` | pure | 6 | …` and `8 and 7 of C`. */
const ROW = /^(\| `((?:libs|services)\/[a-z0-9-]+)` \| [a-z]+ \| )([^|]+?)( \|)/gm
const countOf = ({ typescript: files, native: inC }: Package): string =>
  inC.length === 0 ? String(files.length) : `${files.length} and ${inC.length} of C`

const problems: string[] = []
const checked = (text: string): string =>
  text.replaceAll(ROW, (row, before: string, place: string, count: string, after: string) => {
    const found = packages.find((each) => each.place === place)
    if (found === undefined) problems.push(`docs/architecture.md names ${place}, which is not there`)
    else if (countOf(found) !== count)
      problems.push(`docs/architecture.md gives ${place} ${count} files; there are ${countOf(found)}`)
    return found === undefined ? row : `${before}${countOf(found)}${after}`
  })

/** `| packages | 17 | 26 |`: the last column is now. */
const FIGURE = /^(\| ([^|]+) \| [^|]+ \| )[\d,]+( \|)$/gm
const counted = (text: string): string =>
  text.replaceAll(FIGURE, (row, before: string, what: string, after: string) => {
    const count = rows.find(([name]) => name === what)?.[1]
    return count === undefined ? row : `${before}${count.toLocaleString("en")}${after}`
  })

if (flags.includes("--check") || flags.includes("--mend")) {
  const text = existsSync(MAP) ? readFileSync(MAP, "utf8") : ""
  const mended = checked(text)
  const named = new Set([...text.matchAll(ROW)].map(([, , place]) => place))
  for (const [, file = ""] of text.matchAll(/`((?:libs|services|infra)\/[a-z0-9./-]+\.(?:ts|c|h))`/g))
    if (!existsSync(join(root, file))) problems.push(`docs/architecture.md names ${file}, which is not there`)
  for (const { place } of packages)
    if (place.startsWith("libs/") && !named.has(place)) problems.push(`docs/architecture.md does not name ${place}`)
  if (flags.includes("--mend")) writeFileSync(MAP, counted(mended))
  else {
    for (const file of [...typescript, ...native])
      if (linesOf(file) > LONGEST)
        problems.push(`${relative(root, file)} has ${linesOf(file)} lines: divide it by purpose`)
    for (const problem of problems) console.error(`structure: ${problem}; mend it (counts by --mend)`)
    process.exitCode = problems.length === 0 ? 0 : 1
  }
} else for (const [what, count] of rows) console.log(`${String(count).padStart(7)}  ${what}`)
