/**
 * The table of directives: one row for each word that may begin a line of ntp.conf and that Meridian acts on. The
 * parser, the settings, the flags of `meridian up` and the reference pages are all driven by these rows, so a new
 * directive is a new row here and a reader of its values in the settings; nothing else parses text.
 */
import {
  decimalNumber,
  interfaceMatch,
  listenAddresses,
  oneOf,
  path,
  port,
  text,
  userName,
  type ValueType,
  wholeNumber
} from "./value-types.ts"

/** An operand: a value by its position. `rest` takes all that follow and needs at least one. */
export interface Operand<out T = unknown, out Count extends OperandCount = OperandCount> {
  readonly type: ValueType<T>
  readonly count: Count
}

export type OperandCount = "one" | "optional" | "rest"

/** An option: a keyword followed by a value of the type, or a keyword alone (`switch`). Options follow the operands. */
export type Option<T = unknown> = ValueType<T> | "switch"

/** When a changed value takes effect: at a reload (SIGHUP), or at the next start. */
export type Reload = "reload" | "restart"

export interface Directive<
  out Operands extends Readonly<Record<string, Operand>> = Readonly<Record<string, Operand>>,
  out Options extends Readonly<Record<string, Option>> = Readonly<Record<string, Option>>
> {
  readonly name: string
  readonly aliases: readonly string[]
  readonly operands: Operands
  readonly options: Options
  /** May stand on several lines. Where it may not, the last line counts and the others get a warning. */
  readonly repeatable: boolean
  /** The value without any line, as text for the reference. */
  readonly default: string
  /** One sentence. */
  readonly meaning: string
  /** Where it is documented outside Meridian, or "Meridian" where it is our own word. */
  readonly documented: string
  /** The flag of `meridian up` that overrides it. */
  readonly flag?: string
  readonly reload: Reload
}

const one = <T>(type: ValueType<T>): Operand<T, "one"> => ({ type, count: "one" })
const optional = <T>(type: ValueType<T>): Operand<T, "optional"> => ({ type, count: "optional" })

const row = <
  const O extends Readonly<Record<string, Operand>>,
  const P extends Readonly<Record<string, Option>> = Readonly<Record<never, Option>>
>(
  fields: Omit<Directive<O, P>, "aliases" | "options" | "repeatable"> & {
    readonly aliases?: readonly string[]
    readonly options?: P
    readonly repeatable?: boolean
  }
): Directive<O, P> => ({
  aliases: [],
  repeatable: false,
  ...fields,
  options: fields.options ?? ({} as P)
})

/** Most worker processes a node may have. */
export const MAX_WORKERS = 256

export const portDirective = row({
  name: "port",
  operands: { port: one(port) },
  default: "11123",
  meaning: "UDP port to answer on; 123 is NTP's own and needs root or CAP_NET_BIND_SERVICE.",
  documented: "Meridian",
  flag: "port",
  reload: "restart"
})

export const workersDirective = row({
  name: "workers",
  operands: { count: one(wholeNumber("N", 1, MAX_WORKERS)) },
  default: "the number of processor cores",
  meaning: "Worker processes that answer requests, each on sockets of its own.",
  documented: "Meridian",
  flag: "workers",
  reload: "restart"
})

export const listenDirective = row({
  name: "listen",
  operands: { address: one(listenAddresses) },
  repeatable: true,
  default: "0.0.0.0 and ::",
  meaning: "Local address to answer on, in place of all; * stands for 0.0.0.0 and ::.",
  documented: "Meridian",
  flag: "listen",
  reload: "restart"
})

export const interfaceDirective = row({
  name: "interface",
  aliases: ["nic"],
  operands: { action: one(oneOf("listen", "ignore", "drop")), match: one(interfaceMatch) },
  repeatable: true,
  default: "listen all",
  meaning: "Which of the machine's addresses to answer on: the last rule that matches an address decides.",
  documented: "ntp.conf(5)",
  reload: "restart"
})

export const stateDirectoryDirective = row({
  name: "statedir",
  operands: { directory: one(path("DIR")) },
  default: "chosen at start and shown on the first screen",
  meaning: "Directory of the node's own state: its socket, its clock page and its log.",
  documented: "Meridian",
  flag: "state",
  reload: "restart"
})

export const userDirective = row({
  name: "user",
  operands: { user: one(userName) },
  default: "the user who starts it",
  meaning: "User that the services run as once the sockets are open, where the start was made by root.",
  documented: "Meridian; ntpd(8) has it as the flag -u",
  flag: "user",
  reload: "restart"
})

export const logfileDirective = row({
  name: "logfile",
  operands: { file: one(path("FILE")) },
  default: "standard error",
  meaning: "File that messages are appended to; it is opened anew at a reload, for log rotation.",
  documented: "ntp.conf(5)",
  reload: "reload"
})

export const includeDirective = row({
  name: "includefile",
  operands: { file: one(path("FILE")) },
  repeatable: true,
  default: "none",
  meaning:
    "Reads another file in place of this line, or every *.conf of a directory; relative to the file it stands in.",
  documented: "ntp.conf(5)",
  reload: "reload"
})

/** log2 of the poll interval in seconds: RFC 5905 §7.3 has 4 to 17, NTPsec takes 0 to 17. */
const pollExponent = wholeNumber("LOG2_SECONDS", 0, 17)
const keyId = wholeNumber("KEYID", 1, 65535)

export const serverDirective = row({
  name: "server",
  operands: { family: optional(oneOf("-4", "-6")), host: one(text("HOST", "a host's name or address")) },
  options: {
    autokey: "switch",
    burst: "switch",
    iburst: "switch",
    noselect: "switch",
    noval: "switch",
    nts: "switch",
    preempt: "switch",
    prefer: "switch",
    true: "switch",
    xleave: "switch",
    aead: text("NAME", "the name of an AEAD algorithm"),
    ask: text("HOST", "a host's name"),
    bias: decimalNumber("SECONDS", "seconds"),
    ca: path("FILE"),
    cert: path("FILE"),
    ident: text("GROUP", "the name of a group"),
    key: keyId,
    maxpoll: pollExponent,
    minpoll: pollExponent,
    mode: wholeNumber("N", 0, 2 ** 32 - 1),
    require: text("HOST", "a host's name"),
    ttl: wholeNumber("N", 0, 255),
    version: wholeNumber("N", 1, 4)
  },
  repeatable: true,
  default: "127.127.1.0, the local reference",
  meaning: "Source of time; 127.127.1.0 is this machine's own clock, taken as it is (the local reference).",
  documented: "ntp.conf(5)",
  reload: "reload"
})

/** A flag of a reference clock driver. */
const onOff = oneOf("0", "1")

export const fudgeDirective = row({
  name: "fudge",
  operands: { clock: one(text("127.127.T.U", "a reference clock's address, 127.127.T.U")) },
  options: {
    flag1: onOff,
    flag2: onOff,
    flag3: onOff,
    flag4: onOff,
    refid: text("STRING", "a reference id of up to four characters"),
    stratum: wholeNumber("N", 0, 15),
    time1: decimalNumber("SECONDS", "seconds"),
    time2: decimalNumber("SECONDS", "seconds")
  },
  repeatable: true,
  default: "127.127.1.0 stratum 10",
  meaning:
    "Adjusts a reference clock; `stratum` of 127.127.1.0 is the stratum the local reference is served with, 1 to 15.",
  documented: "ntp.conf(5)",
  flag: "stratum",
  reload: "reload"
})

/** Every row, in the order of the reference. */
export const DIRECTIVES: readonly Directive[] = [
  portDirective,
  listenDirective,
  interfaceDirective,
  workersDirective,
  userDirective,
  stateDirectoryDirective,
  logfileDirective,
  serverDirective,
  fudgeDirective,
  includeDirective
]

const rowsByWord: ReadonlyMap<string, Directive> = new Map(
  DIRECTIVES.flatMap((directive) => [directive.name, ...directive.aliases].map((word) => [word, directive] as const))
)

/** The row that a word begins, by name or alias. Words are told apart by letter case, as in ntpd. */
export const findDirective = (word: string): Directive | undefined => rowsByWord.get(word)

/** All words that begin a row. */
export const directiveWords = (): Iterable<string> => rowsByWord.keys()

/** The parts of a syntax line: `server`, `[-4|-6]`, `HOST`, `[autokey]`, … `[minpoll LOG2_SECONDS]`. */
export const syntaxOf = (directive: Directive): readonly string[] => {
  const operands = Object.values(directive.operands).map(({ type, count }) => {
    const isChoice = type.words !== undefined && count !== "optional"
    const syntax = isChoice ? `(${type.syntax})` : type.syntax
    return count === "one" ? syntax : count === "optional" ? `[${syntax}]` : `${syntax}...`
  })
  const options = Object.entries(directive.options).map(([name, type]) =>
    type === "switch" ? `[${name}]` : `[${name} ${type.syntax}]`
  )
  return [directive.name, ...operands, ...options]
}
