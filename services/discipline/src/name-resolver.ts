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

/** What a failed look-up means, for people. */
export const resolutionProblem = (error: unknown): string => {
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
