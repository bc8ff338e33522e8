/** Looks up the hosts of lines: names by the system's resolver, multicast groups by asking for their servers. */
import type { UpstreamConfiguration } from "@meridian/ipc/discipline-report"
import type { ManycastSearch } from "./manycast-search.ts"
import { ofFamily, resolutionProblem, type resolveHost } from "./name-resolver.ts"

interface NameLookupsSurroundings {
  readonly resolve: typeof resolveHost
  readonly manycast: ManycastSearch
  /** The line as it is configured. */
  readonly configured: (line: string) => UpstreamConfiguration | undefined
  /** Addresses, best first; undefined: there is no answer. */
  readonly ended: (line: string, addresses: readonly string[] | undefined) => void
  readonly warn: (message: string) => void
}

export class NameLookups {
  private readonly surroundings: NameLookupsSurroundings
  /** Lines whose hosts are being looked up, with what went wrong the last time. */
  private readonly unresolved = new Map<string, string>()

  constructor(surroundings: NameLookupsSurroundings) {
    this.surroundings = surroundings
  }

  /** Names whose addresses are not known yet, each with why, as far as that is known. */
  get names(): readonly string[] {
    const { configured } = this.surroundings
    return [...this.unresolved].map(([line, why]) => `${configured(line)?.host ?? line}${why === "" ? "" : `: ${why}`}`)
  }

  forget(line: string): void {
    this.unresolved.delete(line)
  }

  /** Never rejects. */
  async resolve(line: string): Promise<void> {
    const { configured, ended, warn } = this.surroundings
    const { host = line, family = null } = configured(line) ?? {}
    if (!this.unresolved.has(line)) this.unresolved.set(line, "")
    try {
      const found = await this.lookUp(line, host)
      this.unresolved.delete(line)
      ended(line, ofFamily(found, family))
    } catch (error) {
      const why = resolutionProblem(error)
      if (this.unresolved.get(line) !== why) warn(`${host} cannot be looked up: ${why}; it is tried again`)
      this.unresolved.set(line, why)
      ended(line, undefined)
    }
  }

  private lookUp(line: string, host: string): Promise<readonly string[]> {
    const { hops, port, keyId = null, autokey, version = 4 } = this.surroundings.configured(line) ?? {}
    if (hops === undefined || port === undefined) return this.surroundings.resolve(host)
    const isAutokey = (autokey ?? null) !== null
    return this.surroundings.manycast.search({ group: host, port, keyId, autokey: isAutokey, hops, version })
  }
}
