/** Each command of ntpq that a node answers, and the test in which three real ntpqs ask it: the same table as in docs/ntpq.md. */
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { describe, expect, it } from "vitest"

const BESIDE = "ntpq-beside.test.ts"
const DETAILS = "ntpq-details.test.ts"
const CONFIGURE = "configure-live.test.ts"

const tests: Readonly<Record<string, string>> = {
  "-p": BESIDE,
  peers: BESIDE,
  opeers: BESIDE,
  lpeers: BESIDE,
  apeers: BESIDE,
  as: BESIDE,
  rv: BESIDE,
  "rv N": DETAILS,
  "rv 0 cert": DETAILS,
  "rv N flags": DETAILS,
  cv: DETAILS,
  clocklist: DETAILS,
  sysinfo: BESIDE,
  sysstats: BESIDE,
  iostats: BESIDE,
  kerninfo: BESIDE,
  monstats: BESIDE,
  authinfo: BESIDE,
  timerstats: BESIDE,
  nts: BESIDE,
  ntsinfo: BESIDE,
  ntskeinfo: BESIDE,
  mssntpinfo: BESIDE,
  pstats: DETAILS,
  mrulist: BESIDE,
  reslist: BESIDE,
  ifstats: BESIDE,
  ":config": CONFIGURE,
  writevar: DETAILS,
  saveconfig: CONFIGURE
}

/** How a test writes it: an association is one of several, and a command stands with its arguments. */
const written = (command: string): RegExp => {
  if (command === "-p") return /"-np"|isSynchronised/
  const words = command
    .replace(" N ", " &1 ")
    .replace(" N", " &")
    .replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
  return new RegExp(`["\`]${words}`)
}

const page = readFileSync(resolve(import.meta.dirname, "../../../docs/ntpq.md"), "utf8")
const rows = page.split("\n").flatMap((line) => {
  const [, command = "", test = ""] = /^\| `([^`]+)` \|.*\| `([\w-]+\.test\.ts)` \|$/.exec(line) ?? []
  return command === "" ? [] : [[command, test] as const]
})

describe("a command of ntpq", () => {
  it.each(Object.entries(tests))("%s is asked in %s", (command, test) => {
    expect(readFileSync(join(import.meta.dirname, test), "utf8")).toMatch(written(command))
  })

  it("stands in the documentation with its test", () => {
    expect(Object.fromEntries(rows)).toEqual(tests)
  })
})
