/**
 * The keys of the node: what the coordinator folded from the event log, and what the configured key file says. Every
 * process that serves gets the whole of it when it starts and again whenever something changes.
 */
import { readFileSync } from "node:fs"
import { parseKeyFile } from "@meridian/auth/key-file"
import type { KeyRange } from "@meridian/auth/key-table"
import { noKeys, type ServingKeys } from "@meridian/auth/serving-keys"

export interface KeyFilePlan {
  readonly file: string
  readonly trusted: readonly KeyRange[]
}

type Symmetric = ServingKeys["symmetric"]

export class KeyBoard {
  private readonly file: KeyFilePlan | undefined
  private readonly sendCryptoNak: boolean
  private readonly changed: (keys: ServingKeys) => void
  private fromFile: Symmetric = []
  private fromLog: ServingKeys = noKeys

  /** @param changed told the whole of it after every change */
  constructor(file: KeyFilePlan | undefined, sendCryptoNak: boolean, changed: (keys: ServingKeys) => void) {
    this.file = file
    this.sendCryptoNak = sendCryptoNak
    this.changed = changed
  }

  /** Everything as it stands. Where the file and the log name the same key id, the file's key counts: an operator wrote it. */
  get keys(): ServingKeys {
    const own = new Set(this.fromFile.map(({ id }) => id))
    return {
      type: "keys",
      generations: this.fromLog.generations,
      symmetric: [...this.fromFile, ...this.fromLog.symmetric.filter(({ id }) => !own.has(id))],
      trusted: [...(this.file?.trusted ?? []), ...this.fromLog.trusted],
      sendCryptoNak: this.sendCryptoNak
    }
  }

  /** What the coordinator says now. */
  useLog(keys: ServingKeys): void {
    this.fromLog = keys
    this.changed(this.keys)
  }

  /**
   * Reads the key file again and returns what is wrong with it, a line each. A file that cannot be read leaves the keys that
   * were there; a bad line loses no good one.
   */
  readFile(): readonly string[] {
    if (this.file === undefined) return []
    const { file } = this.file
    let text: string
    try {
      text = readFileSync(file, "utf8")
    } catch (error) {
      const kept = this.fromFile.length > 0 ? `; the ${this.fromFile.length} keys read before stay in use` : ""
      return [`cannot read the key file ${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}${kept}`]
    }
    const { table, problems } = parseKeyFile(text, file)
    this.fromFile = table.keys.map(({ id, algorithm, secret }) => ({ id, algorithm: algorithm.name, secret }))
    this.changed(this.keys)
    return problems.map((problem) => problem.message)
  }
}
