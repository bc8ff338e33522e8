/**
 * The table of directives: one row for each word that may begin a line of ntp.conf and that Meridian understands. The
 * parser, the settings, the flags of `meridian up` and the reference pages are all driven by these rows, so a new
 * directive is a new row and a reader of its values in the settings; nothing else parses text. The rows of the service
 * itself stand here, those of access, of authentication, of sources, of the clock discipline and of the cluster in modules of
 * their own.
 */
import { ACCESS_DIRECTIVES } from "./access-directives.ts"
import { ANYCAST_DIRECTIVES } from "./anycast-directives.ts"
import { AUTHENTICATION_DIRECTIVES } from "./authentication-directives.ts"
import { AUTOKEY_DIRECTIVES } from "./autokey-directives.ts"
import { BROADCAST_DIRECTIVES } from "./broadcast-directives.ts"
import { CLUSTER_DIRECTIVES } from "./cluster-directives.ts"
import { CONTROL_DIRECTIVES } from "./control-directives.ts"
import { type Directive, one, optional, row } from "./directive.ts"
import { DISCIPLINE_DIRECTIVES } from "./discipline-directives.ts"
import { controlDirective } from "./http-directive.ts"
import { SOURCE_DIRECTIVES } from "./source-directives.ts"
import {
  interfaceMatch,
  interfaceName,
  listenAddresses,
  oneOf,
  path,
  port,
  userName,
  wholeNumber
} from "./value-types.ts"

/** Most worker processes a node may have. */
export const MAX_WORKERS = 256

export const portDirective = row({
  name: "port",
  operands: { port: one(port) },
  default: "123 with a configuration file where that port may be bound, else 11123",
  meaning: "UDP port to answer on; 123 is NTP's own and needs root or CAP_NET_BIND_SERVICE.",
  documented: "Meridian",
  flags: ["port"],
  reload: "restart"
})

export const workersDirective = row({
  name: "workers",
  operands: { count: one(wholeNumber("N", 1, MAX_WORKERS)) },
  default: "the number of processor cores",
  meaning: "Worker processes that answer requests, each on sockets of its own.",
  documented: "Meridian",
  flags: ["workers"],
  reload: "restart"
})

export const DEFAULT_GATHER_MICROSECONDS = 500

export const gatherDirective = row({
  name: "gather",
  operands: { microseconds: one(wholeNumber("MICROSECONDS", 0, 10_000)) },
  default: `${DEFAULT_GATHER_MICROSECONDS}`,
  meaning:
    "Longest time that a request waits so that several are answered at once. Requests wait only when many arrive. Each reply says when its request arrived and when it leaves, so the wait hardly affects clients' clocks. 0 turns it off.",
  documented: "Meridian",
  reload: "restart"
})

export const xdpDirective = row({
  name: "xdp",
  operands: { interface: one(interfaceName), mode: optional(oneOf("native", "generic")) },
  default: "off",
  meaning:
    "Network interface on which a BPF program answers plain requests before they reach a socket: in the driver (native) or behind it (generic); without a mode, in the driver if it can. All other packets go to the workers. Needs CAP_BPF and CAP_NET_ADMIN at the start.",
  documented: "Meridian",
  reload: "restart"
})

export const listenDirective = row({
  name: "listen",
  operands: { address: one(listenAddresses) },
  repeatable: true,
  default: "0.0.0.0 and ::",
  meaning: "Local address to answer on, instead of all of them; * stands for 0.0.0.0 and ::.",
  documented: "Meridian",
  flags: ["listen"],
  reload: "restart"
})

export const interfaceDirective = row({
  name: "interface",
  aliases: ["nic"],
  operands: { action: one(oneOf("listen", "ignore", "drop")), match: one(interfaceMatch) },
  repeatable: true,
  default: "listen all",
  meaning: "Which of the machine's addresses to answer on. The last rule that matches an address decides.",
  reload: "restart"
})

export const stateDirectoryDirective = row({
  name: "statedir",
  operands: { directory: one(path("DIR")) },
  default: "chosen at start and shown on the first screen",
  meaning: "Directory of the node's own state, such as its sockets and its event log.",
  documented: "Meridian",
  flags: ["state"],
  reload: "restart"
})

export const userDirective = row({
  name: "user",
  operands: { user: one(userName) },
  default: "the user who starts it",
  meaning: "User that the services run as once the sockets are open, if root started the node.",
  documented: "Meridian; ntpd(8) has it as the flag -u",
  flags: ["user"],
  reload: "restart"
})

export const logfileDirective = row({
  name: "logfile",
  operands: { file: one(path("FILE")) },
  default: "standard error",
  meaning: "File that messages are appended to. It is opened again at a reload, for log rotation.",
  reload: "live"
})

export const includeDirective = row({
  name: "includefile",
  operands: { file: one(path("FILE")) },
  repeatable: true,
  default: "none",
  meaning:
    "Reads another file in place of this line, or every *.conf of a directory. A relative path starts at the file with this line.",
  reload: "live"
})

export const sourcedirDirective = row({
  name: "sourcedir",
  operands: { directory: one(path("DIR")) },
  repeatable: true,
  default: "none",
  meaning:
    "Reads server, pool and peer lines from every *.sources file of a directory. The directory need not exist. DHCP hooks write there, then run `meridian reload`.",
  documented: "chrony.conf(5)",
  reload: "live"
})

export const coredumpsDirective = row({
  name: "coredumps",
  operands: { state: one(oneOf("on", "off")) },
  default: "off",
  meaning: "Whether a process that crashes may leave a core dump. It contains keys.",
  documented: "Meridian",
  reload: "restart"
})

/** Every row, in the order of the reference. */
export const DIRECTIVES: readonly Directive[] = [
  portDirective,
  listenDirective,
  interfaceDirective,
  workersDirective,
  gatherDirective,
  xdpDirective,
  userDirective,
  stateDirectoryDirective,
  logfileDirective,
  coredumpsDirective,
  ...ACCESS_DIRECTIVES,
  ...AUTHENTICATION_DIRECTIVES,
  ...AUTOKEY_DIRECTIVES,
  ...SOURCE_DIRECTIVES,
  ...BROADCAST_DIRECTIVES,
  ...DISCIPLINE_DIRECTIVES,
  ...CLUSTER_DIRECTIVES,
  ...ANYCAST_DIRECTIVES,
  controlDirective,
  ...CONTROL_DIRECTIVES,
  includeDirective,
  sourcedirDirective
]

const rowsByWord: ReadonlyMap<string, Directive> = new Map(
  DIRECTIVES.flatMap((directive) => [directive.name, ...directive.aliases].map((word) => [word, directive] as const))
)

/** The row that a word begins, by name or alias. Words are told apart by letter case, as in ntpd. */
export const findDirective = (word: string): Directive | undefined => rowsByWord.get(word)

/** All words that begin a row. */
export const directiveWords = (): Iterable<string> => rowsByWord.keys()
