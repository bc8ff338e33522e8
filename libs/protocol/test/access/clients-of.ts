/** Every client of a table, whoever was seen last first. */
import { type ClientEntry, listClients } from "@meridian/protocol/access/client-list"

export const clientsOf = (table: ArrayBuffer, now: number): readonly ClientEntry[] =>
  listClients([table], now, "last", Number.MAX_SAFE_INTEGER)
