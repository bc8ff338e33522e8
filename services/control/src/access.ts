/** Who may ask by mode 6, by the access list that workers ask too (`restrict … noquery nomodify nomrulist`). */
import { decodeAccessPlan } from "@meridian/ipc/access-plan"
import type { ControlPlan, ShownRule } from "@meridian/ipc/serving-plan"
import { AccessFlag, accessFlagWords } from "@meridian/protocol/access/access-flags"
import { AccessList } from "@meridian/protocol/access/access-list"
import { addressBytes } from "./chronyc/addresses.ts"
import { nobody, type QueryAccess, type QueryRights } from "./mode6/control-server.ts"
import type { AccessRule } from "./mode6/ordered-lists.ts"

const rightsOf = (flags: number): QueryRights => ({
  asks: (flags & (AccessFlag.ignore | AccessFlag.noquery)) === 0,
  changes: (flags & AccessFlag.nomodify) === 0,
  listsClients: (flags & AccessFlag.nomrulist) === 0
})

const flagsOf = (list: AccessList, address: string, port: number): number => {
  const bytes = addressBytes(address)
  if (bytes === undefined) return AccessFlag.ignore
  const view = new DataView(bytes.buffer)
  return bytes.length === 4
    ? list.ipv4(view.getUint32(0), port)
    : list.ipv6(view.getUint32(0), view.getUint32(4), view.getUint32(8), view.getUint32(12), port)
}

/** @param access the compiled list; undefined where there is none, by which nobody may ask @param rules of it, to be shown */
export const queryAccess = ({
  access,
  rules
}: {
  readonly access: ControlPlan["access"] | undefined
  readonly rules: ControlPlan["rules"]
}): QueryAccess => {
  if (access === undefined) return nobody
  const list = new AccessList(decodeAccessPlan(access).layers)
  const shown = rules.map(ruleWords)
  return { rights: (address, port) => rightsOf(flagsOf(list, address, port)), rules: () => shown }
}

const ruleWords = ({ address, length, ntpPort, flags }: ShownRule): AccessRule => ({
  address,
  mask: maskText(length, address.includes(":") ? 16 : 4),
  flags: [...(ntpPort ? ["ntpport"] : []), ...accessFlagWords(flags)].join(" "),
  hits: 0
})

/** @param size octets of an address */
const maskText = (length: number, size: 4 | 16): string => {
  const octets = Array.from({ length: size }, (_, at) => (0xff00 >> Math.min(8, Math.max(0, length - 8 * at))) & 0xff)
  if (size === 4) return octets.join(".")
  const groups = octets.flatMap((octet, at) =>
    at % 2 === 0 ? [((octet << 8) | (octets[at + 1] ?? 0)).toString(16)] : []
  )
  return groups
    .join(":")
    .replace(/(:0)+$/, "::")
    .replace(/^0::$/, "::")
}
