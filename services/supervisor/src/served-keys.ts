/**
 * The keys of the node: what the coordinator folded from the event log, and what the configured key file says. Every
 * process that serves gets the whole of it when it starts and again whenever something changes.
 */
import { type KeyFile, parseKeyFile } from "@meridian/auth/key-file"
import type { KeyRange } from "@meridian/auth/key-table"
import type { MacAlgorithm } from "@meridian/auth/mac-algorithms"
import { noKeys, type ServingKeys } from "@meridian/auth/serving-keys"
import type { Stats } from "node:fs"
import { accessProblem, tooOpen } from "@meridian/system/file-access"
import type { Identity } from "@meridian/system/identity"
import * as onUse from "@meridian/system/on-use"
import { FileNotRead, readRegularFile } from "@meridian/system/regular-file"

export interface KeyFilePlan {
  readonly file: string
  readonly trusted: readonly KeyRange[]
}

type Symmetric = ServingKeys["symmetric"]

/** A file of all 65 535 keys has half of it. */
const MOST_BYTES = 16 * 1024 * 1024
/** What is no key file has as many bad lines as it has lines. */
const MOST_PROBLEMS = 20

export class ServedKeys {
  private file: KeyFilePlan | undefined
  private sendCryptoNak: boolean
  private readonly changed: (keys: ServingKeys) => void
  private hashes: ReadonlySet<string> | undefined
  private fromFile: Symmetric = []
  private fromLog: ServingKeys = noKeys

  /**
   * @param changed told the whole of it after every change
   * @param hashes what this OpenSSL has, which is asked at the first key where nothing is said: builds and policies leave out RIPEMD-160, MD5 and others
   */
  constructor(
    file: KeyFilePlan | undefined,
    sendCryptoNak: boolean,
    changed: (keys: ServingKeys) => void,
    hashes?: readonly string[]
  ) {
    this.file = file
    this.sendCryptoNak = sendCryptoNak
    this.changed = changed
    this.hashes = hashes && new Set(hashes)
  }

  /**
   * Everything as it stands. Where the file and the log name the same key id, the file's key counts, and only a trustedkey
   * line trusts it: an operator wrote it.
   */
  get keys(): ServingKeys {
    const own = new Set(this.fromFile.map(({ id }) => id))
    const minted = this.fromLog.symmetric.filter(({ id }) => !own.has(id))
    const trustedByLog = (id: number): boolean =>
      this.fromLog.trusted.some(({ first, last }) => first <= id && id <= last)
    return {
      type: "keys",
      generations: this.fromLog.generations,
      symmetric: [...this.fromFile, ...minted],
      trusted: [
        ...(this.file?.trusted ?? []),
        ...minted.flatMap(({ id }) => (trustedByLog(id) ? [{ first: id, last: id }] : []))
      ],
      sendCryptoNak: this.sendCryptoNak
    }
  }

  /** What the coordinator says now. */
  useLog(keys: ServingKeys): void {
    this.fromLog = keys
    this.changed(this.keys)
  }

  /** Another file, other trusted keys; {@link readFile} is the caller's next step. */
  use(file: KeyFilePlan | undefined, sendCryptoNak: boolean): void {
    if (file?.file !== this.file?.file) this.fromFile = []
    this.file = file
    this.sendCryptoNak = sendCryptoNak
    if (file === undefined) this.changed(this.keys)
  }

  /**
   * Reads the key file again and returns what is wrong with it, a line each. A bad line loses no good one; a file that cannot
   * be read, or that holds bad lines and nothing else, leaves the keys that were there. An empty one takes them away.
   */
  readFile(): readonly string[] {
    if (this.file === undefined) return []
    const { file } = this.file
    const kept = this.fromFile.length > 0 ? `; the ${this.fromFile.length} keys read before stay in use` : ""
    let read: KeyFile
    let mode = 0
    const noteMode = (status: Stats): undefined => void (mode = status.mode)
    try {
      read = parseKeyFile(readRegularFile(file, MOST_BYTES, noteMode).toString("utf8"), file)
    } catch (error) {
      if (!(error instanceof FileNotRead)) throw error
      return [`cannot read the key file ${file}: ${error.why}${kept}`]
    }
    const { table } = read
    const usable = table.keys.filter(({ algorithm }) => this.has(algorithm))
    const open = table.size === 0 ? undefined : tooOpen(file, mode)
    const problems = [
      ...(open === undefined ? [] : [`the key file ${file}: ${open}`]),
      ...read.problems.map((problem) => problem.message),
      // A process that met such a key in a packet could only end.
      ...table.keys
        .filter(({ algorithm }) => !this.has(algorithm))
        .map(({ id, algorithm }) => `${file}: key ${id} is left out: the OpenSSL here has no ${algorithm.name}`)
    ]
    const reports = problems.slice(0, MOST_PROBLEMS)
    if (problems.length > MOST_PROBLEMS) reports.push(`${file}: and ${problems.length - MOST_PROBLEMS} more like these`)
    if (table.size === 0 && read.problems.length > 0)
      return [...reports, `no line of the key file ${file} gives a key: is it an ntp.keys file?${kept}`]
    this.fromFile = usable.map(({ id, algorithm, secret }) => ({ id, algorithm: algorithm.name, secret }))
    this.changed(this.keys)
    return reports
  }

  private has({ kind, name }: MacAlgorithm): boolean {
    if (kind === "cmac") return true
    this.hashes ??= new Set(onUse.crypto().getHashes())
    return this.hashes.has(name.toLowerCase())
  }
}

/** A key file that root reads now and its user cannot read again at a reload: what to do about it. */
export const unreadableLater = (plan: KeyFilePlan | undefined, identity: Identity | undefined): readonly string[] => {
  if (plan === undefined || identity === undefined) return []
  const problem = accessProblem(plan.file, "read", identity)
  return problem?.kind === "denied"
    ? [`the key file was read by root, and a reload goes on with its keys: ${problem.reason}`]
    : []
}
