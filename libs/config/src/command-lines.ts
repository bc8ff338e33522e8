/** The command lines of `meridian`. Flags that override a directive take its type and its meaning from the table. */
import type { IpAddress } from "./address.ts"
import { ntsDirective } from "./authentication-directives.ts"
import { upClusterFlags, upClusterOverrides } from "./cluster-command-lines.ts"
import { checkLimits } from "./check-limits.ts"
import type { Directive } from "./directive.ts"
import {
  listenDirective,
  portDirective,
  stateDirectoryDirective,
  userDirective,
  workersDirective
} from "./directives.ts"
import { disciplineDirective } from "./discipline-directives.ts"
import { defineFlags, listFlag, switchFlag, type FlagValues, valueFlag } from "./flags.ts"
import { DEFAULT_NTS_KE_PORT } from "./authentication-settings.ts"
import type { Overrides } from "./settings.ts"
import { groupName, SIGND_WORDS } from "./signd-settings.ts"
import { path, wholeNumber } from "./value-types.ts"

const state = valueFlag(stateDirectoryDirective.operands.directory.type, "State directory of the node.")
const json = switchFlag("Prints JSON.")

/** A flag says what its directive says. */
const meaningOf = (directive: Directive): string => `${directive.meaning} Default: ${directive.default}.`

export const upCommand = defineFlags({
  command: "meridian up",
  meaning:
    "Starts the node: opens the sockets, then starts and watches the services. Flags override the file, and the file overrides the defaults.",
  flags: {
    port: valueFlag(portDirective.operands.port.type, meaningOf(portDirective)),
    listen: listFlag(listenDirective.operands.address.type, meaningOf(listenDirective)),
    workers: valueFlag(workersDirective.operands.count.type, meaningOf(workersDirective)),
    state: valueFlag(stateDirectoryDirective.operands.directory.type, meaningOf(stateDirectoryDirective)),
    user: valueFlag(userDirective.operands.user.type, meaningOf(userDirective)),
    stratum: valueFlag(
      wholeNumber("N", 1, 15),
      "Stratum of the local reference (this machine's own clock). Default: 10."
    ),
    discipline: valueFlag(disciplineDirective.operands.mode.type, meaningOf(disciplineDirective)),
    panicgate: switchFlag("Accepts the first correction of the clock, however large it is, as ntpd -g. Default: off."),
    nts: switchFlag("Serves NTS. Without a configured certificate, one for development is made. Default: off."),
    "no-nts": switchFlag("Does not serve NTS, whatever the file says."),
    "nts-port": valueFlag(
      ntsDirective.options.port,
      `TCP port of the NTS key exchange. Default: ${DEFAULT_NTS_KE_PORT}.`
    ),
    "nts-processes": valueFlag(
      ntsDirective.options.processes,
      "Processes that share the port of the NTS key exchange. One does more than a thousand handshakes a second. Default: 1."
    ),
    ...upClusterFlags,
    drain: switchFlag("Drains the node on SIGTERM before it ends, as `drain onstop`. Default: off."),
    config: valueFlag(path("FILE"), "Configuration file, an ntp.conf(5). Default: none.")
  }
})

/** What the flags of `up` set, in the shape that the settings take. An address given twice counts once. */
export const upOverrides = (values: FlagValues<typeof upCommand.flags>): Overrides => {
  const byText = new Map<string, IpAddress>()
  for (const address of values.listen.flat()) byText.set(address.text, address)
  return {
    port: values.port,
    listen: byText.size === 0 ? undefined : [...byText.values()],
    workers: values.workers,
    stateDirectory: values.state,
    user: values.user,
    stratum: values.stratum,
    discipline: values.discipline,
    panicGate: values.panicgate || undefined,
    nts: values["no-nts"] ? false : values.nts || undefined,
    ntsPort: values["nts-port"],
    ntsProcesses: values["nts-processes"],
    drain: values.drain || undefined,
    ...upClusterOverrides(values)
  }
}

export const exabgpCommand = defineFlags({
  command: "meridian exabgp",
  meaning:
    "For ExaBGP, which runs it as a process: tells it which routes the node announces, and withdraws them when the node is gone.",
  flags: {},
  positional: { name: "SOCKET", meaning: "Path in the node's 'anycast exabgp' line.", least: 1, most: 1 }
})

const EXIT_CODES = "0 good time, 1 no answer, 2 wrong command line, 3 not synchronised or beyond a limit of --check"

export const statusCommand = defineFlags({
  command: "meridian status",
  meaning: `Shows the state of the running node: its clock, its workers, their traffic. Exit codes: ${EXIT_CODES}.`,
  flags: {
    state,
    check: valueFlag(
      checkLimits,
      "Exits with 3 if the clock is beyond a limit: maxima for offset and root-distance (seconds) and stratum, a minimum for certificate-days, the days that its NTS certificates are still valid."
    ),
    json
  }
})

export const queryCommand = defineFlags({
  command: "meridian query",
  meaning:
    "Asks an NTP server for the time and prints offset, delay, stratum, reference id and root distance. With --nts it exchanges keys first (RFC 8915), and only authenticated answers count. " +
    `Exit codes: ${EXIT_CODES}.`,
  flags: {
    check: valueFlag(
      checkLimits,
      "Exits with 3 if the answer with the shortest delay is beyond a limit: maxima for offset and root-distance (seconds) and stratum, with --nts a minimum for certificate-days."
    ),
    count: valueFlag(wholeNumber("N", 1, 1000), "Number of requests, one a second. Default: 1."),
    version: valueFlag(wholeNumber("3|4", 3, 4), "NTP version of the requests. Default: 4."),
    identify: switchFlag(
      "Also asks which node answered: its name, software, key generation, and the decision of its clock for `meridian explain --event ID`. The server must have `identify on`."
    ),
    nts: switchFlag("Uses NTS. PORT is then the TCP port of the key exchange."),
    ca: valueFlag(
      ntsDirective.options.ca,
      "With --nts: PEM file, or folder of PEM files, of the authorities that may sign the server's certificate. Default: the system's."
    ),
    aead: valueFlag(
      ntsDirective.options.aead,
      "With --nts: the only algorithm to offer. Default: AES_128_GCM_SIV, then AES_SIV_CMAC_256."
    ),
    state: valueFlag(
      stateDirectoryDirective.operands.directory.type,
      "With --nts: directory to keep keys and unused cookies in, sealed, so that the next query needs no key exchange. Default: none are kept."
    ),
    json
  },
  positional: {
    name: "HOST[:PORT]",
    meaning: `Server to ask: a name, an IPv4 address or [IPv6]. Default port: 123, with --nts ${DEFAULT_NTS_KE_PORT}.`,
    least: 1,
    most: 1
  }
})

export const configCheckCommand = defineFlags({
  command: "meridian config check",
  meaning:
    "Reads a configuration file, reports what is wrong with it and with the files that it names, and shows every setting with its origin. Exit codes: 0 all is well, 2 the file cannot be used, 3 it can be used, but not all files that it names.",
  flags: {
    user: valueFlag(userDirective.operands.user.type, "User that the node will run as, as --user of `meridian up`."),
    json
  },
  positional: { name: "FILE", meaning: "Configuration file to check.", least: 1, most: 1 }
})

export const signdCommand = defineFlags({
  command: "meridian signd",
  meaning:
    "Signs replies to Windows clients for an NTP server on this machine (ntpd, chronyd, Meridian), in place of Samba's ntp_signd. Flags override the file. SIGHUP reads the key table again, SIGUSR1 prints the counters.",
  flags: {
    config: valueFlag(
      path("FILE"),
      "Configuration file: ntpsigndsocket = PATH, keys = FILE, group = GROUP. Default: none."
    ),
    socket: valueFlag(SIGND_WORDS.ntpsigndsocket.type, SIGND_WORDS.ntpsigndsocket.meaning),
    keys: valueFlag(SIGND_WORDS.keys.type, SIGND_WORDS.keys.meaning),
    group: valueFlag(groupName, SIGND_WORDS.group.meaning)
  }
})
