/**
 * chrony.conf as an ntp.conf that behaves alike. Words and meanings are chrony.conf(5)'s of 4.9; a directive may be in either case, `!`, `;`, `%`
 * and `#` begin a comment. What chronyd does without a line is said by a line: it serves nobody whom none allows, answers
 * chronyc on port 323, and trusts every key of its file.
 */
import { allowTarget } from "../access-types.ts"
import { AEAD_IDS } from "../authentication-types.ts"
import { findKnownWord } from "../known-words.ts"
import { convertClock, convertSource } from "./chrony-sources.ts"
import { type Conversion, Draft, type Place, quoted } from "./conversion.ts"

/** What the converter may ask of the disk. */
export interface Files {
  /** The text of a file; a sentence's end that says why not, as in "no such file". */
  readonly read: (path: string) => { readonly text: string } | { readonly why: string }
  /** Paths of the files of a directory that end in the suffix, in the order of their names; none where there is no directory. */
  readonly list: (directory: string, suffix: string) => readonly string[]
}

const MOST_FILES = 200

/** Converts the file at `path` with all that it includes. */
export const convertChrony = (path: string, files: Files): Conversion => new ChronyFile(files).convert(path)

type Handler = (place: Place, words: readonly string[]) => void

class ChronyFile {
  readonly #files: Files
  readonly #draft = new Draft()
  readonly #certificates: string[] = []
  readonly #keys: string[] = []
  #read = 0
  #isOpen = false
  #hasCommandPort = false
  #port: string | undefined
  #logs = false
  #signs = false

  constructor(files: Files) {
    this.#files = files
  }

  convert(path: string): Conversion {
    this.#file(path)
    this.#certificatePairs()
    if (this.#port === "0" || !this.#isOpen)
      this.#draft.add("", "# chronyd serves nobody whom no line allows.", "deny all")
    if (!this.#hasCommandPort) this.#draft.add("", "# chronyd answers chronyc on this port of loopback.", "cmdport 323")
    this.#draft.add(
      "",
      "# chronyd steers the system's clock. Meridian leaves it alone, and serves its correction, unless it is told to:",
      "# discipline kernel"
    )
    return this.#draft.conversion
  }

  #file(path: string): void {
    this.#read += 1
    const read = this.#files.read(path)
    if ("why" in read) return this.#draft.remark({ file: path, line: 1, text: path }, `${path}: ${read.why}`)
    read.text.split(/\r?\n/).forEach((text, index) => this.#line({ file: path, line: index + 1, text }))
  }

  #line(place: Place): void {
    const text = place.text.trim()
    if (text === "") return this.#draft.add("")
    if (/^[!;#%]/.test(text)) return this.#draft.add(`# ${text.slice(1).trim()}`.trim())
    const words = text.split(/\s+/)
    const name = (words[0] ?? "").toLowerCase()
    const handler = Object.hasOwn(this.#handlers, name) ? this.#handlers[name] : undefined
    if (handler !== undefined) return handler(place, words)
    const because = findKnownWord(name)?.because.replace(/^it is chrony's; /, "")
    this.#draft.remark(place, because ?? "chrony has no such directive, as far as is known here")
  }

  readonly #handlers: Readonly<Record<string, Handler>> = {
    server: (place, words) => convertSource(this.#draft, place, words),
    pool: (place, words) => convertSource(this.#draft, place, words),
    peer: (place, words) => convertSource(this.#draft, place, words),
    refclock: (place, words) => convertClock(this.#draft, place, words),
    allow: (place, words) => this.#access(place, words),
    deny: (place, words) => this.#access(place, words),
    broadcast: (place, words) => this.#broadcast(place, words),
    ratelimit: (_place, words) => this.#draft.add(words.join(" ").toLowerCase()),
    local: (place, words) => this.#local(place, words),
    driftfile: (_place, [, file = "", ...rest]) => {
      this.#draft.add(`driftfile ${quoted(file)}`)
      if (rest.length > 0) this.#draft.add(`#   without ${rest.join(" ")}: it is written once an hour`)
    },
    keyfile: (_place, [, file = ""]) =>
      this.#draft.add(`keys ${quoted(file)}`, "# chronyd trusts every key of its file.", "trustedkey (1 ... 65535)"),
    bindaddress: (_place, [, address = ""]) => this.#draft.add(`listen ${address}`),
    binddevice: (_place, [, device = ""]) => this.#draft.add("interface ignore all", `interface listen ${device}`),
    port: (place, [, port = ""]) => {
      this.#port = port
      if (port !== "0") return this.#draft.add(`port ${port}`)
      this.#draft.remarkOn(place, "port 0", "a node has its port open; it answers nobody, by the line below")
    },
    cmdport: (_place, [, port = ""]) => {
      this.#hasCommandPort = true
      this.#draft.add(`cmdport ${port}`)
    },
    user: (_place, [, name = ""]) => this.#draft.add(`user ${name}`),
    leapseclist: (_place, [, file = ""]) => this.#draft.add(`leapfile ${quoted(file)}`),
    logdir: (_place, [, directory = ""]) => this.#draft.add(`statsdir ${quoted(directory)}`),
    log: (place, [, ...kinds]) => this.#log(place, kinds),
    maxdistance: (_place, [, seconds = ""]) => this.#draft.add(`tos maxdist ${seconds}`),
    minsources: (_place, [, count = ""]) => this.#draft.add(`tos minsane ${count}`),
    nocerttimecheck: (_place, [, updates = ""]) => this.#draft.add(`nts nocerttimecheck ${updates}`),
    fallbackdrift: (_place, words) => this.#draft.add(words.join(" ").toLowerCase()),
    maxupdateskew: (_place, words) => this.#draft.add(words.join(" ").toLowerCase()),
    maxclockerror: (_place, [, ppm = ""]) => this.#draft.add(`tinker dispersion ${Number(ppm) / 1e6}`),
    clientloglimit: (_place, [, bytes = ""]) =>
      this.#draft.add(`mru maxmem ${Math.max(1, Math.floor(Number(bytes) / 1024))}`),
    noclientlog: () => this.#draft.add("disable monitor"),
    ntpsigndsocket: (_place, [, path = ""]) => {
      this.#draft.add(`ntpsigndsocket ${quoted(path)}`)
      if (!this.#signs) this.#draft.add(...SIGNED_FOR_EVERYBODY)
      this.#signs = true
    },
    ntsservercert: (_place, [, file = ""]) => void this.#certificates.push(file),
    ntsserverkey: (_place, [, file = ""]) => void this.#keys.push(file),
    ntsport: (_place, [, port = ""]) => this.#draft.add(`nts port ${port}`),
    ntsprocesses: (_place, [, count = ""]) => this.#draft.add(`nts processes ${Math.max(1, Number(count))}`),
    maxntsconnections: (_place, [, count = ""]) => this.#draft.add(`nts connections ${count}`),
    ntsntpserver: (_place, [, host = ""]) => this.#draft.add(`nts ntpserver ${host}`),
    ntsratelimit: (place, words) => this.#keyExchangeLimit(place, words),
    ntsaeads: (place, [, ...ids]) => {
      for (const id of ids)
        if (AEAD_IDS.includes(Number(id))) this.#draft.add(`nts aead ${id}`)
        else this.#draft.remarkOn(place, id, `the algorithms here are ${AEAD_IDS.join(", ")}`)
    },
    ntstrustedcerts: (place, [, ...words]) => {
      const file = words.at(-1) ?? ""
      if (words.length > 1) this.#draft.remarkOn(place, `the set ${words[0]}`, "ca on a source's line names its own")
      this.#draft.add(`nts ca ${quoted(file)}`)
    },
    include: (place, [, pattern = ""]) => this.#include(place, this.#matching(pattern)),
    confdir: (place, [, ...directories]) => this.#include(place, this.#overlaid(directories, ".conf")),
    sourcedir: (_place, [, ...directories]) =>
      this.#draft.add(...directories.map((directory) => `sourcedir ${quoted(directory)}`)),
    acquisitionport: (place) => this.#nothing(place, "servers are asked from a port of the system's choice"),
    rtcsync: (place) => this.#nothing(place, "with discipline kernel the kernel hears of it by itself"),
    makestep: (place) =>
      this.#nothing(place, "the first good measurements set served time; later ones step it as tinker says")
  }

  /** A line that has nothing to do here, since what it asks for is so anyhow. */
  #nothing(place: Place, why: string): void {
    this.#draft.add(`# ${place.text.trim()}: ${why}`)
  }

  #access(place: Place, words: readonly string[]): void {
    const [name = "", ...rest] = words.map((word) => word.toLowerCase())
    const subnets = rest.filter((word) => word !== "all").map((word) => allowTarget.parse(word))
    if (!subnets.every((subnet) => subnet.ok)) return this.#draft.remark(place, `expected ${allowTarget.expected}`)
    if (name === "allow") this.#isOpen = true
    const targets = subnets.map(({ value }) => allowTarget.write(value))
    this.#draft.add([name, ...rest.filter((word) => word === "all"), ...targets].join(" "))
  }

  /** chrony's interval is in seconds, and it may send to any port. */
  #broadcast(place: Place, [, interval = "", address = "", port = "123"]: readonly string[]): void {
    const exponent = Math.min(17, Math.max(0, Math.round(Math.log2(Number(interval)))))
    this.#draft.add(`broadcast ${address} minpoll ${exponent}`)
    if (2 ** exponent !== Number(interval))
      this.#draft.remarkOn(
        place,
        `interval ${interval}`,
        `intervals are powers of two; it is ${2 ** exponent} seconds here`
      )
    if (port !== "123")
      this.#draft.remarkOn(place, `port ${port}`, "broadcasts go to the port that this node has itself")
  }

  #local(place: Place, words: readonly string[]): void {
    const [, ...options] = words.map((word) => word.toLowerCase())
    const stratum = valueOf(options, "stratum") ?? "10"
    if (options.includes("orphan")) this.#draft.add(`tos orphan ${stratum}`)
    else this.#draft.add("server 127.127.1.0", `fudge 127.127.1.0 stratum ${stratum}`)
    const others = ["distance", "activate", "waitsynced", "waitunsynced"].filter((name) => options.includes(name))
    for (const name of others)
      this.#draft.remarkOn(
        place,
        `${name} ${valueOf(options, name) ?? ""}`,
        "the local reference serves when nothing else does"
      )
  }

  #log(place: Place, kinds: readonly string[]): void {
    const names = kinds.flatMap((kind) => RECORDS[kind.toLowerCase()] ?? [])
    if (!this.#logs) this.#draft.add("enable stats")
    this.#logs = true
    if (names.length > 0) this.#draft.add(`statistics ${[...new Set(names)].join(" ")}`)
    for (const kind of kinds.filter((it) => !(it.toLowerCase() in RECORDS)))
      this.#draft.remarkOn(place, kind, "there is no such record; meridian log --follow and the metrics tell more")
  }

  /** chrony's interval is log2 seconds between two, of one address. */
  #keyExchangeLimit(place: Place, words: readonly string[]): void {
    const interval = Number(valueOf(words, "interval") ?? "6")
    const perSecond = 2 ** -interval
    if (perSecond >= 1) return this.#draft.add(`nts ratelimit ${perSecond}`)
    this.#draft.add("nts ratelimit 1")
    this.#draft.remarkOn(
      place,
      `interval ${interval}`,
      "the least is one key exchange a second of one address, eight at once"
    )
  }

  #certificatePairs(): void {
    this.#certificates.forEach((certificate, at) => {
      const key = this.#keys[at]
      if (key === undefined) return this.#draft.add(`# nts cert ${quoted(certificate)}: no ntsserverkey goes with it`)
      this.#draft.add(`nts cert ${quoted(certificate)} key ${quoted(key)}`)
    })
  }

  /** Files that a pattern of include names; `*` and `?` stand in its last part alone. */
  #matching(pattern: string): readonly string[] {
    const slash = pattern.lastIndexOf("/")
    const last = pattern.slice(slash + 1)
    if (!/[*?[]/.test(last)) return [pattern]
    const expression = new RegExp(
      `^${last
        .replaceAll(/[.+^${}()|\\]/g, String.raw`\$&`)
        .replaceAll("*", ".*")
        .replaceAll("?", ".")}$`
    )
    return this.#files.list(pattern.slice(0, slash) || "/", "").filter((path) => expression.test(nameOf(path)))
  }

  /** Of files with one name in several directories the first directory's counts, as in confdir. */
  #overlaid(directories: readonly string[], suffix: string): readonly string[] {
    const byName = new Map<string, string>()
    for (const directory of directories)
      for (const path of this.#files.list(directory, suffix))
        if (!byName.has(nameOf(path))) byName.set(nameOf(path), path)
    return [...byName].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path)
  }

  #include(place: Place, paths: readonly string[]): void {
    if (paths.length === 0) return this.#draft.add(`# ${place.text.trim()}: no file is there`)
    for (const path of paths) {
      if (this.#read >= MOST_FILES)
        return this.#draft.remark(place, `more than ${MOST_FILES} files are read by this one`)
      this.#draft.add(`# from ${path}:`)
      this.#file(path)
    }
  }
}

/** The other rules are those that hold without a line. In NTPsec's dialect they would limit everybody, too. */
const SIGNED_FOR_EVERYBODY = [
  "# chronyd signs for every client that it serves.",
  "dialect classic",
  "restrict default noquery mssntp",
  "restrict 127.0.0.0/8",
  "restrict ::1"
]

/** chrony's records and those that hold the same. */
const RECORDS: Readonly<Record<string, readonly string[]>> = {
  measurements: ["rawstats"],
  rawmeasurements: ["rawstats"],
  statistics: ["peerstats"],
  tracking: ["loopstats"],
  refclocks: ["clockstats"]
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1)

const valueOf = (words: readonly string[], name: string): string | undefined => {
  const at = words.findIndex((word) => word.toLowerCase() === name)
  return at === -1 ? undefined : words[at + 1]
}
