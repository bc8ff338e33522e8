/**
 * What a supervisor hands on to the program that it becomes when it is replaced by another version: its sockets with what waits in them, the
 * clock page, the memory of the clients, and the processes that serve until successors do. Everything else is made anew.
 */
import { closeSync } from "@meridian/system/files"
import { keepOpen, takeOver } from "@meridian/system/process-image"
import { loadNative } from "@meridian/system/native"
import { clientTableBytes, TABLE_MAGIC } from "@meridian/protocol/access/client-layout"
import { packetKinds } from "@meridian/udp/packet-steering"
import { fits, list, optional, record, text, type TypeOf, whole, words } from "@meridian/ipc/shape"
import { socketPlace } from "@meridian/ipc/serving-plan"

const descriptor = whole(0, 1_048_576)
const descriptors = list(descriptor, 65_536)

/** The newest so many: they go by the environment, one variable of which the kernel takes up to 128 KiB. */
export const MOST_OFFLINE_LEFT = 1_000

const legacyShape = record({
  /** Of memory that is shared between versions: what does not match is left behind. */
  layout: text(1, 65_536),
  /** Of the steering programs. */
  seed: whole(0, 0xffffffff),
  udp: list(
    record({
      key: text(1, 512),
      place: socketPlace,
      workers: descriptors,
      kinds: list(record({ kind: words(...packetKinds), descriptor }), 16)
    }),
    4_096
  ),
  tcp: list(record({ key: text(1, 512), place: socketPlace, descriptors }), 4_096),
  commands: descriptors,
  page: record({ writable: descriptor, readable: descriptor }),
  /** A piece a worker's place. */
  clients: descriptors,
  /** Addresses of sources that an operator took offline; absent: none, or a version before that says nothing of it. */
  offline: optional(list(text(1, 64), MOST_OFFLINE_LEFT)),
  /** Serve until they are told to end. */
  processes: list(whole(1, 2 ** 31 - 1), 65_536)
})
export type Legacy = TypeOf<typeof legacyShape>

const VARIABLE = "MERIDIAN_LEGACY"

/** Of shared memory, as this version has it. */
export const memoryLayout = (): string =>
  JSON.stringify([loadNative().addon?.clockLineLayout ?? {}, clientTableBytes(1), TABLE_MAGIC])

const descriptorsOf = ({ udp, tcp, commands, page, clients }: Legacy): readonly number[] => [
  ...udp.flatMap(({ workers, kinds }) => [...workers, ...kinds.map((own) => own.descriptor)]),
  ...tcp.flatMap((own) => own.descriptors),
  ...commands,
  page.writable,
  page.readable,
  ...clients
]

/** The environment of the program that this process is about to become. All descriptors stay open in it. */
export const bequeath = (legacy: Legacy, environment: NodeJS.ProcessEnv): Record<string, string> => {
  keepOpen([...new Set(descriptorsOf(legacy))])
  const given = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return { ...Object.fromEntries(given), [VARIABLE]: JSON.stringify(legacy) }
}

/** What the program before this one has left; undefined for a start like any other. */
export const inherit = (environment: NodeJS.ProcessEnv): Legacy | undefined => {
  const told = environment[VARIABLE]
  delete environment[VARIABLE]
  if (told === undefined) return undefined
  const legacy: unknown = JSON.parse(told)
  if (!fits(legacyShape, legacy)) return undefined
  takeOver([...new Set(descriptorsOf(legacy))])
  return legacy
}

/** Closes memory of another version's shape, which this one has no use for: the processes that serve in it hold it until they end. */
export const leaveMemory = ({ page, clients }: Pick<Legacy, "page" | "clients">): void => {
  for (const descriptor of new Set([page.writable, page.readable, ...clients])) closeSync(descriptor)
}
