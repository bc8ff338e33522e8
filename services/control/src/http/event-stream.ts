/** Server-sent events: each new picture to whoever listens, made into text once for all of them. */
import type { ServerResponse } from "node:http"
import { everyTurn, type Turns } from "@meridian/ipc/turns"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"

const MOST_STREAMS = 32
const LOOK_MS = 1_000
/** Bytes that wait for a slow reader before it is let go. */
const MOST_WAITING = 1 << 20
/** Clients that are told with each picture; all of them are at /api/v1/clients. */
const LOUDEST = 20

/** The picture with the clients that ask most. */
const briefly = (snapshot: NodeSnapshot): NodeSnapshot =>
  snapshot.clients === null
    ? snapshot
    : { ...snapshot, clients: { ...snapshot.clients, entries: loudest(snapshot.clients.entries) } }

const loudest = <A extends { readonly packets: number }>(entries: readonly A[]): readonly A[] => {
  const kept: A[] = []
  for (const entry of entries) {
    if (kept.length === LOUDEST && entry.packets <= kept[LOUDEST - 1]!.packets) continue
    const place = kept.findIndex(({ packets }) => packets < entry.packets)
    kept.splice(place === -1 ? kept.length : place, 0, entry)
    if (kept.length > LOUDEST) kept.pop()
  }
  return kept
}

/** A picture as an event, with why the node is not ready. */
export const pictureEvent = (snapshot: NodeSnapshot, unready: readonly string[]): string =>
  `event: snapshot\nid: ${snapshot.sequence}\ndata: ${JSON.stringify({ ...briefly(snapshot), unready })}\n\n`

export class EventStream {
  readonly #readers = new Set<ServerResponse>()
  readonly #look: () => void
  #looks: Turns | undefined

  /** @param look asks for a new picture: each second while somebody listens */
  constructor(look: () => void) {
    this.#look = look
  }

  /** False where there are too many already. The headers must not be written yet. @param first what to begin with */
  add(response: ServerResponse, headers: Readonly<Record<string, string>>, first: string): boolean {
    if (this.#readers.size >= MOST_STREAMS) return false
    response.writeHead(200, { ...headers, "content-type": "text/event-stream; charset=utf-8" })
    response.write(`retry: 2000\n\n${first}`)
    this.#readers.add(response)
    this.#looks ??= everyTurn(LOOK_MS, this.#look)
    response.on("close", () => {
      this.#readers.delete(response)
      if (this.#readers.size === 0) this.#rest()
    })
    return true
  }

  tell(snapshot: NodeSnapshot, unready: readonly string[]): void {
    if (this.#readers.size === 0) return
    const text = pictureEvent(snapshot, unready)
    for (const reader of this.#readers) {
      if (reader.writableLength > MOST_WAITING) reader.destroy()
      else reader.write(text)
    }
  }

  #rest(): void {
    this.#looks?.stop()
    this.#looks = undefined
  }

  close(): void {
    this.#rest()
    for (const reader of this.#readers) reader.destroy()
  }
}
