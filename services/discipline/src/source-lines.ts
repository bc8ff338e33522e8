/** Lines that name sources: what tells one from another, and how its packets are proved. */
import { isIPv6 } from "node:net"
import type { SymmetricMacs } from "@meridian/auth/mac"
import type { UpstreamConfiguration } from "@meridian/ipc/discipline-report"
import type { AssociationAuthentication, Endpoint } from "@meridian/protocol/associations"
import { networkTimeSecurity, symmetricKey, unauthenticated } from "@meridian/protocol/associations"
import type { AutokeyKeeper } from "./upstream-surroundings.ts"

/** NTP's own port, and that of NTS key exchange: whoever names neither means the one server of a host. */
const [NTP_PORT, NTS_KE_PORT] = [123, 4460]

/** The port that tells a line's server from others of its host; the key exchange's where there is one, for who gives keys says where time is. */
export const askedPortOf = ({ port, nts }: UpstreamConfiguration): number =>
  nts === null || nts.port === NTS_KE_PORT ? port : nts.port

/** The host, with its port where that is not NTP's own. */
export const lineName = (source: UpstreamConfiguration): string => {
  const asked = askedPortOf(source)
  return asked === NTP_PORT ? source.host : `${bracketed(source.host)}:${asked}`
}

export const bracketed = (host: string): string => (isIPv6(host) ? `[${host}]` : host)

/** Of two lines about one server the first counts; the second is refused, and said to be, when it begins. */
export const byLine = (lines: readonly UpstreamConfiguration[]): ReadonlyMap<string, UpstreamConfiguration> =>
  new Map(lines.toReversed().map((source) => [lineName(source), source]))

/** What is wrong with a line, in words that follow its host. */
export const refusals = {
  "duplicate-host": "is configured twice; the first line counts",
  "duplicate-address": "its address is that of another source, which is asked already",
  "unknown-host": "no such source"
} as const

/** How packets to and from an address of a line's are proved. @param keeper undefined where nobody is asked by Autokey */
export const authenticationOf =
  ({ nts, autokey, kind, keyId }: UpstreamConfiguration, macs: SymmetricMacs, keeper: AutokeyKeeper | undefined) =>
  (endpoint: Endpoint): AssociationAuthentication => {
    if (nts !== null) return networkTimeSecurity(undefined)
    if (autokey && keeper !== undefined)
      return keeper.source(endpoint, kind === "peer" ? "symmetric" : "client", autokey.ident ?? undefined)
    return keyId !== null ? symmetricKey(macs, keyId) : unauthenticated
  }
