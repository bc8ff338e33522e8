/**
 * The boundary check: imports run services → adapters → model → pure, and nowhere else (docs/architecture.md).
 *
 * It reads every TypeScript file of libs/, services/ and loadtest/ and fails on: an import against the direction, a
 * relative import that leaves its package, a service importing a service, a package not declared in package.json, a
 * module of a lib that its package.json does not name as an entry, an entry that nobody imports, a forbidden word in a
 * pure lib (node:, effect, timers, Date, Math.random), a cycle between modules, a module of Node's that is costly to load
 * in what a worker or every process loads at its start, and when it found fewer modules than the tree should have: a check
 * that looked at nothing is a failure.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { dirname, join, relative, resolve, sep } from "node:path"

const root = resolve(process.argv[2] ?? join(import.meta.dirname, "../.."))
const scope = "@meridian/"

const pure = ["time", "wire", "auth", "algorithms", "protocol"]
const model = ["events", "config"]
const adapters = ["event-log", "system", "clocks", "udp", "tls", "ciphers", "xdp", "ipc"]

/** What a lib may import of ours. Pure libs are listed one by one; a model sees pure libs, an adapter model and pure. */
const mayImport: Record<string, readonly string[]> = {
  time: [],
  wire: ["time"],
  auth: ["time", "wire"],
  algorithms: ["time"],
  protocol: ["time", "wire", "auth"],
  events: ["time"],
  config: ["time", "protocol"],
  "event-log": ["system", "events", ...pure],
  system: ["config", ...pure],
  clocks: ["system", "time", "wire"],
  udp: ["system", "clocks", "config", ...pure],
  tls: ["system", "config", ...pure],
  ciphers: ["system", "clocks", ...pure],
  xdp: ["system", "clocks", "config", ...pure],
  ipc: ["system", "config", ...pure],
  testkit: [...pure, ...model, ...adapters]
}
const everyLib = [...pure, ...model, ...adapters]
/** Packages from outside that a layer may use, beyond what its package.json must declare. */
const outsideAllowed: Record<string, RegExp> = {
  pure: /^@noble\/ciphers\//,
  model: /^effect\//,
  adapter: /^(?:effect\/|node:|@nats-io\/|@noble\/ciphers\/|pino$)/
}
const testOnly = /^(?:vitest|fast-check|@effect\/vitest|node:|effect|vite)/
const impureWords =
  /\b(?:Date\.now|new Date\b|Math\.random|setTimeout|setInterval|setImmediate|queueMicrotask|performance\.|process\.)/
const minimumModules = 40

/** What ends a process where a system call fails that nobody thinks of. */
const fallible = {
  words: /\bprocess\.memoryUsage\b/,
  allowed: /^libs\/system\/src\/memory\.ts$/,
  why: "throws without /proc or descriptors; use memoryUse of @meridian/system/memory"
}

/** What waits for ever for a pipe, or fills the memory from a device: everything that is read may be one. */
const unbounded = {
  /** Not where the kernel writes the file, and not where a file is made. */
  words:
    /\b(?:readFileSync\((?!["'`]\/(?:proc|sys)\/)|createReadStream\(|(?<![.\w])readFile\((?=\w+, *["'])|openSync\([^)\n]*, *(?:"r\+?"|constants\.O_RD))/,
  allowed: new Map([
    ["libs/system/src/regular-file.ts", "the one function"],
    ["libs/system/src/udp-sockets.ts", "a path of /proc, by name"],
    ["libs/system/src/process-status.ts", "a path of /proc, by number"],
    ["libs/clocks/src/clock-page.ts", "files that this process has just made"],
    ["libs/clocks/src/clock-devices.ts", "devices are what it opens, and the kernel's to answer"],
    ["libs/xdp/src/own-addresses.ts", "paths of /sys, by name"],
    ["libs/event-log/src/key-store-sqlite.ts", "the key store's own file, which SQLite has opened"],
    [
      "services/coordinator/src/cookie-key-file.ts",
      "opens without waiting and looks at what it is, for it writes there too"
    ],
    ["services/nts-ke/src/open-files.ts", "a path of /proc"]
  ]),
  why: "waits for a pipe for ever and has no bound; use readRegularFile of @meridian/system/regular-file"
}

/** What these load before their first line runs may import none of Node's modules that cost much CPU time to load; measured with Node 26.10. */
const frugal = {
  starts: new Map([
    ["services/worker/src/main.ts", "every worker"],
    ["libs/ipc/src/heartbeat.ts", "every process of a node"],
    ["services/supervisor/src/early-signals.ts", "the supervisor, before its program"]
  ]),
  costly: new Map([
    ["fs", "10 ms"],
    ["http", "50 ms"],
    ["https", "20 ms"],
    ["http2", "20 ms"],
    ["crypto", "15 ms"],
    ["tls", "15 ms"]
  ]),
  advice: "use @meridian/system/files or on-use, or import it when it is needed first"
}

interface Module {
  readonly file: string
  readonly imports: readonly string[]
  /** Those of the imports that are loaded with the module: neither types alone nor when a function asks for them. */
  readonly loads: readonly string[]
  readonly text: string
}

const problems: string[] = []
const report = (file: string, what: string): void => void problems.push(`${relative(root, file)}: ${what}`)

const walk = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory())
      return ["node_modules", "build", "fixtures", "golden"].includes(entry.name) ? [] : walk(path)
    return entry.name.endsWith(".ts") ? [path] : []
  })

const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[^:"'`])\/\/.*$/gm, "$1")

const importPattern =
  /(?:^|[;\n])\s*(?:import|export)\s(?:[^"'`;]*?\sfrom\s*)?["']([^"']+)["']|\bimport(?:\.meta\.resolve)?\(\s*["']([^"']+)["']\s*\)/g

const read = (file: string): Module => {
  const text = withoutComments(readFileSync(file, "utf8"))
  const found = [...text.matchAll(importPattern)]
  const imports = found.map((match) => match[1] ?? match[2] ?? "")
  const loads = found.flatMap(([all, specifier]) =>
    specifier === undefined || /^\W*(?:import|export)\s+type\b/.test(all) ? [] : [specifier]
  )
  return { file, imports, loads, text }
}

const manifestOf = (packageFolder: string): Record<string, Record<string, string>> =>
  JSON.parse(readFileSync(join(packageFolder, "package.json"), "utf8"))

const declared = (packageFolder: string): ReadonlySet<string> => {
  const manifest = manifestOf(packageFolder)
  return new Set([...Object.keys(manifest["dependencies"] ?? {}), ...Object.keys(manifest["devDependencies"] ?? {})])
}

const packageOf = (specifier: string): string => {
  const parts = specifier.split("/")
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] ?? "")
}

/** What may be imported of each lib, by the specifier that does, and what nobody has imported yet. */
const entries = new Map<string, string>()
const unused = new Set<string>()
for (const lib of readdirSync(join(root, "libs"))) {
  const folder = join(root, "libs", lib)
  for (const [entry, file] of Object.entries(manifestOf(folder)["exports"] ?? {})) {
    const specifier = `${scope}${lib}${entry.slice(1)}`
    entries.set(specifier, join(folder, file))
    unused.add(specifier)
    if (!existsSync(join(folder, file)))
      report(
        join(folder, "package.json"),
        `exports ${entry} as ${file}, which is not there; name each entry and its file`
      )
  }
}

const layerOf = (lib: string): "pure" | "model" | "adapter" | "test" =>
  pure.includes(lib) ? "pure" : model.includes(lib) ? "model" : adapters.includes(lib) ? "adapter" : "test"

const checkModule = (module: Module, kind: "libs" | "services", name: string): void => {
  const folder = join(root, kind, name)
  const isTest = relative(folder, module.file).startsWith(`test${sep}`)
  const isSource = relative(folder, module.file).startsWith(`src${sep}`)
  const known = declared(folder)
  const layer = kind === "libs" ? layerOf(name) : "service"
  for (const specifier of module.imports) {
    if (specifier.startsWith(".")) {
      const target = resolve(dirname(module.file), specifier)
      const inWorkspaceTools = target.startsWith(join(root, "infra") + sep) && !isSource
      if (!target.startsWith(folder + sep) && !inWorkspaceTools)
        report(module.file, `relative import ${specifier} leaves its package; import ${scope}… instead`)
      continue
    }
    if (specifier.startsWith(scope)) {
      const other = packageOf(specifier).slice(scope.length)
      const isLib = existsSync(join(root, "libs", other))
      if (other !== name) unused.delete(specifier)
      if (!isLib) report(module.file, `${specifier}: no service may be imported`)
      else if (!entries.has(specifier))
        report(module.file, `${specifier}: not an entry of ${other}; those that it has stand in its package.json`)
      else if (other === "testkit" && !isTest && name !== "testkit")
        report(module.file, `${specifier}: only tests import testkit`)
      else if (isTest) continue
      else if (kind === "libs" && other !== name && !(mayImport[name] ?? []).includes(other))
        report(
          module.file,
          `${specifier}: ${name} may import only ${(mayImport[name] ?? []).join(", ") || "nothing of ours"}`
        )
      else if (kind === "services" && !everyLib.includes(other)) report(module.file, `${specifier}: not a lib`)
      if (!isTest && other !== name && !known.has(scope + other))
        report(module.file, `${scope}${other} is not declared in its package.json`)
      continue
    }
    if (!isSource && testOnly.test(specifier)) continue
    if (layer !== "service" && layer !== "test") {
      const allowed = outsideAllowed[layer]
      if (isSource && allowed !== undefined && !allowed.test(specifier))
        report(module.file, `${specifier}: not allowed in the ${layer} layer`)
    }
    if (!specifier.startsWith("node:") && isSource && !known.has(packageOf(specifier)))
      report(module.file, `${packageOf(specifier)} is not declared in its package.json`)
  }
  if (isSource && layer !== "test" && !fallible.allowed.test(relative(root, module.file))) {
    const found = fallible.words.exec(module.text)
    if (found !== null) report(module.file, `${found[0]}: ${fallible.why}`)
  }
  if (isSource && layer !== "test" && !unbounded.allowed.has(relative(root, module.file))) {
    const found = unbounded.words.exec(module.text)
    if (found !== null) report(module.file, `${found[0]}: ${unbounded.why}`)
  }
  const impure = layer === "pure" && isSource ? impureWords.exec(module.text) : null
  if (impure !== null) report(module.file, `${impure[0]}: pure code takes time and randomness as arguments`)
}

const resolveImport = (module: Module, specifier: string): string | undefined => {
  if (specifier.startsWith(".")) return resolve(dirname(module.file), specifier)
  if (!specifier.startsWith(scope)) return undefined
  return entries.get(specifier)
}

const checkCycles = (modules: readonly Module[]): void => {
  const byFile = new Map(modules.map((module) => [module.file, module]))
  const done = new Set<string>()
  const visit = (module: Module, path: readonly string[]): void => {
    if (done.has(module.file)) return
    const start = path.indexOf(module.file)
    if (start >= 0) {
      report(
        module.file,
        `import cycle: ${[...path.slice(start), module.file].map((file) => relative(root, file)).join(" → ")}`
      )
      return
    }
    for (const specifier of module.imports) {
      const next = byFile.get(resolveImport(module, specifier) ?? "")
      if (next !== undefined) visit(next, [...path, module.file])
    }
    done.add(module.file)
  }
  for (const module of modules) visit(module, [])
}

/** Follows what is loaded from the frugal starts on, and names the way to each costly module. */
const checkStarts = (modules: readonly Module[]): void => {
  const byFile = new Map(modules.map((module) => [module.file, module]))
  const seen = new Set<string>()
  const follow = (file: string, path: readonly string[], who: string): void => {
    const module = byFile.get(file)
    if (module === undefined || seen.has(file)) return
    seen.add(file)
    const way = [...path, relative(root, file)]
    for (const specifier of module.loads) {
      const cost = frugal.costly.get(specifier.replace(/^node:/, ""))
      if (cost !== undefined)
        report(file, `${specifier} costs ${who} ${cost} of CPU time (${way.join(" → ")}); ${frugal.advice}`)
      else follow(resolveImport(module, specifier) ?? "", way, who)
    }
  }
  for (const [start, who] of frugal.starts) {
    const file = join(root, start)
    if (byFile.has(file)) follow(file, [], who)
    else report(file, "is not there, though what it loads is to be checked; name what has taken its place")
  }
}

const modules: Module[] = []
for (const kind of ["libs", "services"] as const)
  for (const name of readdirSync(join(root, kind)).filter((entry) => statSync(join(root, kind, entry)).isDirectory()))
    for (const file of walk(join(root, kind, name))) {
      const module = read(file)
      modules.push(module)
      checkModule(module, kind, name)
    }
checkCycles(modules)
checkStarts(modules)
for (const tools of ["infra", "loadtest"].map((name) => join(root, name)).filter(existsSync))
  for (const specifier of walk(tools).flatMap((file) => read(file).imports)) unused.delete(specifier)
for (const specifier of unused)
  report(join(root, "libs"), `${specifier} is an entry that nobody imports: take it out of its package.json`)
const imports = modules.reduce((sum, module) => sum + module.imports.length, 0)
if (modules.length < minimumModules || imports < modules.length)
  problems.push(
    `only ${modules.length} modules with ${imports} imports were found; at least ${minimumModules} are expected`
  )

for (const problem of problems) console.error(`boundaries: ${problem}`)
console.log(`boundaries: ${modules.length} modules, ${imports} imports, ${problems.length} problems`)
process.exitCode = problems.length === 0 ? 0 : 1
