/** The memory that the workers keep their clients in: one piece a worker's place, read here and handed on to each successor. */
import { clientTableBytes } from "@meridian/protocol/access/client-layout"
import { makeSharedMemory, mapSharedMemory } from "@meridian/system/shared-memory"

export interface ClientMemory {
  readonly descriptor: number
  readonly buffer: ArrayBuffer
}

/**
 * @param bytes over all workers. Empty without the addon: each worker keeps a small table of its own then.
 * @param left by the program before, one for each worker; of memory another size is made anew
 */
export const openClientMemory = (
  bytes: number,
  workers: number,
  left: readonly number[] = []
): readonly ClientMemory[] => {
  if (left.length === workers)
    return left.flatMap((descriptor) => {
      const buffer = mapSharedMemory(descriptor)
      return buffer === undefined ? [] : [{ descriptor, buffer }]
    })
  const each = Math.max(Math.floor(bytes / workers), clientTableBytes(1))
  return Array.from({ length: workers }, () => {
    const descriptor = makeSharedMemory("meridian-clients", each)
    const buffer = descriptor === undefined ? undefined : mapSharedMemory(descriptor)
    return descriptor === undefined || buffer === undefined ? [] : [{ descriptor, buffer }]
  }).flat()
}
