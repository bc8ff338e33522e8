/** What holds while no `restrict` says otherwise: everybody gets the time, and questions are answered to this host alone. */
import { networkInterfaces } from "node:os"
import type { QueryAccess, QueryRights } from "./mode6/control-server.ts"
import { defaultRules } from "./mode6/ordered-lists.ts"

/** Interfaces come and go: they are looked at again after so long. */
const REFRESH_SECONDS = 60

const plainAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/, "").replace(/%.*$/, "")

const everything: QueryRights = { asks: true, changes: true, listsClients: true }
const nothing: QueryRights = { asks: false, changes: false, listsClients: false }

/**
 * Loopback, and this machine's own addresses: its kernel takes no packet from outside that claims to come from one of those.
 * @param monotonic CLOCK_MONOTONIC, seconds
 */
export const thisHostAlone = (monotonic: () => number): QueryAccess => {
  let own: ReadonlySet<string> = new Set()
  let readAt = -Infinity
  return {
    rights: (address) => {
      const plain = plainAddress(address)
      if (plain === "::1" || plain.startsWith("127.")) return everything
      if (monotonic() - readAt > REFRESH_SECONDS) {
        readAt = monotonic()
        own = new Set(
          Object.values(networkInterfaces()).flatMap((each) => each?.map((one) => plainAddress(one.address)) ?? [])
        )
      }
      return own.has(plain) ? everything : nothing
    },
    rules: () => defaultRules
  }
}
