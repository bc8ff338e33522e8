/**
 * Gets keys for the NTS associations: one exchange at a time for each, ever more rarely until keys were used with success
 * (RFC 8915 §4.2); keeps the jars.
 */
import { isIP } from "node:net"
import { type AeadId, type AeadParameters, aeadParameters } from "@meridian/auth/aead"
import { NtsAssociation, type NtsSession } from "@meridian/auth/nts-client"
import { aeadProvider } from "@meridian/ciphers/aead"
import type { NtsConfiguration } from "@meridian/ipc/discipline-report"
import type { NtsDetail } from "@meridian/ipc/source-detail"
import type { Endpoint } from "@meridian/protocol/associations"
import { reasonOf } from "@meridian/system/errno-words"
import { backoff } from "@meridian/time/backoff"
import type { CookieJars, Jar } from "@meridian/tls/cookie-jar"
import { type CertificateTime, judgeChain, type ShownChain } from "@meridian/tls/certificate-time"
import { ofFamily, resolveHost } from "./name-resolver.ts"
import { exchangeKeys, type ExchangedKeys, KeyExchangeFailed } from "@meridian/tls/nts-key-exchange"

/** Seconds after the first exchange and at most; each that gave no keys, or none that a server took, doubles. */
const PAUSES = { first: 8, longest: 4096 }
const SAVE_AFTER_MS = 1_000
const NTP_PORT = 123

export interface NtsSource {
  readonly id: number
  /** As configured: the certificate's name, unless another host is asked for keys. */
  readonly host: string
  /** Of the addresses of any name that is looked up; null: either. */
  readonly family: 4 | 6 | null
  /** The address the source resolved to, and the configured port. */
  readonly endpoint: Endpoint
  readonly nts: NtsConfiguration
}

export interface KeyExchangeListener {
  /** Keys turned out to be of a server that nobody vouches for: they are gone. */
  readonly dropped: (id: number) => void
  readonly exchanged: (id: number, association: NtsAssociation, endpoint: Endpoint) => void
  readonly failed: (id: number) => void
  readonly warn: (message: string) => void
}

interface Attempts {
  running: boolean
  failures: number
  /** Exchanges since keys were used with success. */
  inVain: number
  /** The server's keys for AEAD 30 turned out to be those of the RFC, though it did not say so. */
  byTheRfc: boolean
  /** CLOCK_MONOTONIC, seconds. */
  notBefore: number
  problem: string | undefined
}

interface Held {
  /** CLOCK_MONOTONIC, seconds; undefined of what was kept from before. */
  readonly exchangedAt: number | undefined
  readonly source: string
  readonly association: NtsAssociation
  readonly aead: AeadId
  readonly endpoint: Endpoint
  /** The rest of the addresses of the name that the server gave, in the order in which they are to be tried. */
  readonly others: readonly string[]
  /** Keys by the other exporter context, where it is not known which one the server has. */
  readonly otherwise: Pick<NtsSession, "c2s" | "s2c"> | undefined
  /** Of a certificate whose dates were not looked at, since nobody knew the time. */
  readonly provisional: ShownChain | undefined
}

/** What the class asks of the world: the exchange itself, and names' addresses. */
interface KeyExchangeSurroundings {
  readonly exchange: typeof exchangeKeys
  /** By when certificates are judged; absent: by CLOCK_REALTIME. */
  readonly certificateTime?: (() => CertificateTime) | undefined
  readonly resolve: typeof resolveHost
}

export class KeyExchanges {
  private readonly listener: KeyExchangeListener
  private readonly jars: CookieJars
  private readonly monotonic: () => number
  private readonly surroundings: KeyExchangeSurroundings
  private readonly attempts = new Map<number, Attempts>()
  private readonly held = new Map<number, Held>()
  private readonly kept: Map<string, Jar>
  private saving: NodeJS.Timeout | undefined
  private good = 0
  private bad = 0
  /** Why the jars could not be saved last. */
  private unsaved: string | undefined

  constructor(
    jars: CookieJars,
    listener: KeyExchangeListener,
    monotonic: () => number,
    surroundings: KeyExchangeSurroundings = { exchange: exchangeKeys, resolve: resolveHost }
  ) {
    this.surroundings = surroundings
    this.listener = listener
    this.jars = jars
    this.monotonic = monotonic
    const taken = jars.take()
    this.kept = new Map(taken.jars)
    if (taken.problem !== undefined) listener.warn(taken.problem)
  }

  /** Why the last exchange for an association failed; undefined when it did not. */
  problem(id: number): string | undefined {
    return this.attempts.get(id)?.problem
  }

  /** Exchanges that gave keys, and those that did not. */
  get exchanges(): { readonly good: number; readonly bad: number } {
    return { good: this.good, bad: this.bad }
  }

  /** Of the keys in use for an association. @param now CLOCK_MONOTONIC, seconds */
  detail(id: number, now: number): Omit<NtsDetail, "naks"> {
    const held = this.held.get(id)
    const parameters = held === undefined ? undefined : aeadParameters(held.aead)
    const exchangedAt = held?.exchangedAt
    return {
      aead: held?.aead ?? 0,
      keyLength: (parameters?.keyBytes ?? 0) * 8,
      cookieLength: held?.association.cookieLength ?? 0,
      exchangedAgo: exchangedAt === undefined ? null : now - exchangedAt,
      failures: this.attempts.get(id)?.failures ?? 0
    }
  }

  /** Cookies in an association's jar. */
  cookies(id: number): number {
    return this.held.get(id)?.association.cookies ?? 0
  }

  /** Keys for an association: kept ones first, otherwise by an exchange, unless one runs or failed a moment ago. */
  need(source: NtsSource): void {
    const attempts = this.attempts.get(source.id) ?? newAttempts()
    this.attempts.set(source.id, attempts)
    if (this.turnToOtherKeys(source, attempts)) return
    if (attempts.running || this.monotonic() < attempts.notBefore) return
    if (this.useKept(source)) return
    attempts.running = true
    void this.exchange(source, attempts)
  }

  /** Whether an association's keys are of a server whose certificate's dates were not looked at. */
  isProvisional(id: number): boolean {
    return this.held.get(id)?.provisional !== undefined
  }

  /** The time is known: certificates that passed without a look at their dates are judged by it. Returns how many fail. @param unix Unix seconds */
  judgeAgain(unix: number): number {
    let failed = 0
    for (const [id, held] of this.held) {
      if (held.provisional === undefined) continue
      const judged = judgeChain(held.provisional, { unix, notBefore: undefined })
      if (judged._tag === "Good") {
        this.held.set(id, { ...held, provisional: undefined })
        continue
      }
      const what = judged._tag === "Bad" ? judged.what : ""
      const problem = `NTS keys of ${held.source.split(" ", 2).join(" at ")} are dropped: ${what}`
      this.held.delete(id)
      const attempts = this.attempts.get(id)
      if (attempts !== undefined) attempts.problem = problem
      this.listener.warn(problem)
      this.listener.dropped(id)
      failed += 1
    }
    return failed
  }

  /** An authentic reply came. */
  used(id: number): void {
    const [attempts, held] = [this.attempts.get(id), this.held.get(id)]
    if (held?.otherwise !== undefined) this.held.set(id, { ...held, otherwise: undefined })
    if (attempts === undefined || attempts.inVain === 0) return
    attempts.inVain = 0
    attempts.notBefore = Math.min(attempts.notBefore, this.monotonic() + PAUSES.first)
  }

  /** Nothing is heard from where an association asks: to the next address of the name that the server gave, if it gave one. */
  turnToOtherAddress(id: number): void {
    const held = this.held.get(id)
    const [address, ...rest] = held?.others ?? []
    if (held === undefined || address === undefined) return
    const endpoint = { address, port: held.endpoint.port }
    this.held.set(id, { ...held, endpoint, others: [...rest, held.endpoint.address] })
    this.listener.exchanged(id, held.association, endpoint)
  }

  /** Cookies were used or came in: to be saved by and by. */
  changed(id: number): void {
    if (this.held.has(id)) this.saving ??= setTimeout(() => this.save(), SAVE_AFTER_MS)
  }

  forget(id: number): void {
    this.attempts.delete(id)
    this.held.delete(id)
  }

  /** Writes the jars now. */
  save(): void {
    clearTimeout(this.saving)
    this.saving = undefined
    if (this.held.size === 0) return
    const jars = new Map(
      [...this.held.values()]
        .filter(({ provisional }) => provisional === undefined)
        .map(({ source, association, aead, endpoint }): [string, Jar] => [
          source,
          { ...association.session(), aead, address: endpoint.address, port: endpoint.port }
        ])
    )
    try {
      this.jars.save(jars)
    } catch (error) {
      const problem = `NTS cookies cannot be kept for the next start: ${reasonOf(error)}`
      // It is tried again after every answer.
      if (problem !== this.unsaved) this.listener.warn(problem)
      this.unsaved = problem
    }
  }

  private useKept(source: NtsSource): boolean {
    const name = jarName(source)
    const jar = this.kept.get(name)
    this.kept.delete(name)
    const aead = jar === undefined ? undefined : aeadParameters(jar.aead)
    if (jar === undefined || aead === undefined || jar.cookies.length === 0) return false
    return this.begin(source, { ...jar, aead }, { address: jar.address, port: jar.port })
  }

  /** The server answered with nothing but a NAK: as chronyd 4.6, with the other exporter's keys, for which the cookies are as good. */
  private turnToOtherKeys(source: NtsSource, attempts: Attempts): boolean {
    const held = this.held.get(source.id)
    const { otherwise, association, aead, endpoint, others, exchangedAt, provisional } = held ?? {}
    const parameters = aead === undefined ? undefined : aeadParameters(aead)
    if (
      otherwise === undefined ||
      association?.isRefused !== true ||
      parameters === undefined ||
      endpoint === undefined
    )
      return false
    const { cookies } = association.session()
    if (cookies.length === 0) return false
    attempts.byTheRfc = !attempts.byTheRfc
    const session = { ...otherwise, cookies, aead: parameters, provisional }
    return this.begin(source, session, endpoint, exchangedAt, others)
  }

  private async exchange(source: NtsSource, attempts: Attempts): Promise<void> {
    try {
      const { nts, host, endpoint } = source
      const lookUp = async (name: string) => ofFamily(await this.surroundings.resolve(name), source.family)
      const address = nts.host === null ? endpoint.address : (await lookUp(nts.host))[0]
      if (address === undefined) throw new Error(`${nts.host} has no address`)
      const aeads = nts.aead?.flatMap((id) => aeadParameters(id)?.id ?? [])
      const certificateTime = this.surroundings.certificateTime?.()
      const name = nts.host ?? host
      const target = { name, address, port: nts.port, ca: nts.ca, insecure: nts.noval, aeads, certificateTime }
      const keys = await this.surroundings.exchange(target)
      const [served, ...others] = keys.host === undefined ? [address] : likeFirst(await lookUp(keys.host), address)
      if (served === undefined) throw new Error(`${keys.host} has no address`)
      // Without a port record it is 123 (RFC 8915 §4.1.8), unless the configuration names another.
      const port = keys.port ?? (endpoint.port === NTP_PORT ? NTP_PORT : endpoint.port)
      this.good += 1
      attempts.failures = 0
      attempts.problem = undefined
      this.pause(attempts)
      const session = attempts.byTheRfc && keys.otherwise !== undefined ? swapped(keys, keys.otherwise) : keys
      this.begin(source, session, { address: served, port }, this.monotonic(), others)
    } catch (error) {
      const problem =
        error instanceof KeyExchangeFailed ? error.message : `NTS keys for ${source.host}: ${reasonOf(error)}`
      if (problem !== attempts.problem) this.listener.warn(problem)
      attempts.problem = problem
      this.pause(attempts)
      attempts.failures += 1
      this.bad += 1
      this.listener.failed(source.id)
    } finally {
      attempts.running = false
    }
  }

  private pause(attempts: Attempts): void {
    attempts.inVain += 1
    attempts.notBefore = this.monotonic() + backoff(PAUSES, attempts.inVain)
  }

  private begin(
    source: NtsSource,
    session: BegunSession,
    endpoint: Endpoint,
    exchangedAt?: number,
    others: readonly string[] = []
  ): boolean {
    const { id } = session.aead
    const { otherwise, provisional } = session
    const aead = aeadProvider().aeads.get(id)
    // The association may have gone while the exchange ran.
    if (aead === undefined || !this.attempts.has(source.id)) return false
    try {
      const association = new NtsAssociation(aead, session)
      const held = { source: jarName(source), association, aead: id, endpoint, exchangedAt }
      this.held.set(source.id, { ...held, others, otherwise, provisional })
      this.listener.exchanged(source.id, association, endpoint)
      this.changed(source.id)
      return true
    } catch {
      return false
    }
  }
}

interface BegunSession extends NtsSession {
  readonly aead: AeadParameters
  readonly otherwise?: Held["otherwise"]
  readonly provisional?: Held["provisional"]
}

const newAttempts = (): Attempts => ({
  running: false,
  failures: 0,
  inVain: 0,
  byTheRfc: false,
  notBefore: -Infinity,
  problem: undefined
})

const swapped = (keys: ExchangedKeys, otherwise: NonNullable<ExchangedKeys["otherwise"]>): BegunSession => ({
  ...keys,
  ...otherwise,
  otherwise: { c2s: keys.c2s, s2c: keys.s2c }
})

/** Those of the family of an address that is known to be reached come first. */
const likeFirst = (addresses: readonly string[], known: string): readonly string[] =>
  addresses.toSorted((a, b) => Number(isIP(b) === isIP(known)) - Number(isIP(a) === isIP(known)))

const jarName = ({ host, endpoint, nts }: NtsSource): string =>
  [host, endpoint.address, String(endpoint.port), nts.host ?? "", String(nts.port)].join(" ")
