/** Memory that several processes see, handed over as a descriptor; see native/shared-memory.c. */
import { loadNative } from "./native.ts"

/**
 * Makes zeros of a fixed size and returns their descriptor, closed on exec; undefined without the addon.
 * @throws where the system refuses
 */
export const makeSharedMemory = (name: string, bytes: number): number | undefined =>
  loadNative().addon?.makeSharedMemory(name, bytes)

/**
 * Maps all of it for reading and writing; undefined without the addon. The descriptor stays the caller's and may be closed.
 * @throws where the descriptor is of no such memory
 */
export const mapSharedMemory = (descriptor: number): ArrayBuffer | undefined =>
  loadNative().addon?.mapSharedMemory(descriptor)
