/** Which families a suite can use: containers often have no IPv6, not even on their loopback. */
import { networkInterfaces } from "node:os"

const hasIpv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === "::1")
)

/** 4, and 6 where this machine has ::1; otherwise says on standard error which suite goes without it. */
export const addressFamilies = (suite: string): readonly (4 | 6)[] => {
  if (!hasIpv6) process.stderr.write(`${suite}: without IPv6, this machine has no ::1\n`)
  return hasIpv6 ? [4, 6] : [4]
}

/** The addresses of {@link addressFamilies}, as a client on this machine asks them. */
export const loopbackAddresses = (suite: string): readonly string[] =>
  addressFamilies(suite).map((family) => (family === 4 ? "127.0.0.1" : "::1"))
