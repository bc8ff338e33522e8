/**
 * Where a process counts the turns of its event loop (heartbeat.ts of libs/ipc): memory of its own, at which its supervisor looks when it wakes
 * anyway. A message each second from each process of a node at rest would be most of what its supervisor wakes for.
 */
import { closeSync, writeSync } from "node:fs"
import { makeSharedMemory, mapSharedMemory } from "@meridian/system/shared-memory"

export class TurnCount {
  /** For the process to inherit; {@link handedOver} closes it here. */
  readonly descriptor: number
  private readonly turns: Uint32Array
  private seen = 0

  private constructor(descriptor: number, memory: ArrayBuffer) {
    this.descriptor = descriptor
    this.turns = new Uint32Array(memory)
  }

  /** Undefined where there is no such memory, without the addon or because the system refuses it: then messages say the same. */
  static make(): TurnCount | undefined {
    let descriptor: number | undefined
    try {
      descriptor = makeSharedMemory("meridian-turns", Uint32Array.BYTES_PER_ELEMENT)
      // Here a system without memory to spare says so; at a look or a turn it would end the process.
      if (descriptor !== undefined) writeSync(descriptor, new Uint32Array(1), 0, Uint32Array.BYTES_PER_ELEMENT, 0)
      const memory = descriptor === undefined ? undefined : mapSharedMemory(descriptor)
      if (descriptor !== undefined && memory !== undefined) return new TurnCount(descriptor, memory)
    } catch {
      if (descriptor !== undefined) closeSync(descriptor)
    }
    return undefined
  }

  /** The process has it, or could not be started. */
  handedOver(): void {
    closeSync(this.descriptor)
  }

  /** Whether the event loop has turned since this was asked last. */
  hasTurned(): boolean {
    const turns = this.turns[0] ?? 0
    const turned = turns !== this.seen
    this.seen = turns
    return turned
  }
}
