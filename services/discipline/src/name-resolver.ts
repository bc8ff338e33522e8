/** Looks names up without holding anybody up, and keeps the answers that key exchanges need. */
import { lookup } from "node:dns/promises"
import { isIP } from "node:net"

/** Addresses of one answer that are looked at. */
const MOST_ADDRESSES = 32

/** Numeric addresses of a name, in the order the system prefers. Rejects with the resolver's error, whose code says why. */
export const resolveHost = async (host: string): Promise<readonly string[]> => {
  if (isIP(host) !== 0) return [host]
  const answers = await lookup(host, { all: true, order: "verbatim" })
  return answers.slice(0, MOST_ADDRESSES).map(({ address }) => address)
}

/** A name that has addresses, and none of the family that is asked for. */
class NoAddressOfFamily extends Error {
  readonly _tag = "NoAddressOfFamily"
}

/** The addresses of a family, null for either. Throws {@link NoAddressOfFamily} where there is none but others. */
export const ofFamily = (addresses: readonly string[], family: 4 | 6 | null): readonly string[] => {
  const fit = family === null ? addresses : addresses.filter((address) => isIP(address) === family)
  if (fit.length === 0 && addresses.length > 0) throw new NoAddressOfFamily(`it has no IPv${family} address`)
  return fit
}

/** What a failed look-up means, for people. */
export const resolutionProblem = (error: unknown): string => {
  if (error instanceof NoAddressOfFamily) return error.message
  const code = (error as NodeJS.ErrnoException | null)?.code ?? ""
  switch (code) {
    case "ENOTFOUND":
      return "no such name is known"
    case "EAI_AGAIN":
      return "no name server answers"
    default:
      return code === "" ? String(error) : code
  }
}

/** The numeric address that a host is, or undefined for a name. */
export const numericAddress = (host: string): string | undefined => (isIP(host) === 0 ? undefined : host)
