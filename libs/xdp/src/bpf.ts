/**
 * Loading a BPF program and attaching it to an interface, by bpf(2) of the addon. Maps, program and link are descriptors: what this process held is gone
 * when it ends, however it ends, and with the link the program leaves the interface.
 */
import { errnoAdvice } from "@meridian/system/errno-words"
import { errnoName, loadNative, type NativeAddon } from "@meridian/system/native"
import type { BpfObject, MapDefinition } from "./bpf-object.ts"

/** Why the kernel does not take a program, a map or a link. `code` is the errno's name. */
export class XdpError extends Error {
  readonly _tag = "XdpError"
  readonly code: string
  constructor(what: string, code: string) {
    super(`${what}: ${errnoAdvice("xdp", code)}`)
    this.code = code
  }
}

/** The addon. @throws XdpError where there is none */
export const bpfAddon = (): NativeAddon => {
  const { addon } = loadNative()
  if (addon === undefined) throw new XdpError("BPF cannot be used", "ENOSYS")
  return addon
}

/** Runs a call of the addon. @throws XdpError with what was tried */
export const attempt = <A>(what: string, call: (addon: NativeAddon) => A): A => {
  try {
    return call(bpfAddon())
  } catch (error) {
    throw error instanceof XdpError ? error : new XdpError(what, errnoName(error))
  }
}

/** Maps that were made for a program, by name. */
export type Maps = ReadonlyMap<string, number>

/** Makes a map. @throws XdpError */
export const makeMap = ({ name, type, keyBytes, valueBytes, entries, flags }: MapDefinition): number =>
  attempt(`the map ${name} cannot be made`, (addon) =>
    addon.bpfMapCreate(type, keyBytes, valueBytes, entries, flags, name.slice(0, 15))
  )

/** BPF_PSEUDO_MAP_FD, in the instruction's source register. */
const NAMES_A_MAP = 1
/** BPF_F_XDP_HAS_FRAGS: interfaces with jumbo frames take such programs alone. */
const TAKES_FRAGMENTS = 1 << 5
const NO_LOG = new Uint8Array()

/** The instructions with the maps' descriptors where they name them. */
const withMaps = ({ instructions, references }: BpfObject, maps: Maps): Uint8Array => {
  const linked = Uint8Array.from(instructions)
  const view = new DataView(linked.buffer)
  for (const { at, map } of references) {
    linked[at + 1] = (linked[at + 1]! & 0x0f) | (NAMES_A_MAP << 4)
    view.setInt32(at + 4, maps.get(map) ?? -1, true)
  }
  return linked
}

/** Loads a program over its maps; returns its descriptor. @throws XdpError */
export const loadProgram = (object: BpfObject, maps: Maps): number =>
  attempt("the BPF program is refused", (addon) =>
    addon.bpfProgramLoad(withMaps(object, maps), object.license, TAKES_FRAGMENTS, NO_LOG)
  )

/** In the driver, or behind it. */
export type XdpMode = "native" | "generic"

/** XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE of linux/if_link.h. */
const FLAGS: Readonly<Record<XdpMode, number>> = { native: 4, generic: 2 }

/** Attaches a program; it stays for as long as the descriptor is held. @throws XdpError */
export const attach = (program: number, interfaceName: string, mode: XdpMode): number => {
  const number = attempt(`${interfaceName} cannot be found`, (addon) => addon.interfaceNumber(interfaceName))
  if (number === 0) throw new XdpError(`${interfaceName} cannot be found`, "ENODEV")
  return attempt(`nothing can be attached to ${interfaceName} in ${mode} mode`, (addon) =>
    addon.bpfLinkXdp(program, number, FLAGS[mode])
  )
}
