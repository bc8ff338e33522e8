/**
 * `npm run loadtest:build`: k6 with the NTP extension, built by the Go on PATH into .meridian/k6. `--check` runs go vet and
 * the extension's tests instead, and is content where there is no Go. k6 is under the AGPL: the program is built where it is
 * used and not handed on.
 */
import { spawnSync } from "node:child_process"
import { join } from "node:path"

/** Go reads `go 1.25` in go.mod and fetches nothing newer. */
const LEAST_GO = "1.25"
const folder = import.meta.dirname
const K6 = join(folder, "../../.meridian/k6")

const go = (...args: readonly string[]): number => {
  const { status } = spawnSync("go", args, {
    cwd: folder,
    stdio: "inherit",
    env: { ...process.env, CGO_ENABLED: "0", GOTOOLCHAIN: "local" }
  })
  return status ?? 1
}

const version = /go version go(\d+)\.(\d+)/.exec(spawnSync("go", ["version"], { encoding: "utf8" }).stdout ?? "")
const [major, minor] = LEAST_GO.split(".").map(Number) as [number, number]
const isThere = version !== null && (Number(version[1]) > major || Number(version[2]) >= minor)
const check = process.argv.includes("--check")

if (!isThere) {
  const found = version === null ? "none is on PATH" : `found ${version[1]}.${version[2]}`
  process.stderr.write(
    `loadtest: building k6 with NTP needs Go ${LEAST_GO} or newer; ${found}. See https://go.dev/dl/\n`
  )
  process.exitCode = check ? 0 : 1
} else if (check) process.exitCode = go("vet", "./...") || go("test", "./...")
else {
  process.stderr.write("loadtest: building k6 with k6/x/ntp; the first time it takes a minute or two …\n")
  process.exitCode = go("build", "-o", K6, ".")
  if (process.exitCode === 0) process.stderr.write("loadtest: .meridian/k6 is built\n")
}
