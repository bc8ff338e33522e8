/**
 * Tries everything that changes the machine's clock. Refuses to run where that would succeed: started by
 * kernel-clock.test.ts in a process tree without CAP_SYS_TIME.
 */
import { CAP_SYS_TIME, hasCapability, readCapabilities } from "@meridian/system/capabilities"
import { KernelClockRefused, nativeKernelClock } from "../src/kernel-clock.ts"

const { bounding, permitted, ambient } = readCapabilities()
if (bounding === 0n && permitted === 0n) throw new Error("/proc does not say which capabilities this process has")
// What the bounding set allows is root's for the taking, and nobody else's.
const within = process.getuid?.() === 0 ? [permitted, ambient, bounding] : [permitted, ambient]
if (within.some((set) => hasCapability(set, CAP_SYS_TIME)))
  throw new Error("this process may set the clock; it must not")

const clock = nativeKernelClock()
if (clock === undefined) throw new Error("no addon")
const settings = (): object => {
  const { frequency, tick, leap, ownLoop, taiOffset } = clock.read()
  return { frequency, tick, leap, ownLoop, taiOffset }
}
const before = settings()
const status = { synchronised: true, leap: "none" } as const
const refused = [
  () => clock.step(1e-9),
  () => clock.step(-1e-9),
  () => clock.takeOver(),
  () => clock.adjust({ rate: { frequency: 0, tick: 10_000 } }),
  () => clock.adjust({ status }),
  () => clock.adjust({ maxError: 1 }),
  () => clock.adjust({ estimatedError: 1 }),
  () => clock.adjust({ taiOffset: 37 })
].map((change) => {
  try {
    change()
    return "done"
  } catch (error) {
    return error instanceof KernelClockRefused ? `${error._tag} ${error.code} ${error.message}` : String(error)
  }
})
process.stdout.write(JSON.stringify({ before, after: settings(), refused }))
