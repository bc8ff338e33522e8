/** Who may ask by HTTP: this host's own addresses by name, so that no web page elsewhere reaches them, and who brings the token. */
import { createHash, timingSafeEqual } from "node:crypto"
import type { Stats } from "node:fs"
import { readRegularFile } from "@meridian/system/regular-file"

const LEAST_TOKEN = 16
const MOST_TOKEN = 512
const LONGEST_HEADER = 1_024

/**
 * The token that a file holds, without the white space around it.
 * @throws FileNotRead, or Error that says what is wrong with it; neither holds any of it
 */
export const readToken = (path: string): string => {
  const token = readRegularFile(path, 4_096, readableByOthers).toString("latin1").trim()
  if (token.length < LEAST_TOKEN || token.length > MOST_TOKEN || !/^[\x21-\x7e]+$/.test(token))
    throw new Error(
      `${path} holds no token: expected ${LEAST_TOKEN} to ${MOST_TOKEN} characters without white space, such as \`openssl rand -hex 32\` makes`
    )
  return token
}

const readableByOthers = ({ mode }: Stats): string | undefined =>
  (mode & 0o007) === 0 ? undefined : "everybody may read it; chmod o= it"

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

export class Admission {
  readonly #token: Buffer | undefined
  readonly #hosts: ReadonlySet<string>

  /** @param token undefined: none is asked for, which is for loopback alone */
  constructor(address: string, token: string | undefined) {
    this.#token = token === undefined ? undefined : digest(token)
    this.#hosts = new Set(["localhost", "127.0.0.1", "[::1]", address.includes(":") ? `[${address}]` : address])
  }

  get asksForToken(): boolean {
    return this.#token !== undefined
  }

  /**
   * Whether the Host header names this door. A name that another has pointed at 127.0.0.1 would let that one's web page read
   * answers. With a token there is nothing to read without it, and any name may lead here.
   */
  isOurs(host: string | undefined): boolean {
    if (this.#token !== undefined) return true
    return host !== undefined && this.#hosts.has(host.replace(/:\d{1,5}$/, "").toLowerCase())
  }

  /** @param authorization the header; takes the same time for any token of a length */
  isAuthorised(authorization: string | undefined): boolean {
    if (this.#token === undefined) return true
    if (authorization === undefined || authorization.length > LONGEST_HEADER) return false
    const given = /^bearer +(\S+)$/i.exec(authorization)?.[1]
    return given !== undefined && timingSafeEqual(digest(given), this.#token)
  }
}
