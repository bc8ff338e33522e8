/** The list of clients as the workers' memory holds it: for `meridian clients`, and for the node's picture. */
import { textOfOctets } from "@meridian/config/address"
import type { ClientEntry as ClientReport, ClientList } from "@meridian/ipc"
import { ticksAt } from "@meridian/protocol/access/client-layout"
import { mergeClients } from "./xdp-clients.ts"
import {
  averageInterval,
  CLIENT_ORDERS,
  type ClientEntry,
  type ClientOrder,
  clientTotals,
  listClients,
  sortClients
} from "@meridian/protocol/access/client-list"

/** Entries that one answer holds at most. */
export const MOST_LISTED = 10_000

interface Moment {
  /** Unix seconds. */
  readonly realtime: number
  /** CLOCK_MONOTONIC, seconds. */
  readonly monotonic: number
}

/** The order of this name; of another `last`. */
export const orderOf = (name: string | null): ClientOrder =>
  name !== null && Object.hasOwn(CLIENT_ORDERS, name) ? (name as ClientOrder) : "last"

/**
 * @param ages of entries, as the lines about the list say
 * @param answered clients that the BPF program remembers: they are listed with those of the tables, and added up where both have one
 */
export const clientList = (
  tables: readonly ArrayBuffer[],
  ages: Pick<ClientList, "maxAge" | "minAge">,
  moment: Moment,
  order: ClientOrder,
  most: number,
  answered: { readonly entries: readonly ClientEntry[]; readonly known: number } = { entries: [], known: 0 }
): ClientList => {
  const { entries, room, replaced, refused } = clientTotals(tables)
  const bound = Math.min(most, MOST_LISTED)
  const asked = listClients(tables, ticksAt(moment.monotonic), order, bound)
  const listed =
    answered.known === 0 ? asked : sortClients(mergeClients(asked, answered.entries), order).slice(0, bound)
  return {
    entries: listed.map((client) => reportOf(client, moment.realtime)),
    known: entries + answered.known,
    evicted: replaced,
    refused,
    most: room,
    bytes: tables.reduce((sum, { byteLength }) => sum + byteLength, 0),
    ...ages
  }
}

const reportOf = (client: ClientEntry, now: number): ClientReport => ({
  address: textOfOctets(client.bytes),
  port: client.port,
  packets: client.count,
  first: now - client.sinceFirst,
  last: now - client.sinceLast,
  interval: averageInterval(client) ?? null,
  mode: client.mode,
  version: client.version,
  authenticated: client.authenticated,
  dropped: client.dropped,
  kisses: client.kisses,
  limited: client.limited,
  restrictions: client.flags,
  score: client.level
})
