/** What an answer is made of: one picture, and what this process itself counts. */
import type { KernelClockState } from "@meridian/clocks/kernel-clock"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import type { EventWords } from "./event-words.ts"

export interface ControlView {
  /** What it says of the clock and its sources is as of now. */
  readonly snapshot: NodeSnapshot
  /** How old the picture is, seconds: what else it says of times since is moved on by so much. */
  readonly age: number
  readonly words: EventWords
  /** Served time, Unix seconds. */
  readonly now: number
  /** The kernel's clock; undefined where it cannot be read. */
  readonly kernel: KernelClockState | undefined
  /** Control requests since the start, this one included, and MACs computed on them, by what became of them. */
  readonly requests: number
  readonly digests: { readonly made: number; readonly verified: number; readonly failed: number }
}

/** A variable's value as it stands in the text; undefined where the node has none, which leaves the name out. */
export type Variable = (view: ControlView) => string | undefined
