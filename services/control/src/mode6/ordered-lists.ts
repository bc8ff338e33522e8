/** READ_ORDLIST_A (op 11): the sockets (`ifstats`) and the access rules (`addr_restrictions`), each entry's members numbered. */
import { type ControlItem, quoted } from "@meridian/wire/mode6-text"
import { hex, whole } from "./values.ts"
import type { ControlView } from "./view.ts"

/** ntpd's interface flags: up, and of a loopback address. */
const UP = 0x1
const LOOPBACK = 0x4

const hostOf = (listening: string): string => listening.replace(/:\d+$/, "").replace(/^\[|\]$/g, "")

const nameOf = (listening: string): string => {
  const host = hostOf(listening)
  if (host === "0.0.0.0") return "v4wildcard"
  if (host === "::") return "v6wildcard"
  return host === "127.0.0.1" || host === "::1" ? "lo" : "listen"
}

const isLoopback = (listening: string): boolean => ["127.0.0.1", "::1"].includes(hostOf(listening))

/** Each socket that the node serves on. Workers count by process, not by address: the node's totals are at the first. */
export const interfaceItems = ({ snapshot: { status, sources }, age }: ControlView): readonly ControlItem[] =>
  status.listening.flatMap((listening, index) => {
    const first = index === 0
    const item = (name: string, value: string): ControlItem => ({ name: `${name}.${index}`, value })
    return [
      item("addr", listening),
      item("bcast", ""),
      item("en", "1"),
      item("name", quoted(nameOf(listening))),
      item("flags", hex(UP | (isLoopback(listening) ? LOOPBACK : 0))),
      item("tl", "0"),
      item("mc", "0"),
      item("rx", whole(first ? status.totals.received : 0)),
      item("tx", whole(first ? status.totals.replied : 0)),
      item("txerr", whole(first ? status.totals.unsent : 0)),
      item("pc", whole(first ? sources.length : 0)),
      item("up", whole(status.uptime + age))
    ]
  })

export interface AccessRule {
  readonly address: string
  readonly mask: string
  /** ntpd's words: "noquery nomodify limited kod". */
  readonly flags: string
  readonly hits: number
}

export const accessItems = (rules: readonly AccessRule[]): readonly ControlItem[] =>
  rules.flatMap(({ address, mask, flags, hits }, index) => [
    { name: `addr.${index}`, value: address },
    { name: `mask.${index}`, value: mask },
    { name: `flags.${index}`, value: flags },
    { name: `hits.${index}`, value: whole(hits) }
  ])
