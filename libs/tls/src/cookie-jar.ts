/**
 * NTS keys and cookies of a client that outlive the process, so that the next start need not exchange keys. One file in the
 * state directory, sealed with XChaCha20-Poly1305 under a key in a second file; both are for the owner's eyes only. It is not
 * precious: whatever is wrong with it, keys are exchanged anew.
 */
import { randomBytes } from "node:crypto"
import { mkdirSync, renameSync, rmSync, writeFileSync } from "@meridian/system/files"
import { join } from "node:path"
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js"
import { reasonOf } from "@meridian/system/errno-words"
import { FileNotRead, readRegularFile } from "@meridian/system/regular-file"

/** The node's own jars; another program that keeps some in the same directory names its file otherwise. */
const NODE_JARS = "nts-cookies"
const KEY_BYTES = 32
const NONCE_BYTES = 24
const PURPOSE = new TextEncoder().encode("meridian nts cookies 1")
/** Jars kept; a file with more was not written by us. */
const MOST_JARS = 256
/** Of a file: that many jars of eight cookies of 512 bytes, in base 64, have a quarter of it. */
const MOST_BYTES = 8 * 1024 * 1024

/** One association's keys. Holds key material. */
export interface Jar {
  readonly aead: number
  readonly c2s: Uint8Array
  readonly s2c: Uint8Array
  readonly cookies: readonly Uint8Array[]
  /** Where its cookies are good. */
  readonly address: string
  readonly port: number
}

interface StoredJar extends Omit<Jar, "c2s" | "s2c" | "cookies"> {
  readonly c2s: string
  readonly s2c: string
  readonly cookies: readonly string[]
}

const toText = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")
const fromText = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"))

export class CookieJars {
  private readonly directory: string
  private readonly name: string

  /** @param name of the file; its key lies beside it, in `NAME.key` */
  constructor(directory: string, name = NODE_JARS) {
    this.directory = directory
    this.name = name
  }

  /**
   * The jars by source, each once: they are gone from the file afterwards, for a cookie is used once and a crash must not
   * bring it back. Also a sentence when there was a file that is no good, or that cannot be emptied.
   */
  take(): { readonly jars: ReadonlyMap<string, Jar>; readonly problem: string | undefined } {
    const path = this.path(this.name)
    const none = (problem?: string) => ({ jars: new Map<string, Jar>(), problem })
    let jars: ReadonlyMap<string, Jar>
    try {
      jars = this.open(readRegularFile(path, MOST_BYTES))
    } catch (error) {
      if (!(error instanceof FileNotRead))
        return none(
          `${path} does not open with ${this.name}.key beside it: kept cookies are lost, keys are exchanged anew`
        )
      return none(error.reason === "ENOENT" ? undefined : `${error.message}: keys are exchanged anew`)
    }
    try {
      this.save(new Map())
    } catch (error) {
      return none(
        `${path} cannot be written (${reasonOf(error)}): its cookies could be used twice and are not, keys are exchanged anew`
      )
    }
    return { jars, problem: undefined }
  }

  /** Replaces the file. Throws the file system's error. */
  save(jars: ReadonlyMap<string, Jar>): void {
    const stored = [...jars].map(([source, { c2s, s2c, cookies, ...rest }]): [string, StoredJar] => [
      source,
      { ...rest, c2s: toText(c2s), s2c: toText(s2c), cookies: cookies.map(toText) }
    ])
    const nonce = new Uint8Array(randomBytes(NONCE_BYTES))
    const text = new TextEncoder().encode(JSON.stringify(stored))
    mkdirSync(this.directory, { recursive: true, mode: 0o700 })
    const box = xchacha20poly1305(this.key(), nonce, PURPOSE).encrypt(text)
    const fresh = this.path(`${this.name}.new`)
    // Made new each time: what somebody else put there is not written into.
    rmSync(fresh, { force: true })
    writeFileSync(fresh, Buffer.concat([nonce, box]), { mode: 0o600, flag: "wx" })
    renameSync(fresh, this.path(this.name))
  }

  /** Throws on what was not sealed here. */
  private open(bytes: Uint8Array): ReadonlyMap<string, Jar> {
    const text = xchacha20poly1305(this.key(), bytes.subarray(0, NONCE_BYTES), PURPOSE).decrypt(
      bytes.subarray(NONCE_BYTES)
    )
    const stored = JSON.parse(new TextDecoder().decode(text)) as readonly (readonly [string, StoredJar])[]
    return new Map(
      stored
        .slice(0, MOST_JARS)
        .map(([source, { c2s, s2c, cookies, ...rest }]) => [
          source,
          { ...rest, c2s: fromText(c2s), s2c: fromText(s2c), cookies: cookies.map(fromText) }
        ])
    )
  }

  /** Reads the key, or makes one. Throws FileNotRead when there is something else in its place. */
  private key(): Uint8Array {
    const path = this.path(`${this.name}.key`)
    try {
      const key = new Uint8Array(readRegularFile(path, MOST_BYTES))
      if (key.length === KEY_BYTES) return key
    } catch (error) {
      if (!(error instanceof FileNotRead) || error.reason !== "ENOENT") throw error
    }
    const key = new Uint8Array(randomBytes(KEY_BYTES))
    rmSync(path, { force: true })
    writeFileSync(path, key, { mode: 0o600, flag: "wx" })
    return key
  }

  private path(name: string): string {
    return join(this.directory, name)
  }
}
