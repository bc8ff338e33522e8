/**
 * Who may ask by mode 6, by the access list that workers ask too (`restrict … noquery nomodify nomrulist`); without one, this
 * host alone.
 */
import { decodeAccessPlan } from "@meridian/ipc/access-plan"
import { AccessFlag } from "@meridian/protocol/access/access-flags"
import { AccessList } from "@meridian/protocol/access/access-list"
import { addressBytes } from "./chronyc/addresses.ts"
import type { QueryAccess, QueryRights } from "./mode6/control-server.ts"
import { defaultRules } from "./mode6/ordered-lists.ts"
import { thisHostAlone } from "./this-host.ts"

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

/** @param access the compiled list; undefined where the node has none @param monotonic CLOCK_MONOTONIC, seconds */
export const queryAccess = (access: Uint8Array | undefined, monotonic: () => number): QueryAccess => {
  if (access === undefined) return thisHostAlone(monotonic)
  const list = new AccessList(decodeAccessPlan(access).layers)
  return { rights: (address, port) => rightsOf(flagsOf(list, address, port)), rules: () => defaultRules }
}
