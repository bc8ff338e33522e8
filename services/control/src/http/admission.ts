/**
 * Who may ask by HTTP: this host's own addresses by name, so that no web page elsewhere reaches them, who brings the token, and
 * who shows a certificate. Who may act: operators alone, each by a token of their own.
 */
import type { Stats } from "node:fs"
import * as onUse from "@meridian/system/on-use"
import { readRegularFile } from "@meridian/system/regular-file"

const LEAST_TOKEN = 16
const MOST_TOKEN = 512
const LONGEST_HEADER = 1_024
const MOST_OPERATORS = 100
/** What a name in an event may be. */
const NAME = /^[0-9A-Za-z._@-]{1,64}$/

/** By name: the SHA-256 of the token. */
export type Operators = ReadonlyMap<string, Buffer>

/**
 * The token that a file holds, without the white space around it.
 * @throws FileNotRead, or Error that says what is wrong with it; neither holds any of it
 */
export const readToken = (path: string): string => {
  const token = readRegularFile(path, 4_096, readableByOthers).toString("latin1").trim()
  if (!isToken(token))
    throw new Error(
      `${path} holds no token: expected ${LEAST_TOKEN} to ${MOST_TOKEN} characters without white space, such as \`openssl rand -hex 32\` makes`
    )
  return token
}

/**
 * The operators that a file names: `NAME TOKEN` a line, empty lines and those that begin with # aside.
 * @throws FileNotRead, or Error that says which line is wrong; neither holds any token
 */
export const readOperators = (path: string): Operators => {
  const operators = new Map<string, Buffer>()
  const text = readRegularFile(path, 65_536, readableByOthers).toString("latin1")
  for (const [place, line] of text.split("\n").entries()) {
    const words = line.trim()
    if (words === "" || words.startsWith("#")) continue
    const [name = "", token = "", ...rest] = words.split(/\s+/)
    const wrong = (what: string): Error => new Error(`${path} line ${place + 1}: ${what}`)
    if (rest.length > 0 || !NAME.test(name) || !isToken(token))
      throw wrong(`expected NAME TOKEN: a name of letters, digits and . _ @ -, and ${LEAST_TOKEN} characters or more`)
    if (operators.has(name)) throw wrong(`${name} stands there twice`)
    const print = digest(token)
    if ([...operators.values()].some((other) => other.equals(print)))
      throw wrong("another operator has this token; each needs one of their own, or events name the wrong one")
    operators.set(name, print)
    if (operators.size > MOST_OPERATORS) throw wrong(`there are more than ${MOST_OPERATORS} operators`)
  }
  if (operators.size === 0) throw new Error(`${path} names no operator: expected lines of NAME TOKEN`)
  return operators
}

const isToken = (text: string): boolean =>
  text.length >= LEAST_TOKEN && text.length <= MOST_TOKEN && /^[\x21-\x7e]+$/.test(text)

const readableByOthers = ({ mode }: Stats): string | undefined =>
  (mode & 0o007) === 0 ? undefined : "everybody may read it; chmod o= it"

const digest = (text: string): Buffer => onUse.crypto().createHash("sha256").update(text).digest()

interface AdmissionRules {
  /** Where HTTP is answered. */
  readonly address: string
  /** Undefined: none is asked for. Null: one is, and cannot be read. */
  readonly token?: string | null | undefined
  /** Undefined: nobody acts here. */
  readonly operators?: Operators | undefined
  /** Whether who shows a certificate that was verified may read. */
  readonly takesCertificates?: boolean
}

export class Admission {
  readonly #isOpen: boolean
  readonly #token: Buffer | undefined
  readonly #operators: Operators | undefined
  readonly #takesCertificates: boolean
  readonly #hosts: ReadonlySet<string>

  constructor({ address, token, operators, takesCertificates = false }: AdmissionRules) {
    this.#isOpen = token === undefined && !takesCertificates
    this.#token = token === undefined || token === null ? undefined : digest(token)
    this.#operators = operators
    this.#takesCertificates = takesCertificates
    this.#hosts = new Set(["localhost", "127.0.0.1", "[::1]", address.includes(":") ? `[${address}]` : address])
  }

  /** Whether anybody may act at all. */
  get hasOperators(): boolean {
    return this.#operators !== undefined
  }

  /**
   * Whether the Host header names this listener. A name that another has pointed at 127.0.0.1 would let that one's web page read
   * answers. Where everybody has to show something there is nothing to read without it, and any name may lead here.
   */
  isOurs(host: string | undefined): boolean {
    if (!this.#isOpen) return true
    return host !== undefined && this.#hosts.has(host.replace(/:\d{1,5}$/, "").toLowerCase())
  }

  /** @param authorization the header @param isCertified whether a client's certificate was verified */
  mayRead(authorization: string | undefined, isCertified: boolean): boolean {
    if (this.#isOpen || (this.#takesCertificates && isCertified)) return true
    const given = bearer(authorization)
    if (given === undefined) return false
    const print = digest(given)
    return (
      (this.#token !== undefined && onUse.crypto().timingSafeEqual(print, this.#token)) ||
      this.#nameOf(print) !== undefined
    )
  }

  /** The operator whose token the header brings; undefined where it brings none. */
  operator(authorization: string | undefined): string | undefined {
    const given = bearer(authorization)
    return given === undefined ? undefined : this.#nameOf(digest(given))
  }

  /** Looks at all of them, so that it takes the same time for any. */
  #nameOf(print: Buffer): string | undefined {
    let found: string | undefined
    for (const [name, own] of this.#operators ?? []) if (onUse.crypto().timingSafeEqual(print, own)) found = name
    return found
  }
}

const bearer = (authorization: string | undefined): string | undefined =>
  authorization === undefined || authorization.length > LONGEST_HEADER
    ? undefined
    : /^bearer +(\S+)$/i.exec(authorization)?.[1]
