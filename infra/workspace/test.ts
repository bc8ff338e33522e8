/**
 * `npm test`: the boundary check, the peers that the suites talk to, every package's suite; and at the very end what
 * failed, since a failure in the first of sixteen packages has long scrolled away by then.
 *
 * Exit code 0 when all passed, else that of the step that failed.
 */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync, rmSync } from "node:fs"
import { availableParallelism } from "node:os"
import { basename, dirname, join, relative } from "node:path"
import { REPORTS, suites } from "./nx-plugin.ts"

/** The part of vitest's JSON report that is read here. */
interface Report {
  readonly testResults: ReadonlyArray<{
    readonly name: string
    /** Why the file could not be run at all; empty when its tests ran. */
    readonly message: string
    readonly assertionResults: ReadonlyArray<{
      readonly fullName: string
      readonly status: string
      readonly failureMessages?: ReadonlyArray<string>
    }>
  }>
}

/** Enough of a failure to see what was expected and where; the whole stands in the suite's own output above. */
const SHOWN_LINES = 12
const root = join(import.meta.dirname, "../..")

const step = (command: string, args: ReadonlyArray<string>, env: NodeJS.ProcessEnv = process.env) => {
  const { status } = spawnSync(command, args, { cwd: root, stdio: "inherit", env })
  return status ?? 1
}

const indented = (text: string) =>
  text
    .replaceAll(`${root}/`, "")
    .split("\n")
    .slice(0, SHOWN_LINES)
    .map((line) => `      ${line}`)
    .join("\n")

/** What failed in a suite, each as a heading and its reason; one saying so when it ended without a report. */
const failuresOf = (suite: string): ReadonlyArray<string> => {
  const file = join(root, REPORTS, `${basename(suite)}.json`)
  if (!existsSync(file)) return [`  ${suite}: ended without a report (see its output above)`]
  const { testResults } = JSON.parse(readFileSync(file, "utf8")) as Report
  return testResults.flatMap(({ name, message, assertionResults }) => {
    const failed = assertionResults.filter(({ status }) => status === "failed")
    if (failed.length === 0) return message === "" ? [] : [`  ${relative(root, name)}\n${indented(message)}`]
    return failed.map(
      ({ fullName, failureMessages }) =>
        `  ${relative(root, name)}: ${fullName}\n${indented((failureMessages ?? []).join("\n"))}`
    )
  })
}

rmSync(join(root, REPORTS), { recursive: true, force: true })
const prepared =
  step(process.execPath, ["infra/workspace/boundaries.ts"]) || step(process.execPath, ["infra/peers/fetch.ts"])
if (prepared !== 0) process.exit(prepared)
// Most suites wait for real daemons: side by side they take half as long. Without a network each they would fight for ports.
const apart = join(import.meta.dirname, "apart.sh")
const isApart = spawnSync(apart, ["true"], { stdio: "ignore" }).status === 0
const atATime = isApart ? availableParallelism() + 1 : 1
// The load generator's own suite is Go's. It fetches modules, so it needs the network that there is.
const loadGenerator = spawn(process.execPath, ["loadtest/k6/build.ts", "--check"], { cwd: root, stdio: "inherit" })
const loadGeneratorEnds = once(loadGenerator, "exit")
/** Each decoder's fuzzer for a moment; long runs are `npm run fuzz -- TARGET`. */
const fuzzing = spawn(process.execPath, ["infra/fuzz/fuzz.ts", "--all", "--seconds", "1"], {
  cwd: root,
  stdio: "inherit"
})
const fuzzingEnds = once(fuzzing, "exit")
const loadStatus = step("vitest", ["run", "--root", "loadtest", "--reporter=dot"])
const status = step("nx", ["run-many", "-t", "test", "--output-style=static", `--parallel=${atATime}`], {
  ...process.env,
  MERIDIAN_APART: isApart ? apart : ""
})
const packages = suites(root).map((file) => dirname(file))
const failures = status === 0 ? [] : packages.flatMap(failuresOf)
const [goStatus] = (await loadGeneratorEnds) as [number | null]
const [fuzzStatus] = (await fuzzingEnds) as [number | null]
const all = [
  ...failures,
  ...(goStatus === 0 ? [] : ["  loadtest/k6: go vet or go test failed (see its output above)"]),
  ...(loadStatus === 0 ? [] : ["  loadtest: what judges the load failed (see its output above)"]),
  ...(fuzzStatus === 0 ? [] : ["  infra/fuzz: an input was found (see its output above)"])
]
if (all.length > 0 || status !== 0) process.stderr.write(`\n${all.length} failed:\n\n${all.join("\n\n")}\n`)
process.exit(
  status !== 0 ? status : loadStatus !== 0 ? loadStatus : goStatus !== 0 ? (goStatus ?? 1) : (fuzzStatus ?? 1)
)
