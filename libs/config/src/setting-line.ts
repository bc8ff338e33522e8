import type { Origin } from "./sourced.ts"

/** One effective setting. */
export interface SettingLine {
  /** The directive's name, of `nts` and `extra` with their option's; the same name comes several times where there are several values. */
  readonly directive: string
  /** The operands as they stand in a file; undefined where nothing is set and the caller chooses. */
  readonly value: string | undefined
  readonly origin: Origin
}
