/**
 * The cluster keys this node holds: one, and during a change two. As text a key is 64 hexadecimal digits, or 44 characters
 * of Base64. A file must not be open to everybody; what systemd hands over is guarded by systemd.
 */
import { randomBytes } from "node:crypto"
import { existsSync, lstatSync, renameSync, rmSync, statSync, writeFileSync } from "@meridian/system/files"
import { join } from "node:path"
import { type LogKeys, logKeyOf, CLUSTER_KEY_BYTES, fingerprint } from "@meridian/event-log"
import { reasonOf } from "@meridian/system/errno-words"
import { readRegularFile } from "@meridian/system/regular-file"

/** No cluster key, or one that cannot be used. Never holds the key. */
class ClusterKeyProblem extends Error {
  readonly _tag = "ClusterKeyProblem"
}

/** Where to look, in this order; main.ts reads the environment. */
interface ClusterKeySources {
  readonly file: string | undefined
  /** systemd's directory of credentials. */
  readonly credentials: string | undefined
  /** The key itself, as text. */
  readonly variable: string | undefined
  /** The node's state directory. */
  readonly directory: string
  /** Whether to make a key where there is none: only a node on its own may. */
  readonly create: boolean
}

/** Write for the group, anything for others. Reading by the group is how a service's own group is let in. */
const FORBIDDEN_MODE = 0o037
const LONGEST_TEXT = 1_024
const OWN = "cluster-key"
const NEXT = "cluster-key.next"

export class ClusterKeys implements LogKeys {
  /** Where the first key came from, in words. */
  readonly origin: string
  readonly #directory: string
  readonly #byFingerprint = new Map<string, Uint8Array>()
  /** Also of former keys: what was written under them stays in the log. */
  readonly #logKeys = new Map<string, Uint8Array>()
  /** Fingerprint of the key that was given at the start. */
  readonly first: string

  constructor(key: Uint8Array, origin: string, directory: string) {
    this.origin = origin
    this.#directory = directory
    this.first = this.add(key)
  }

  /** The fingerprints of the keys at hand, in the order of their coming. */
  get fingerprints(): ReadonlyArray<string> {
    return [...this.#byFingerprint.keys()]
  }

  has(print: string): boolean {
    return this.#byFingerprint.has(print)
  }

  get(print: string): Uint8Array | undefined {
    return this.#byFingerprint.get(print)
  }

  add(key: Uint8Array): string {
    const print = fingerprint(key)
    this.#byFingerprint.set(print, key)
    this.#logKeys.set(print, logKeyOf(key))
    return print
  }

  logKey(print: string): Uint8Array | undefined {
    return this.#logKeys.get(print)
  }

  addLogKey(print: string, key: Uint8Array): void {
    this.#logKeys.set(print, key)
  }

  /** The fingerprint of a key, at hand or not. */
  printOf(key: Uint8Array): string {
    return fingerprint(key)
  }

  /** Keeps the key to change to, also for the next start. */
  keepNext(key: Uint8Array): string {
    writePrivate(join(this.#directory, NEXT), key)
    return this.add(key)
  }

  /**
   * A change is complete: `current` is the cluster's key now, and `former` keys open nothing any more. A key that the node
   * made for itself is replaced in its file. Returns what an operator has to do, if anything.
   */
  settle(current: string, former: ReadonlyArray<string>): string | undefined {
    for (const print of former) {
      this.#byFingerprint.get(print)?.fill(0)
      this.#byFingerprint.delete(print)
    }
    const next = join(this.#directory, NEXT)
    if (!existsSync(next) || fingerprint(readClusterKeyFile(next)) !== current) return undefined
    if (this.first === current) {
      rmSync(next)
      return undefined
    }
    if (this.origin === join(this.#directory, OWN)) {
      renameSync(next, this.origin)
      return undefined
    }
    return `the cluster key has changed to ${current}: put the new key in place of the old one (${this.origin}); until then this node takes it from ${next}`
  }
}

/** The key that the sources give. @throws ClusterKeyProblem, which names the source */
export const openClusterKeys = (sources: ClusterKeySources): ClusterKeys => {
  const { directory } = sources
  const [key, origin] = firstKey(sources)
  const keys = new ClusterKeys(key, origin, directory)
  const next = join(directory, NEXT)
  if (existsSync(next)) keys.add(readClusterKeyFile(next))
  return keys
}

const firstKey = (sources: ClusterKeySources): readonly [Uint8Array, string] => {
  const { file, credentials, variable, directory, create } = sources
  if (file !== undefined) return [readClusterKeyFile(file), file]
  const credential = credentials === undefined ? undefined : join(credentials, OWN)
  if (credential !== undefined && existsSync(credential))
    return [parseClusterKey(readText(credential), credential), credential]
  if (variable !== undefined && variable !== "")
    return [parseClusterKey(variable, "MERIDIAN_CLUSTER_KEY"), "MERIDIAN_CLUSTER_KEY"]
  const own = join(directory, OWN)
  // A link that leads nowhere is a key that is elsewhere: none is made in its place.
  if (lstatSync(own, { throwIfNoEntry: false }) === undefined) {
    if (!create)
      throw new ClusterKeyProblem(
        "no cluster key: give the one that `meridian cluster init` made with --cluster-key FILE, as the systemd credential cluster-key, or in MERIDIAN_CLUSTER_KEY"
      )
    writePrivate(own, randomBytes(CLUSTER_KEY_BYTES))
  }
  return [readClusterKeyFile(own), own]
}

/** What a file's mode lets others do to a secret in it, in words; undefined where it lets them do nothing. */
export const exposure = (file: string, secret: string): string | undefined => {
  const mode = statSync(file).mode & 0o777
  return (mode & FORBIDDEN_MODE) === 0
    ? undefined
    : `${file} has mode ${mode.toString(8).padStart(4, "0")}, which lets others at ${secret}: chmod 600 it`
}

/** The key in a file. @throws ClusterKeyProblem */
export const readClusterKeyFile = (file: string): Uint8Array => {
  const exposed = attempt(file, () => exposure(file, "the cluster key"))
  if (exposed !== undefined) throw new ClusterKeyProblem(exposed)
  return parseClusterKey(readText(file), file)
}

/** A key as text. `origin` is for the error. @throws ClusterKeyProblem */
export const parseClusterKey = (text: string, origin: string): Uint8Array => {
  const word = text.trim()
  const encoding = /^[0-9a-fA-F]{64}$/.test(word) ? "hex" : /^[A-Za-z0-9+/]{43}=$/.test(word) ? "base64" : undefined
  const key = encoding === undefined ? undefined : new Uint8Array(Buffer.from(word, encoding))
  if (key?.length === CLUSTER_KEY_BYTES) return key
  throw new ClusterKeyProblem(
    `${origin} holds no cluster key: expected ${CLUSTER_KEY_BYTES} bytes as 64 hexadecimal digits or 44 characters of Base64`
  )
}

const readText = (file: string): string => {
  const status = attempt(file, () => statSync(file))
  const { size } = status
  // A pipe would be waited for, and nothing else is done meanwhile.
  if (!status.isFile()) throw new ClusterKeyProblem(`${file} is no file: a cluster key is one short line in a file`)
  if (size > LONGEST_TEXT) throw new ClusterKeyProblem(`${file} has ${size} bytes: a cluster key is one short line`)
  return attempt(file, () => readRegularFile(file, LONGEST_TEXT).toString("utf8"))
}

const attempt = <A>(file: string, run: () => A): A => {
  try {
    return run()
  } catch (error) {
    throw new ClusterKeyProblem(`cannot read the cluster key ${file}: ${reasonOf(error)}`)
  }
}

/** Whole or not at all, readable by the owner alone. */
const writePrivate = (file: string, key: Uint8Array): void => {
  const fresh = `${file}.new`
  writeFileSync(fresh, `${Buffer.from(key).toString("hex")}\n`, { mode: 0o600, flush: true })
  renameSync(fresh, file)
}
