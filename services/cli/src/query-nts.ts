/**
 * `meridian query --nts`: key establishment, then NTP requests under its keys (RFC 8915). Nothing that is not authenticated
 * counts as an answer. Where a directory is given, keys and unused cookies stay there, sealed, for the next query.
 */
import { randomFillSync } from "node:crypto"
import { type Aead, aeadParameters, type AeadId } from "@meridian/auth/aead"
import { NtsAssociation } from "@meridian/auth/nts-client"
import { aeadProvider } from "@meridian/ciphers/aead"
import { CookieJars, type Jar } from "@meridian/tls/cookie-jar"
import {
  exchangeKeys,
  KeyExchangeFailed,
  type KeyExchangeTarget,
  type ShownCertificate
} from "@meridian/tls/nts-key-exchange"
import { clientRequest } from "@meridian/protocol/sntp-client"
import { reasonOf } from "@meridian/system/errno-words"
import {
  addressOf,
  type Answer,
  askOnce,
  askRepeatedly,
  type Destination,
  judgePlain,
  newNonce,
  QueryFailed,
  type Question
} from "./query.ts"

/** Beside a node's own jars, whose file has another name. */
const JARS_NAME = "query-cookies"
const NTP_PORT = 123
const NTS_VERSION = 4

export interface NtsQueryPlan {
  readonly host: string
  /** TCP port of the key exchange. */
  readonly port: number
  readonly count: number
  readonly timeoutMs: number
  /** File or folder of PEM certificates; null: the system's. */
  readonly ca: string | null
  /** The one algorithm to offer; undefined: what the library prefers. */
  readonly aead: AeadId | undefined
  /** Where cookies are kept; undefined: nowhere. */
  readonly state: string | undefined
}

export interface NtsAnswer extends Answer {
  /** In the jar after this answer. */
  readonly cookies: number
}

/** What the answers were authenticated with; holds no key. */
export interface UsedKeys {
  readonly from: "exchange" | "earlier exchange"
  readonly aead: string
  /** Where time is served. */
  readonly address: string
  readonly port: number
  /** Cookies in the jar before the first request. */
  readonly cookies: number
  /** Null for keys of an earlier exchange. */
  readonly certificate: ShownCertificate | null
}

interface NtsQueryResult {
  /** Undefined when there are none. */
  readonly keys: UsedKeys | undefined
  readonly answers: readonly (NtsAnswer | QueryFailed)[]
  /** About kept cookies; the query goes on without them. */
  readonly warnings: readonly string[]
}

interface Session {
  readonly association: NtsAssociation
  readonly aead: Aead
  readonly destination: Destination
  readonly keys: UsedKeys
}

/** Exchanges keys, unless kept ones serve, and asks `count` times, a second apart; stops at the first failure. */
export const queryNts = async (plan: NtsQueryPlan): Promise<NtsQueryResult> => {
  const kept = new KeptSessions(plan)
  let session = kept.session()
  const ask = async (): Promise<NtsAnswer | QueryFailed> => {
    if (session === undefined || session.association.needsKeyExchange) {
      const fresh = await newSession(plan)
      if (fresh instanceof QueryFailed) return fresh
      session = fresh
    }
    const answer = await askOnce(session.destination, ntsQuestion(session, plan), plan.timeoutMs)
    return answer instanceof QueryFailed ? answer : { ...answer, cookies: session.association.cookies }
  }
  const askUntilKeysServe = async (): Promise<NtsAnswer | QueryFailed> => {
    const answer = await ask()
    // Kept cookies may have outlived the server's keys: it says so with a NAK, or says nothing.
    const outlived =
      answer instanceof QueryFailed && answer.reason === "silence" && session?.keys.from === "earlier exchange"
    if (!outlived) return answer
    session = undefined
    return ask()
  }
  try {
    const answers = await askRepeatedly(plan.count, askUntilKeysServe)
    return { keys: session?.keys, answers, warnings: kept.warnings }
  } finally {
    kept.save(session)
  }
}

const newSession = async ({ host, port, ca, aead }: NtsQueryPlan): Promise<Session | QueryFailed> => {
  const address = await addressOf(host)
  if (address instanceof QueryFailed) return address
  const target = { name: host, address, port, ca, insecure: false, aeads: aead === undefined ? undefined : [aead] }
  try {
    const exchanged = await exchangeKeys(target)
    const served = exchanged.host === undefined ? address : await addressOf(exchanged.host)
    if (served instanceof QueryFailed) return served
    const destination = { address: served, port: exchanged.port ?? NTP_PORT }
    return sessionOf(exchanged.aead.id, exchanged, destination, exchanged.certificate)
  } catch (error) {
    if (!(error instanceof KeyExchangeFailed)) throw error
    const told = error.reason === "dates" ? await aboutDates(target) : advice[error.reason]
    return new QueryFailed("no-keys", `${error.message}; ${told}`)
  }
}

/** Which clock or certificate is likely at fault. The dates are asked for once more, from whoever answers: nothing else is taken. */
const aboutDates = async (target: KeyExchangeTarget): Promise<string> => {
  const look = "`meridian query HOST` without --nts shows how far this clock is off"
  try {
    const { begins, expires } = (await exchangeKeys({ ...target, insecure: true })).certificate
    if (Date.now() < Date.parse(begins))
      return `it is valid from ${begins}: this machine's clock is the likely fault, set it first; ${look}`
    if (Date.now() >= Date.parse(expires))
      return `it expired on ${expires}: the server is to renew it, unless this machine's clock is wrong; ${look}`
  } catch (error) {
    if (!(error instanceof KeyExchangeFailed)) throw error
  }
  return `is this machine's clock right? ${look}`
}

const advice: Readonly<Record<Exclude<KeyExchangeFailed["reason"], "dates">, string>> = {
  ca: "--ca takes a PEM file of certificates, or a folder of such files",
  connection: "is NTS served there? The port to name is TCP, that of the key exchange",
  certificate:
    "ask by a name that the certificate is for, or give the certificate of an authority of your own with --ca FILE",
  alpn: "the port to name is that of the NTS key exchange",
  timeout: "is the TCP port open on the way, and NTS served there?",
  refused: "if it has no algorithm in common, name another with --aead"
}

const sessionOf = (
  id: AeadId,
  session: Pick<Jar, "c2s" | "s2c" | "cookies">,
  destination: Destination,
  certificate: ShownCertificate | null
): Session => {
  // All four algorithms are there in every build.
  const aead = aeadProvider().aeads.get(id) as Aead
  const association = new NtsAssociation(aead, session)
  const from = certificate === null ? "earlier exchange" : "exchange"
  const keys: UsedKeys = { from, aead: aead.name, ...destination, cookies: association.cookies, certificate }
  return { association, aead, destination, keys }
}

const ntsQuestion = ({ association, destination }: Session, { timeoutMs }: NtsQueryPlan): Question => {
  const nonce = newNonce()
  // Only an association without cookies has no request, and then keys are exchanged first.
  const request = association.request(clientRequest(NTS_VERSION, nonce), randomFillSync) as Uint8Array
  const judge = judgePlain(NTS_VERSION, nonce)
  let unknownCookie = false
  return {
    request,
    judge: (packet, sent, arrived) => {
      const verdict = association.accept(packet)
      // Anybody can say that a cookie is not known; the wait goes on for a reply that is authenticated.
      if (verdict._tag === "Nak") unknownCookie = true
      return verdict._tag === "Authentic" ? judge(packet, sent, arrived) : undefined
    },
    silence: () =>
      new QueryFailed(
        "silence",
        unknownCookie
          ? `${destination.address} port ${destination.port} does not know the cookie it was shown (NTSN): do the servers of this name share their keys?`
          : `keys were had, but no authenticated answer came from ${destination.address} port ${destination.port} within ${timeoutMs / 1000} s: is UDP open on the way, also for packets of ${request.length} bytes?`
      )
  }
}

/** Sessions of earlier queries. What an authority of another file vouched for is another session. */
class KeptSessions {
  readonly warnings: string[] = []
  private readonly jars: CookieJars | undefined
  private readonly kept: Map<string, Jar>
  private readonly name: string
  private readonly aead: AeadId | undefined

  constructor({ host, port, ca, aead, state }: NtsQueryPlan) {
    this.name = [host, String(port), ca ?? ""].join(" ")
    this.aead = aead
    this.jars = state === undefined ? undefined : new CookieJars(state, JARS_NAME)
    const taken = this.jars?.take()
    this.kept = new Map(taken?.jars)
    if (taken?.problem !== undefined) this.warnings.push(taken.problem)
  }

  session(): Session | undefined {
    const jar = this.kept.get(this.name)
    this.kept.delete(this.name)
    const aead = jar === undefined ? undefined : aeadParameters(jar.aead)
    if (jar === undefined || aead === undefined || jar.cookies.length === 0) return undefined
    if (this.aead !== undefined && this.aead !== aead.id) return undefined
    return sessionOf(aead.id, jar, { address: jar.address, port: jar.port }, null)
  }

  /** Puts back the other sessions, and this one with the cookies that were not used. */
  save(session: Session | undefined): void {
    if (this.jars === undefined) return
    if (session !== undefined && session.association.cookies > 0)
      this.kept.set(this.name, { ...session.association.session(), aead: session.aead.id, ...session.destination })
    try {
      this.jars.save(this.kept)
    } catch (error) {
      this.warnings.push(`cookies cannot be kept for the next query: ${reasonOf(error)}`)
    }
  }
}
