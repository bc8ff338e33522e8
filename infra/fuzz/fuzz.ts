/**
 * `npm run fuzz -- TARGET [--seconds N] [--seed N]`: throws damaged input at one decoder, led by what its code has not been through
 * yet (Jazzer.js, which is libFuzzer for JavaScript). Without a target it names them; `--all` takes each for a moment, as `npm test` does.
 *
 * An input that breaks a target is kept in `.meridian/fuzz/found`; `npm run fuzz -- TARGET --input FILE` runs it again. Corpora grow in
 * `.meridian/fuzz/corpus`. Exit codes: 0 nothing found, 1 found, 2 wrong arguments, 3 the fuzzer cannot run here.
 */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join, relative, resolve } from "node:path"
import { parseArgs } from "node:util"

const root = join(import.meta.dirname, "../..")
const place = join(root, ".meridian/fuzz")
const targets = readdirSync(join(import.meta.dirname, "targets"))
  .filter((name) => name.endsWith(".ts"))
  .map((name) => name.slice(0, -3))
  .toSorted()

const USAGE = `npm run fuzz -- TARGET [--seconds N] [--seed N] [--input FILE], or --all [--seconds N]

targets: ${targets.join(", ")}
`

/** Jazzer.js 4's addon is built against this C library. */
const LEAST_GLIBC = 2.38
const PEERS = join(root, ".meridian/peers/trixie/usr/lib/x86_64-linux-gnu")
const CPP = "libstdc++.so.6"

/** Words before Node's that give the process a C library new enough; undefined where there is none. */
const withLibrary = (): readonly string[] | undefined => {
  const { glibcVersionRuntime } = (process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header
  if (Number(glibcVersionRuntime ?? 0) >= LEAST_GLIBC) return [process.execPath]
  const loader = join(PEERS, "ld-linux-x86-64.so.2")
  if (process.arch !== "x64" || !existsSync(loader) || !existsSync(join(PEERS, CPP))) return undefined
  return [loader, "--library-path", PEERS, process.execPath]
}

/** Installs the fuzzer beside the workspace, once. False where that cannot be done. */
const install = (): boolean => {
  const wanted = readFileSync(join(import.meta.dirname, "package-lock.json"), "utf8")
  const mark = join(place, "installed")
  if (existsSync(mark) && readFileSync(mark, "utf8") === wanted) return true
  mkdirSync(place, { recursive: true })
  for (const name of ["package.json", "package-lock.json"])
    copyFileSync(join(import.meta.dirname, name), join(place, name))
  const { status } = spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: place,
    stdio: ["ignore", "ignore", "inherit"]
  })
  if (status === 0) writeFileSync(mark, wanted)
  return status === 0
}

interface Target {
  readonly seeds: (root: string) => readonly Uint8Array[]
}

/** Puts the target's seeds into its corpus. Returns the folder. */
const plant = async (name: string): Promise<string> => {
  const folder = join(place, "corpus", name)
  mkdirSync(folder, { recursive: true })
  const { seeds } = (await import(`./targets/${name}.ts`)) as Target
  for (const seed of seeds(root)) writeFileSync(join(folder, createHash("sha1").update(seed).digest("hex")), seed)
  return folder
}

interface Run {
  readonly name: string
  readonly command: readonly string[]
  readonly limits: readonly string[]
  readonly input: string | undefined
  readonly isQuiet: boolean
}

/** True where nothing was found. */
const run = async ({ name, command, limits, input, isQuiet }: Run): Promise<boolean> => {
  const corpus = input === undefined ? await plant(name) : resolve(input)
  const found = join(place, "found", `${name}-`)
  mkdirSync(join(place, "found"), { recursive: true })
  const [program = "", ...words] = command
  const said = spawnSync(
    program,
    [
      ...words,
      "--disable-warning=DEP0205",
      "--import",
      join(import.meta.dirname, "strip-types.mjs"),
      join(place, "node_modules/@jazzer.js/core/dist/cli.js"),
      relative(place, join(import.meta.dirname, "entry.mjs")),
      "--sync",
      "--includes=/libs/",
      "--excludes=node_modules",
      "--disable_bug_detectors=.*",
      corpus,
      "--",
      `-artifact_prefix=${found}`,
      // Of one input: what never ends is found, and a process that others keep waiting is not taken for it.
      "-timeout=60",
      ...limits
    ],
    {
      cwd: place,
      encoding: "utf8",
      maxBuffer: 256 * 1024 * 1024,
      stdio: isQuiet ? ["ignore", "pipe", "pipe"] : "inherit",
      env: { ...process.env, MERIDIAN_FUZZ_TARGET: name }
    }
  )
  if (isQuiet) {
    const text = `${said.stdout}${said.stderr}`
    const covered = [...text.matchAll(/cov: (\d+)/g)].at(-1)?.[1] ?? "?"
    const done = /Done (\d+) runs/.exec(text)?.[1] ?? "?"
    process.stdout.write(`fuzz ${name.padEnd(12)} ${done.padStart(8)} inputs  ${covered.padStart(5)} branches\n`)
    if (said.status !== 0) process.stdout.write(text)
  }
  return said.status === 0
}

const parse = () => {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        all: { type: "boolean", default: false },
        seconds: { type: "string" },
        seed: { type: "string" },
        input: { type: "string" },
        help: { type: "boolean", default: false }
      }
    })
  } catch (error) {
    process.stderr.write(`fuzz: ${(error as Error).message}\n${USAGE}`)
    return process.exit(2)
  }
}

const { values, positionals } = parse()
const [target, ...more] = positionals
const isNumber = (text: string | undefined): boolean => text === undefined || /^\d{1,9}$/.test(text)
if (values.help || (target === undefined && !values.all)) {
  process.stdout.write(USAGE)
  process.exit(values.help ? 0 : 2)
}
if (
  more.length > 0 ||
  !isNumber(values.seconds) ||
  !isNumber(values.seed) ||
  (target !== undefined && !targets.includes(target))
) {
  process.stderr.write(`fuzz: expected one of the targets and whole numbers\n${USAGE}`)
  process.exit(2)
}
if (values.input !== undefined && !(existsSync(values.input) && statSync(values.input).isFile())) {
  process.stderr.write(`fuzz: there is no file ${values.input}\n`)
  process.exit(2)
}
const command = withLibrary()
if (command === undefined || !install()) {
  const why =
    command === undefined
      ? `a C library of ${LEAST_GLIBC} or later, here or below .meridian/peers`
      : "the fuzzer, from npm"
  process.stderr.write(`fuzz: left out, for want of ${why}\n`)
  process.exit(values.all ? 0 : 3)
}
const limits = [
  `-max_total_time=${values.seconds ?? (values.all ? "2" : "60")}`,
  // What `npm test` runs is the same each time; who looks for faults gives a time and no seed.
  ...(values.seed === undefined && !values.all ? [] : [`-seed=${values.seed ?? 20_261_130}`])
]
let isClean = true
for (const name of target === undefined ? targets : [target])
  isClean = (await run({ name, command, limits, input: values.input, isQuiet: values.all })) && isClean
process.exit(isClean ? 0 : 1)
