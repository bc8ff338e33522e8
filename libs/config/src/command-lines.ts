/** The command lines of `meridian`. Flags that override a directive take its type and its meaning from the table. */
import type { IpAddress } from "./address.ts"
import { drainDirective } from "./anycast-directives.ts"
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

const state = valueFlag(stateDirectoryDirective.operands.directory.type, "State directory, which names the node.")
const json = switchFlag("Prints JSON for machines.")

/** A flag says what its directive says. */
const meaningOf = (directive: Directive): string => `${directive.meaning} Default: ${directive.default}.`

export const upCommand = defineFlags({
  command: "meridian up",
  meaning:
    "Starts the node: opens the sockets, then starts and watches the services. A flag beats the file, the file beats the default.",
  flags: {
    port: valueFlag(portDirective.operands.port.type, meaningOf(portDirective)),
    listen: listFlag(listenDirective.operands.address.type, meaningOf(listenDirective)),
    workers: valueFlag(workersDirective.operands.count.type, meaningOf(workersDirective)),
    state: valueFlag(stateDirectoryDirective.operands.directory.type, meaningOf(stateDirectoryDirective)),
    user: valueFlag(userDirective.operands.user.type, meaningOf(userDirective)),
    stratum: valueFlag(
      wholeNumber("N", 1, 15),
      "Stratum that the local reference (this machine's clock) is served with. Default: 10."
    ),
    discipline: valueFlag(disciplineDirective.operands.mode.type, meaningOf(disciplineDirective)),
    panicgate: switchFlag("Takes the first setting of the clock however far off it is, as ntpd -g. Default: off."),
    nts: switchFlag("Serves NTS; without a configured certificate one for development is made. Default: off."),
    "no-nts": switchFlag("Does not serve NTS, whatever the file says."),
    "nts-port": valueFlag(
      ntsDirective.options.port,
      `TCP port of the NTS key exchange. Default: ${DEFAULT_NTS_KE_PORT}.`
    ),
    "nts-processes": valueFlag(
      ntsDirective.options.processes,
      "Processes that share the NTS key exchange's port; one does a thousand handshakes a second and more. Default: 1."
    ),
    ...upClusterFlags,
    drain: switchFlag(meaningOf(drainDirective)),
    config: valueFlag(path("FILE"), "Configuration file in the language of ntp.conf(5). Default: none.")
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
    "Run by ExaBGP as a process: writes to it which routes the node announces, and withdraws them when the node is gone.",
  flags: {},
  positional: { name: "SOCKET", meaning: "The path that the node's 'anycast exabgp' line names.", least: 1, most: 1 }
})

const EXIT_CODES = "0 good time, 1 no answer, 2 a wrong command line, 3 unsynchronised or beyond a limit of --check"

export const statusCommand = defineFlags({
  command: "meridian status",
  meaning: `Asks a running node how it does. Exit codes: ${EXIT_CODES}.`,
  flags: {
    state,
    check: valueFlag(
      checkLimits,
      "Ends with 3 where the clock is beyond a limit: offset and root-distance (seconds) and stratum at most, certificate-days of its NTS certificates at least."
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
      "Ends with 3 where the answer with the shortest delay is beyond a limit: offset and root-distance (seconds) and stratum at most, certificate-days (with --nts) at least."
    ),
    count: valueFlag(wholeNumber("N", 1, 1000), "Requests to send, one a second. Default 1."),
    version: valueFlag(wholeNumber("3|4", 3, 4), "NTP version of the requests. Default 4."),
    identify: switchFlag(
      "Asks which node answered, of servers that say so (`identify on`): its name, software, key generation, and the decision of its clock for `meridian explain --event`."
    ),
    nts: switchFlag("Asks with NTS: PORT is then the TCP port of the key exchange."),
    ca: valueFlag(
      ntsDirective.options.ca,
      "With --nts: PEM file, or folder of them, that the server's certificate must be vouched for by. Default: the system's."
    ),
    aead: valueFlag(
      ntsDirective.options.aead,
      "With --nts: the one algorithm to offer. Default: AES_128_GCM_SIV, else AES_SIV_CMAC_256."
    ),
    state: valueFlag(
      stateDirectoryDirective.operands.directory.type,
      "With --nts: directory that keeps keys and unused cookies, sealed, so that the next query needs no exchange. Default: none are kept."
    ),
    json
  },
  positional: {
    name: "HOST[:PORT]",
    meaning: `Server to ask: a name, an IPv4 address or [IPv6]; the port is 123 unless given, with --nts ${DEFAULT_NTS_KE_PORT}.`,
    least: 1,
    most: 1
  }
})

export const configCheckCommand = defineFlags({
  command: "meridian config check",
  meaning:
    "Reads a configuration file, reports what is wrong with it and with the files that it names, and shows every effective setting with its origin. Exit codes: 0 nothing stands in the way, 2 it cannot be used, 3 it can, but not all files that it names.",
  flags: {
    user: valueFlag(userDirective.operands.user.type, "Who the node will run as, as `meridian up --user`."),
    json
  },
  positional: { name: "FILE", meaning: "Configuration file to check.", least: 1, most: 1 }
})

export const signdCommand = defineFlags({
  command: "meridian signd",
  meaning:
    "Signs replies to Windows clients for an NTP server on this machine (ntpd, chronyd, Meridian), in place of Samba's ntp_signd. A flag beats the file. SIGHUP reads the key table anew, SIGUSR1 prints the counters.",
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
