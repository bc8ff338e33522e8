/**
 * `npx node infra/packaging/asked-throughout.ts PORT RATE PID`: asks a node on loopback RATE times a second, from 16 addresses, until its
 * supervisor PID has become another version and 3 s more; then says in one line how many requests were sent, answered and lost.
 * Ends with 1 where one was lost or answered wrongly. For try-upgrade.sh, which installs the other version meanwhile.
 */
import { readFileSync } from "node:fs"
import { setTimeout } from "node:timers/promises"
import { startLoad } from "@meridian/testkit/ntp-load"

const [port = Number.NaN, rate = Number.NaN, pid = Number.NaN] = process.argv.slice(2).map(Number)
const AFTER_MS = 3_000
/** Of a node that does not become another. */
const LIMIT_MS = 60_000
/** More than are sent until then. */
const MOST = 1_000_000

/** A process that executes another program goes on under its number, with new children: they tell it from before. */
const childrenOf = (): string => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim()

const before = new Set(childrenOf().split(" "))
const begun = performance.now()
const load = await startLoad({ port, sources: 16, rate, most: MOST })
process.stdout.write("asking\n")
const haveGone = (): boolean =>
  childrenOf()
    .split(" ")
    .every((child) => !before.has(child))
while (!haveGone() && performance.now() - begun < LIMIT_MS) await setTimeout(50)
const isOther = haveGone()
await setTimeout(AFTER_MS)
const seconds = (performance.now() - begun) / 1e3
const { sent, answered, wrong, lost } = await load.finish(10_000)
process.stdout.write(
  `${isOther ? "every process is of the other version" : "THE NODE IS STILL THE OLD ONE"}: ` +
    `${sent} sent in ${seconds.toFixed(1)} s (${Math.round(sent / seconds)}/s), ${answered} answered, ${lost.length} lost, ${wrong} wrong\n`
)
process.exitCode = isOther && lost.length === 0 && wrong === 0 ? 0 : 1
