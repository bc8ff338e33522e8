/**
 * Shows that tests find the fault they are there for: runs today's test files on the sources of the revision before the
 * fault was mended, where every case has to fail by its own assertion.
 *
 *     npx node infra/workspace/former.ts [--json]
 *
 * Exit code 0 when every case failed, 1 when one passed or could not be run, 2 when the history has no such revision.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, mkdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"

interface Fault {
  /** The package whose tests they are. */
  readonly lib: string
  readonly files: ReadonlyArray<string>
  /** The last revision with the fault. */
  readonly before: string
}

const FAULTS: ReadonlyArray<Fault> = [
  {
    lib: "libs/algorithms",
    files: ["causes.test.ts"],
    before: "53b4ed89c230cbb0ec86db140348cc026f30e9d0"
  }
]

/** The part of vitest's JSON report that is read here. */
interface Report {
  readonly testResults: ReadonlyArray<{
    readonly message: string
    readonly assertionResults: ReadonlyArray<{
      readonly fullName: string
      readonly status: string
      readonly failureMessages?: ReadonlyArray<string>
    }>
  }>
}

interface Case {
  readonly name: string
  /** `failed` is what is wanted: the test's own assertion did not hold. */
  readonly outcome: "failed" | "passed" | "could not be run"
  /** What was expected and found, of a case that failed. */
  readonly why: string
}

const root = join(import.meta.dirname, "../..")
const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } })

/** Lays the package's sources as they were, with today's tests beside them, where packages are found as from here. */
const layOut = ({ lib, before }: Fault): string => {
  const place = join(root, ".meridian/former", before, lib)
  rmSync(place, { recursive: true, force: true })
  mkdirSync(place, { recursive: true })
  const sources = execFileSync("git", ["archive", `${before}:${lib}`, "src"], { cwd: root, maxBuffer: 2 ** 26 })
  execFileSync("tar", ["-x", "-C", place], { input: sources })
  cpSync(join(root, lib, "test"), join(place, "test"), { recursive: true })
  cpSync(join(root, lib, "package.json"), join(place, "package.json"))
  return place
}

const casesOf = (fault: Fault): ReadonlyArray<Case> => {
  const place = layOut(fault)
  const report = join(place, "report.json")
  const { stderr } = spawnSync(
    "vitest",
    ["run", "--root", place, "--reporter=json", `--outputFile=${report}`, ...fault.files.map((it) => `test/${it}`)],
    { cwd: place, encoding: "utf8" }
  )
  const { testResults } = JSON.parse(readFileSync(report, "utf8")) as Report
  if (testResults.length < fault.files.length) throw new Error(`vitest ran not every file: ${stderr}`)
  return testResults.flatMap(({ message, assertionResults }): ReadonlyArray<Case> => {
    if (assertionResults.length === 0) return [{ name: fault.lib, outcome: "could not be run", why: message }]
    return assertionResults.map(({ fullName, status, failureMessages }) => {
      const why = failureMessages?.[0]?.split("\n")[0] ?? ""
      if (status === "passed") return { name: fullName, outcome: "passed", why: "" }
      return { name: fullName, outcome: why.startsWith("AssertionError: ") ? "failed" : "could not be run", why }
    })
  })
}

const missing = FAULTS.find(
  ({ before }) => spawnSync("git", ["cat-file", "-e", `${before}^{commit}`], { cwd: root }).status !== 0
)
if (missing !== undefined) {
  console.error(`former: ${missing.before} is not in this clone's history; clone without --depth`)
  process.exit(2)
}
const found = FAULTS.map((fault) => ({ ...fault, cases: casesOf(fault) }))
if (values.json) console.log(JSON.stringify(found))
else
  for (const { lib, before, cases } of found) {
    console.log(`${lib} as of ${before.slice(0, 8)}, with today's tests:`)
    for (const { name, outcome, why } of cases)
      console.log(`  ${outcome === "failed" ? "fails, as it should" : outcome.toUpperCase()}: ${name}\n    ${why}`)
  }
process.exitCode = found.every(({ cases }) => cases.every(({ outcome }) => outcome === "failed")) ? 0 : 1
