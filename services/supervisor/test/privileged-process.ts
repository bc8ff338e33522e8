/**
 * A process that settles who has a capability and starts two children, the second with it handed on. Prints its own sets and
 * theirs. Arguments: the capability's number, whether it is asked for, the folder, the user to become or nothing.
 */
import { spawnSync } from "node:child_process"
import { CAP_SYS_TIME, parseCapabilities, readCapabilities, withCapability } from "@meridian/system/capabilities"
import { resolveIdentity } from "@meridian/system/identity"
import { settlePrivilege } from "../src/privilege.ts"

const [number, asked, folder, user] = process.argv.slice(2)
const capability = Number(number)
if (capability === CAP_SYS_TIME) throw new Error("not with the clock's own capability")

const shown = (sets: object): object =>
  Object.fromEntries(
    Object.entries(sets).map(([name, set]) => [name, (((set as bigint) >> BigInt(capability)) & 1n) === 1n])
  )
const child = (): object =>
  shown(parseCapabilities(spawnSync("cat", ["/proc/self/status"], { encoding: "utf8" }).stdout))

const kept = settlePrivilege(user === undefined ? undefined : resolveIdentity(user), folder as string, {
  steers: asked === "asked",
  capability
})
const { permitted } = readCapabilities()
process.stdout.write(
  JSON.stringify({
    kept,
    own: shown(readCapabilities()),
    only: permitted === 1n << BigInt(capability),
    plain: child(),
    clock: kept.forClock ? withCapability(capability, child) : null,
    after: child()
  })
)
