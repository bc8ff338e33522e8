/**
 * READ_MRU (op 10): the client list, oldest first, in as many packets as a request asks for. A client shows by a nonce that
 * packets reach it before it is sent any of this, so nobody can have the list thrown at somebody else.
 */
import type { ClientEntry } from "@meridian/ipc"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { ControlError, type ControlErrorCode, MAXIMUM_CONTROL_DATA } from "@meridian/wire/mode6"
import type { ControlItem } from "@meridian/wire/mode6-text"
import { fixed, hex, momentValue, whole } from "./values.ts"

/** ntpd's limits: packets of one answer, and entries where a client counts those. */
const MOST_FRAGMENTS = 128
const MOST_ENTRIES = 256
/** Earlier entries that a request may name. */
const MOST_PRIORS = 16
/** Octets that an entry takes at most, by which packets are counted before they are made. */
const ENTRY_BYTES = 180

interface Wanted {
  readonly nonce: string
  readonly fragments: number
  readonly limit: number
  readonly keeps: (entry: ClientEntry) => boolean
  readonly recent: number
  readonly priors: readonly { readonly address: string; readonly last: string }[]
}

const wholeNumber = (text: string | undefined): number | undefined =>
  text !== undefined && /^(?:\d{1,10}|0x[0-9a-f]{1,8})$/i.test(text) ? Number(text) : undefined

/** The request's parameters; undefined where one is malformed, or there is no nonce: such a request gets no answer. */
const readWanted = (items: readonly ControlItem[], at: number): Wanted | undefined => {
  const values = new Map(items.map(({ name, value }) => [name, value ?? ""]))
  const numbers = ["frags", "limit", "mincount", "mindrop", "resall", "resany", "maxlstint", "minlstint", "recent"]
  if (numbers.some((name) => values.has(name) && wholeNumber(values.get(name)) === undefined)) return undefined
  const number = (name: string): number => wholeNumber(values.get(name)) ?? 0
  const nonce = values.get("nonce")
  if (nonce === undefined || nonce === "") return undefined
  const minscore = Number(values.get("minscore") ?? 0)
  const [mincount, mindrop, resall, resany] = [
    number("mincount"),
    number("mindrop"),
    number("resall"),
    number("resany")
  ]
  const [oldest, newest] = [number("maxlstint"), number("minlstint")]
  const priors = Array.from({ length: MOST_PRIORS }, (_, index) => ({
    address: values.get(`addr.${index}`) ?? "",
    last: values.get(`last.${index}`) ?? ""
  }))
  return {
    nonce,
    fragments: number("frags"),
    limit: number("limit"),
    recent: number("recent"),
    priors: priors.filter(({ address, last }) => address !== "" && last !== ""),
    keeps: (entry) =>
      entry.packets >= mincount &&
      entry.dropped >= mindrop &&
      scoreOf(entry) >= minscore &&
      (resall === 0 || (entry.restrictions & resall) === resall) &&
      (resany === 0 || (entry.restrictions & resany) !== 0) &&
      (oldest === 0 || at - entry.last <= oldest) &&
      (newest === 0 || at - entry.last >= newest)
  }
}

/** ntpd's decaying packet rate, near enough: packets a second lately, over twenty seconds. */
const scoreOf = ({ interval, packets }: ClientEntry): number =>
  interval === null || interval <= 0 ? 0.05 * packets : Math.min(0.05 * packets, 1 / interval)

const endpointOf = ({ address, port }: ClientEntry): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`

const itemsOf = (entry: ClientEntry, index: number): readonly ControlItem[] => [
  { name: `addr.${index}`, value: endpointOf(entry) },
  { name: `last.${index}`, value: momentValue(entry.last) },
  { name: `first.${index}`, value: momentValue(entry.first) },
  { name: `ct.${index}`, value: whole(entry.packets) },
  { name: `mv.${index}`, value: whole((entry.version << 3) | entry.mode) },
  { name: `rs.${index}`, value: hex(entry.restrictions) },
  { name: `sc.${index}`, value: fixed(scoreOf(entry), 3) },
  { name: `dr.${index}`, value: whole(entry.dropped) }
]

type MruAnswer =
  | { readonly _tag: "Items"; readonly items: readonly ControlItem[] }
  | { readonly _tag: "Error"; readonly code: ControlErrorCode }
  /** No answer at all: no nonce, a wrong one, or parameters that cannot be. */
  | { readonly _tag: "Silence" }

/**
 * @param accepts whether the nonce is one that was given to this address not long ago
 * @param fresh another nonce for it
 * @param now served time, Unix seconds
 */
export const readClientList = (
  request: readonly ControlItem[],
  { clients }: NodeSnapshot,
  accepts: (nonce: string) => boolean,
  fresh: () => string,
  now: number
): MruAnswer => {
  const wanted = readWanted(request, now)
  if (wanted === undefined || !accepts(wanted.nonce)) return { _tag: "Silence" }
  const { fragments, limit } = wanted
  if ((fragments === 0 && (limit === 0 || limit > MOST_ENTRIES)) || fragments > MOST_FRAGMENTS)
    return { _tag: "Error", code: ControlError.badValue }
  // Snapshots have the newest first; clients page from the oldest on.
  const oldestFirst = clients?.entries.toReversed() ?? []
  const items: ControlItem[] = [{ name: "nonce", value: fresh() }]
  let start = 0
  if (wanted.priors.length > 0) {
    const prior = oldestFirst.findIndex((entry) =>
      wanted.priors.some(({ address, last }) => address === endpointOf(entry) && last === momentValue(entry.last))
    )
    const entry = oldestFirst[prior]
    if (entry === undefined) return { _tag: "Error", code: ControlError.unknownVariable }
    items.unshift(
      { name: "last.older", value: momentValue(entry.last) },
      { name: "addr.older", value: endpointOf(entry) }
    )
    start = prior + (limit === 1 ? 0 : 1)
  } else if (wanted.recent > 0) start = Math.max(0, oldestFirst.length - wanted.recent)
  const room = (fragments === 0 ? MOST_FRAGMENTS : fragments) * MAXIMUM_CONTROL_DATA
  const most = Math.min(limit === 0 ? Infinity : limit, Math.max(1, Math.floor(room / ENTRY_BYTES) - 1))
  let count = 0
  let newest: ClientEntry | undefined
  let at = start
  for (; at < oldestFirst.length && count < most; at += 1) {
    const entry = oldestFirst[at] as ClientEntry
    if (!wanted.keeps(entry)) continue
    items.push(...itemsOf(entry, count))
    newest = entry
    count += 1
  }
  if (at >= oldestFirst.length) {
    items.push({ name: "now", value: momentValue(now) })
    if (newest !== undefined) items.push({ name: "last.newest", value: momentValue(newest.last) })
  }
  return { _tag: "Items", items }
}
