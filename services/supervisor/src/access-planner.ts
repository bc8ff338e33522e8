/**
 * Turns the lines about access into the plan that workers ask: host names resolved, servers that are asked put in, compiled.
 * Names are looked up when the lines are taken up, and again from time to time; a name that has no address has no rule, and
 * that is said.
 */
import { lookup } from "node:dns/promises"
import { accessRules, hostsOf, saysNothing, type AccessSettings } from "@meridian/config"
import { type IpAddress, isLinkLocal, parseAddress, textOfOctets } from "@meridian/config/address"
import type { ClientList } from "@meridian/ipc"
import { encodeAccessPlan } from "@meridian/ipc/access-plan"
import { MOST_SHOWN_RULES, type ShownRule } from "@meridian/ipc/serving-plan"
import { type Strangers, strangersBy } from "@meridian/xdp/strangers"
import { type AccessRule, compileAccess, mergeAlike } from "@meridian/protocol/access/access-list"
import { type AccessPlan, limitsAnybody } from "@meridian/protocol/access/access-plan"

/** Names are looked up again after so long, and those without an address sooner. */
const RESOLVE_AGAIN_MS = 15 * 60_000
const RESOLVE_FAILED_MS = 30_000

export interface AccessInput {
  readonly settings: AccessSettings
  /** Whether the list of clients is kept (`enable monitor`); where anybody is limited it is kept all the same. */
  readonly monitor: boolean
}

type Resolve = (host: string) => Promise<readonly string[]>

const systemResolve: Resolve = async (host) => (await lookup(host, { all: true })).map(({ address }) => address)

const NOBODY: Strangers = {
  families: [],
  familiesFromNtpPort: [],
  limit: undefined,
  noteEvery: 0,
  ipv6Prefix: 128,
  known: [],
  reason: undefined
}

interface AccessSurroundings {
  readonly resolve?: Resolve
  /** This machine's addresses, as {@link AccessPlanner.useOwn} has them. */
  readonly own?: readonly IpAddress[]
}

export class AccessPlanner {
  private input: AccessInput
  private sources: readonly IpAddress[] = []
  private own: readonly IpAddress[] = []
  private readonly addresses = new Map<string, readonly IpAddress[]>()
  private readonly publish: (encoded: Uint8Array) => void
  private readonly warn: (message: string) => void
  private readonly resolve: Resolve
  private timer: NodeJS.Timeout | undefined
  private published: Uint8Array
  /** Of the plan as it stands: which requests may be answered before they reach a worker. */
  strangers: Strangers = NOBODY
  /** The rules as they stand, for those who look. */
  shown: readonly ShownRule[] = []

  constructor(
    input: AccessInput,
    publish: (encoded: Uint8Array) => void,
    warn: (message: string) => void,
    { resolve = systemResolve, own = [] }: AccessSurroundings = {}
  ) {
    this.input = input
    this.publish = publish
    this.warn = warn
    this.resolve = resolve
    this.own = own.filter(isOfThisHostAlone)
    this.published = this.compiled()
  }

  /** The plan as it stands, encoded. */
  get encoded(): Uint8Array {
    return this.published
  }

  /** Of entries in the list of clients, seconds. */
  get clientAges(): Pick<ClientList, "maxAge" | "minAge"> {
    const { maxAge, minAge } = this.input.settings.clientList
    return { maxAge: maxAge.value, minAge: minAge.value }
  }

  /** Takes up other lines. */
  use(input: AccessInput): void {
    this.input = input
    this.renew()
    void this.resolveNames()
  }

  /** Hears which servers are asked now, as numeric addresses. */
  useSources(addresses: readonly string[]): void {
    const sources = addresses.map(parseAddress).filter((address) => address !== undefined)
    if (sources.map(({ text }) => text).join() === this.sources.map(({ text }) => text).join()) return
    this.sources = sources
    if (this.input.settings.restrictions.some(({ value }) => value.target.kind === "source")) this.renew()
  }

  /** Hears which addresses this machine has now: while no line says otherwise, they are as good as loopback's. */
  useOwn(addresses: readonly IpAddress[]): void {
    const own = addresses.filter(isOfThisHostAlone)
    if (own.map(({ text }) => text).join() === this.own.map(({ text }) => text).join()) return
    this.own = own
    if (saysNothing(this.input.settings)) this.renew()
  }

  /** Looks up the names of the lines, now and from time to time. */
  async resolveNames(): Promise<void> {
    clearTimeout(this.timer)
    const hosts = hostsOf(this.input.settings)
    if (hosts.length === 0) return
    const found = await Promise.all(hosts.map((host) => this.lookUp(host)))
    this.timer = setTimeout(
      () => void this.resolveNames(),
      found.every((isThere) => isThere) ? RESOLVE_AGAIN_MS : RESOLVE_FAILED_MS
    ).unref()
    this.renew()
  }

  stop(): void {
    clearTimeout(this.timer)
  }

  private async lookUp(host: string): Promise<boolean> {
    try {
      const addresses = (await this.resolve(host)).map(parseAddress).filter((address) => address !== undefined)
      this.addresses.set(host, addresses)
      return addresses.length > 0
    } catch {
      // What it stood for before goes on counting.
      if (!this.addresses.has(host)) {
        this.addresses.set(host, [])
        this.warn(`the access rules about ${host} hold nobody: the name has no address; it is looked up again`)
      }
      return false
    }
  }

  private renew(): void {
    const encoded = this.compiled()
    if (Buffer.compare(encoded, this.published) === 0) return
    this.published = encoded
    this.publish(encoded)
  }

  private compiled(): Uint8Array {
    const { settings, monitor } = this.input
    const rules = accessRules(settings, {
      addressesOf: (host) => this.addresses.get(host) ?? [],
      sources: this.sources,
      own: this.own
    })
    const limit = settings.rateLimit.value
    const limitsAll = limit.law === "tokens"
    const layers = rules.map(compileAccess)
    this.shown = rules.flatMap(mergeAlike).slice(0, MOST_SHOWN_RULES).map(shownRule)
    const plan: AccessPlan = {
      layers,
      limit,
      manners: {
        limited: limitsAll,
        kod: limitsAll && limit.kod > 0,
        queriesOfAnyVersion: settings.dialect.value === "classic"
      },
      clients: {
        ipv6Prefix: settings.clientList.ipv6Prefix.value,
        maxAge: settings.clientList.maxAge.value,
        minAge: settings.clientList.minAge.value
      }
    }
    const kept = monitor || limitsAnybody(plan) ? plan : { ...plan, clients: null }
    this.strangers = strangersBy(rules, kept, this.own)
    return encodeAccessPlan(kept)
  }
}

/** Neither loopback, which has rules of its own, nor link-local: such an address may be another host's on another link. */
const isOfThisHostAlone = (address: IpAddress): boolean =>
  !isLinkLocal(address) && !(address.family === 4 ? address.bytes[0] === 127 : address.text === "::1")

const shownRule = ({ bytes, length, ntpPort, flags }: AccessRule): ShownRule => ({
  address: textOfOctets(bytes),
  length,
  ntpPort,
  flags
})
