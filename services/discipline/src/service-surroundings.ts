/** What the clock's process gives its service to work with. */
import type { DigestPort } from "@meridian/auth/mac"
import type { ClockPageReader, ClockPageWriter } from "@meridian/clocks/clock-page"
import type { KernelClock, KernelRate } from "@meridian/clocks/kernel-clock"
import type { ClockDecision } from "@meridian/events"
import type { FromDiscipline } from "@meridian/ipc/discipline-report"
import type { AutokeySources, AutokeySourcesSurroundings } from "./autokey-sources.ts"
import type { ReadClocks } from "./clocks.ts"
import type { ReferencePorts } from "./reference-drivers.ts"
import type { UpstreamSurroundings } from "./upstream-surroundings.ts"

export interface ServiceSurroundings {
  readonly page: ClockPageWriter
  /** Of the same page: what the process before left there. */
  readonly before: ClockPageReader
  readonly read: ReadClocks
  /** What to steer in kernel mode; undefined in virtual mode. */
  readonly kernelClock?: KernelClock | undefined
  /** The kernel's rate, steered or not; undefined where it cannot be read. */
  readonly kernelRate?: (() => KernelRate | undefined) | undefined
  /** log2 seconds */
  readonly precision: number
  /** What keyed sources and sources with NTS need; undefined where there are none. */
  readonly digests: DigestPort | undefined
  readonly keyExchanges: UpstreamSurroundings["keyExchanges"]
  /** Undefined where no source is asked by Autokey. */
  readonly autokey?: ((surroundings: Omit<AutokeySourcesSurroundings, "digests">) => AutokeySources) | undefined
  readonly resolve?: UpstreamSurroundings["resolve"]
  /** Ways to the reference clocks. */
  readonly referencePorts: ReferencePorts
  readonly send: (message: FromDiscipline<ClockDecision>) => void
  /** Told after each decision. */
  readonly decided?: () => void
  /** Ends this process so that another takes its place. */
  readonly restart: () => void
}
