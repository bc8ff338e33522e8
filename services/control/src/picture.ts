/** The picture that is shown now. Windows read it once for each answer and are told when another comes. */
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { pictureAt } from "@meridian/ipc/report-age"

export class Picture {
  #current: NodeSnapshot | undefined
  readonly #listeners = new Set<(snapshot: NodeSnapshot, before: NodeSnapshot | undefined) => void>()

  /** Undefined before the first. */
  get current(): NodeSnapshot | undefined {
    return this.#current
  }

  /** The same, what only grows older counted on from when it was taken. @param monotonic CLOCK_MONOTONIC now, seconds */
  at(monotonic: number): NodeSnapshot | undefined {
    return this.#current && pictureAt(this.#current, monotonic)
  }

  replace(snapshot: NodeSnapshot): void {
    const before = this.#current
    this.#current = snapshot
    for (const listener of this.#listeners) listener(snapshot, before)
  }

  /** Calls for each new picture; returns what ends that. */
  onChange(listener: (snapshot: NodeSnapshot, before: NodeSnapshot | undefined) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}
