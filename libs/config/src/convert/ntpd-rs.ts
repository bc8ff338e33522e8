/**
 * ntpd-rs's ntp.toml as an ntp.conf that behaves alike. Tables and meanings are ntp.toml(5)'s of 1.9. The program that reads TOML
 * hands over the tree; lines are found again by the name of an entry.
 */
import { parseAddress, prefixContains } from "../address.ts"
import { type Conversion, Draft, type Place, quoted } from "./conversion.ts"

type Tree = Readonly<Record<string, unknown>>

const isTree = (value: unknown): value is Tree => typeof value === "object" && value !== null && !Array.isArray(value)
const tablesOf = (value: unknown): readonly Tree[] =>
  Array.isArray(value) ? value.filter(isTree) : isTree(value) ? [value] : []

/** @param text for the places of remarks */
export const convertNtpdRs = (file: string, text: string, tree: Tree): Conversion =>
  new NtpdRsFile(file, text).convert(tree)

class NtpdRsFile {
  readonly #file: string
  readonly #lines: readonly string[]
  readonly #draft = new Draft()
  /** Lines of the tables that are being read, from and to; the whole file for its own entries. */
  #table: readonly [number, number]

  constructor(file: string, text: string) {
    this.#file = file
    this.#lines = text.split(/\r?\n/)
    this.#table = [0, this.#lines.length]
  }

  convert(tree: Tree): Conversion {
    const defaults = isTree(tree["source-defaults"]) ? tree["source-defaults"] : {}
    this.#each("source", tree, (source) => this.#source(source, defaults))
    this.#each("source-defaults", tree, () => this.#sourceDefaults(defaults))
    this.#each("synchronization", tree, (settings) => this.#synchronization(settings))
    const servers = tablesOf(tree["server"])
    this.#addresses(servers.map(({ listen }) => hostOf(textOf(listen))))
    this.#ports(servers.map(({ listen }) => portOf(textOf(listen))))
    this.#each("server", tree, (server) => this.#server(server, servers[0] ?? {}))
    if (servers.length === 0) this.#draft.add("", "# ntpd-rs serves nobody without a server.", "deny all")
    this.#each("nts-ke-server", tree, (server, at) => this.#keyExchange(server, at === 0))
    this.#each("keyset", tree, (keyset) => this.#keyset(keyset))
    this.#each("observability", tree, (settings) => this.#observability(settings))
    const known = ["source", "source-defaults", "synchronization", "server", "nts-ke-server", "keyset", "observability"]
    this.#leftOver("", tree, known)
    this.#draft.add(
      "",
      "# ntpd-rs steers the system's clock. Meridian leaves it alone, and serves its correction, unless it is told to:",
      "# discipline kernel"
    )
    return this.#draft.conversion
  }

  /** Converts the tables of one name, and knows meanwhile which lines are whose. */
  #each(name: string, tree: Tree, convert: (table: Tree, at: number) => void): void {
    const starts = this.#lines.flatMap((line, at) => (headerOf(line) === name ? [at] : []))
    for (const [at, table] of tablesOf(tree[name]).entries()) {
      const from = starts[at] ?? 0
      const next = this.#lines.findIndex(
        (line, index) => index > from && headerOf(line)?.startsWith(`${name}.`) === false
      )
      this.#table = [from, next === -1 ? this.#lines.length : next]
      convert(table, at)
    }
    this.#table = [0, this.#lines.length]
  }

  #sourceDefaults(defaults: Tree): void {
    const { min = 4 } = treeOf(defaults["poll-interval-limits"])
    const isTheLeast = defaults["initial-poll-interval"] === min
    this.#leftOver("source-defaults", defaults, [
      "poll-interval-limits",
      ...(isTheLeast ? ["initial-poll-interval"] : [])
    ])
  }

  #source(source: Tree, defaults: Tree): void {
    const mode = textOf(source["mode"])
    const address = textOf(source["address"])
    const limits = { ...treeOf(defaults["poll-interval-limits"]), ...treeOf(source["poll-interval-limits"]) }
    // ntpd-rs begins at the least poll and does not ask less often than the greatest.
    const polls = [`minpoll ${Number(limits["min"] ?? 4)}`, `maxpoll ${Number(limits["max"] ?? 10)}`].join(" ")
    const known = ["mode", "address", "poll-interval-limits"]
    switch (mode) {
      case "server":
        this.#draft.add(`server ${withoutPort(address, "123")} ${polls}`)
        return this.#leftOver("source", source, known)
      case "pool":
        this.#draft.add(`pool ${withoutPort(address, "123")} ${polls}`)
        return this.#leftOver("source", source, known)
      case "nts": {
        const authority = source["certificate-authority"]
        const ca = typeof authority === "string" ? ` ca ${quoted(authority)}` : ""
        this.#draft.add(`server ${withoutPort(address, "4460")} nts${ca} ${polls}`)
        return this.#leftOver("source", source, [...known, "certificate-authority"])
      }
      case "sock":
      case "pps": {
        const precision = source["precision"]
        const most = mode === "sock" && precision !== undefined ? ` time2 ${Number(precision)}` : ""
        this.#draft.add(`refclock ${mode} path ${quoted(textOf(source["path"]))}${most}`)
        return this.#leftOver("source", source, [
          "mode",
          "path",
          "measurement_noise_estimate",
          ...(mode === "sock" ? ["precision"] : [])
        ])
      }
      default:
        this.#draft.remark(
          this.#place("mode", mode),
          `sources here are servers, pools, sock and pps, not ${JSON.stringify(mode)}`
        )
    }
  }

  #synchronization(settings: Tree): void {
    const { "minimum-agreeing-sources": agreeing, "local-stratum": stratum } = settings
    if (agreeing !== undefined) this.#draft.add(`tos minsane ${Number(agreeing)}`)
    const panic = settings["single-step-panic-threshold"]
    if (typeof panic === "number") this.#draft.add(`tinker panic ${panic}`)
    if (typeof stratum === "number" && stratum < 16)
      this.#draft.add("server 127.127.1.0", `fudge 127.127.1.0 stratum ${stratum}`)
    const known = [
      "minimum-agreeing-sources",
      ...(typeof panic === "number" ? ["single-step-panic-threshold"] : []),
      "local-stratum"
    ]
    this.#leftOver("synchronization", settings, known)
  }

  /** @param first a node has one list of rules and one limit: where another server's differ, both count everywhere, and that is said */
  #server(server: Tree, first: Tree): void {
    const differing = SHARED.filter((name) => JSON.stringify(server[name]) !== JSON.stringify(first[name]))
    for (const name of differing)
      this.#draft.remark(
        this.#place(name, server[name] ?? "none"),
        "rules and limits hold for every address and port of a node; these count beside those of the first server"
      )
    if (server === first || differing.length > 0) this.#rules(server)
    this.#leftOver("server", server, ["listen", ...SHARED])
  }

  #rules(server: Tree): void {
    this.#access(treeOf(server["allowlist"]), treeOf(server["denylist"]))
    const cutoff = server["rate-limiting-cutoff-ms"]
    const cache = server["rate-limiting-cache-size"]
    if (typeof cutoff === "number" && Number(cache ?? 0) > 0) {
      const interval = Math.max(-4, Math.ceil(Math.log2(cutoff / 1000)))
      this.#draft.add(`ratelimit interval ${interval} burst 1 leak 0 kod 0`)
    }
  }

  /**
   * Without a list everybody is served. Where both name an address ntpd-rs denies; here the longer prefix decides, so what is allowed
   * within a denied one is left out.
   */
  #access(allowed: Tree, denied: Tree): void {
    const [allow = [], deny = []] = [allowed, denied].map(({ filter }) =>
      Array.isArray(filter) ? filter.map(String) : undefined
    )
    const told = ({ action }: Tree): string => (action === "deny" ? " kod" : "")
    const isForAll = allow.length === 0 || ["0.0.0.0/0", "::/0"].every((all) => allow.includes(all))
    if (!isForAll) {
      const open = allow.filter((subnet) => !deny.some((shut) => isWithin(subnet, shut)))
      if (open.length === 0 || told(allowed) !== "") this.#draft.add(`deny all${told(allowed)}`)
      this.#draft.add(...open.map((subnet) => `allow ${subnet}`))
    } else if (deny.length > 0) this.#draft.add("allow")
    this.#draft.add(...deny.map((subnet) => `deny ${subnet}${told(denied)}`))
  }

  /** @param isFirst the port of the others has no place here */
  #keyExchange(server: Tree, isFirst: boolean): void {
    const [certificate, key] = [server["certificate-chain-path"], server["private-key-path"]].map(textOf)
    this.#draft.add(`nts cert ${quoted(certificate ?? "")} key ${quoted(key ?? "")}`)
    const listening = portOf(textOf(server["listen"]))
    if (isFirst && !["", "4460"].includes(listening)) this.#draft.add(`nts port ${listening}`)
    if (!isFirst)
      this.#draft.remark(this.#place("listen", server["listen"]), "keys are exchanged on one port, that of the first")
    const { "concurrent-connections": connections, "ntp-server": host, "ntp-port": port } = server
    if (connections !== undefined) this.#draft.add(`nts connections ${Number(connections)}`)
    if (host !== undefined) this.#draft.add(`nts ntpserver ${textOf(host)}`)
    if (port !== undefined) this.#draft.add(`nts ntpport ${Number(port)}`)
    this.#leftOver("nts-ke-server", server, [
      "certificate-chain-path",
      "private-key-path",
      "listen",
      "concurrent-connections",
      "ntp-server",
      "ntp-port"
    ])
  }

  #keyset(keyset: Tree): void {
    const interval = keyset["key-rotation-interval"]
    if (interval !== undefined) this.#draft.add(`cluster rotate ${Number(interval)}`)
    this.#leftOver("keyset", keyset, ["key-rotation-interval"])
  }

  #observability(settings: Tree): void {
    const listen = settings["metrics-exporter-listen"]
    if (typeof listen === "string") {
      const isLoopback = /^(127\.|\[::1\]|localhost)/.test(listen)
      if (isLoopback) this.#draft.add(`control http ${listen}`)
      else
        this.#draft.remark(
          this.#place("metrics-exporter-listen", listen),
          "beyond loopback metrics are shown under a token: control http ADDRESS:PORT token FILE"
        )
    }
    this.#leftOver("observability", settings, ["metrics-exporter-listen"])
  }

  /** `[::]` takes IPv4 as well; `0.0.0.0` takes no IPv6. */
  #addresses(hosts: readonly string[]): void {
    if (hosts.length === 0 || hosts.some((host) => host === "::" || host === "")) return
    const isAllOfIpv4 = hosts.includes("0.0.0.0")
    const named = hosts.filter((host) => !isAllOfIpv4 || host === "0.0.0.0" || host.includes(":"))
    this.#draft.add(...[...new Set(named)].map((host) => `listen ${host}`))
  }

  /** The first is the node's port, the others are beside it; 123 needs no line. */
  #ports(ports: readonly string[]): void {
    const different = [...new Set(ports.filter((port) => port !== ""))].toSorted(
      (a, b) => Number(b === "123") - Number(a === "123")
    )
    for (const [at, port] of different.entries())
      if (port !== "123") this.#draft.add(`${at === 0 ? "port" : "extra port"} ${port}`)
  }

  /** A remark on each entry of a table that is none of the known. */
  #leftOver(table: string, tree: Tree, known: readonly string[]): void {
    for (const [name, value] of Object.entries(tree))
      if (!known.includes(name))
        this.#draft.remark(
          this.#place(name, value),
          LOST[name] ?? `there is no ${table === "" ? "such table" : "such setting"} here`
        )
  }

  #place(name: string, value: unknown): Place {
    const [from, to] = this.#table
    const at = this.#lines.findIndex(
      (line, index) => index >= from && index < to && (line.trim().startsWith(name) || line.includes(`[${name}`))
    )
    const shown = isTree(value) || Array.isArray(value) ? name : `${name} = ${JSON.stringify(value)}`
    return { file: this.#file, line: (at === -1 ? from : at) + 1, text: at === -1 ? shown : (this.#lines[at] ?? shown) }
  }
}

/** The name that a line `[NAME]` or `[[NAME]]` begins the table of. */
const headerOf = (line: string): string | undefined => /^\s*\[\[?\s*([^[\]]+?)\s*\]/.exec(line)?.[1]

/** Settings of a server that here are the node's. */
const SHARED = ["allowlist", "denylist", "rate-limiting-cutoff-ms", "rate-limiting-cache-size"]

const portOf = (listen: string): string => /:(\d+)$/.exec(listen)?.[1] ?? ""

/** The address of `ADDRESS:PORT`, without brackets. */
const hostOf = (listen: string): string => listen.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1")

/** Whether a subnet lies in another. */
const isWithin = (subnet: string, other: string): boolean => {
  const [inner, outer] = [subnet, other].map((text) => {
    const [address = "", length = ""] = text.split("/")
    const parsed = parseAddress(address)
    return parsed && { address: parsed, length: length === "" ? parsed.bytes.length * 8 : Number(length) }
  })
  return (
    inner !== undefined && outer !== undefined && inner.length >= outer.length && prefixContains(outer, inner.address)
  )
}

const textOf = (value: unknown): string => (typeof value === "string" || typeof value === "number" ? String(value) : "")
const treeOf = (value: unknown): Tree => (isTree(value) ? value : {})

/** ntpd-rs wants the port with the address; a standard one is left away. */
const withoutPort = (address: string, standard: string): string =>
  address.endsWith(`:${standard}`) && !/^[^[].*:.*:/.test(address)
    ? address.slice(0, -standard.length - 1).replace(/^\[(.*)\]$/, "$1")
    : address

/** Settings of ntpd-rs with nothing like them here, and what there is. */
const LOST: Readonly<Record<string, string>> = {
  "accept-ntp-versions": "versions 1 to 4 are answered; restrict ADDRESS version leaves out all but 4",
  "accepted-pool-authentication-tokens": "no NTS pool is spoken to",
  "accumulated-step-panic-threshold": "steps are not added up; tinker panic bounds each",
  algorithm: "the estimator has its own constants",
  "ansi-colors": "colours are for terminals alone; NO_COLOR turns them off",
  count: "of a pool as many are asked as tos maxclock allows, 10 where nothing is said",
  ignore: "sources of a pool that are false are found out; unpeer takes a name back",
  "initial-poll-interval": "polls begin at minpoll",
  "key-exchange-timeout-ms": "a handshake may take a few seconds",
  "key-storage-path": "keys are kept in the state directory; nts cookie FILE keeps them in NTPsec's format too",
  "log-level": "what is logged is not chosen by level",
  "metrics-exporter-listen": "control http ADDRESS:PORT",
  "ntp-version": "version 4 is spoken; version N on the line says another",
  "observation-path": "meridian status, sources and tracking ask over the sockets in the state directory",
  "observation-permissions": "the sockets are for the node's user and group",
  period: "one pulse a second is expected",
  precision: "the pulses' own scatter stands for it",
  "reference-id": "the reference is that of the source that is followed",
  "require-nts":
    "requests without NTS are answered as well; restrict ADDRESS notrust refuses those without authentication",
  "single-step-panic-threshold": "forward and backward are not told apart: tinker panic SECONDS",
  "stale-key-count": "meridian policy says how many generations are accepted",
  "startup-step-panic-threshold": "the first agreement of sources sets served time, whatever the step",
  "warn-on-jump": "every step is logged"
}
