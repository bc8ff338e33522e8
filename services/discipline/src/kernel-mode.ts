/** Whether this process steers CLOCK_REALTIME: only when asked, only with the privilege, and only after sources. */
import { CAP_SYS_TIME, hasCapability, readCapabilities } from "@meridian/system/capabilities"
import { type KernelClock, nativeKernelClock } from "@meridian/clocks/kernel-clock"
import type { DisciplineConfiguration } from "@meridian/ipc/discipline-report"

interface KernelModeSurroundings {
  /** Undefined without the addon. */
  readonly clock: KernelClock | undefined
  /** Whether CAP_SYS_TIME is in effect. */
  readonly privileged: boolean
}

type KernelMode =
  | { readonly _tag: "Virtual" }
  /** It was asked for and cannot be: the reason, as a sentence for an operator. */
  | { readonly _tag: "Refused"; readonly reason: string }
  | { readonly _tag: "Kernel"; readonly clock: KernelClock }

const INSTEAD = "it runs in virtual mode, and served time is right all the same"

export const chooseKernelMode = (
  { mode, sources, referenceClocks }: Pick<DisciplineConfiguration, "mode" | "sources" | "referenceClocks">,
  { clock, privileged }: KernelModeSurroundings
): KernelMode => {
  if (mode !== "kernel") return { _tag: "Virtual" }
  const refused = (why: string): KernelMode => ({ _tag: "Refused", reason: `kernel mode: ${why}; ${INSTEAD}` })
  if (sources.length + referenceClocks.length === 0)
    return refused("no source is configured to steer the system's clock after")
  if (clock === undefined) return refused("it needs the addon (run `node libs/system/build.mjs`)")
  if (!privileged)
    return refused(
      "this process lacks CAP_SYS_TIME; give the node AmbientCapabilities=CAP_SYS_TIME in its systemd unit, or start it as root with --user NAME"
    )
  return { _tag: "Kernel", clock }
}

/** What this process has. */
export const kernelModeSurroundings = (): KernelModeSurroundings => ({
  clock: nativeKernelClock(),
  privileged: hasCapability(readCapabilities().effective, CAP_SYS_TIME)
})
