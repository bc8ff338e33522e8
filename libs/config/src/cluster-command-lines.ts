/** The command lines about the event log, the keys and the cluster: `meridian log`, `keys`, `cluster`, `explain`. */
import { clusterDirective, nodeDirective } from "./cluster-directives.ts"
import type { ClusterOverrides } from "./cluster-settings.ts"
import { stateDirectoryDirective } from "./directives.ts"
import { defineFlags, type FlagValues, listFlag, switchFlag, valueFlag } from "./flags.ts"
import { accepted, oneOf, path, refused, text, type ValueType, wholeNumber } from "./value-types.ts"

const state = valueFlag(stateDirectoryDirective.operands.directory.type, "State directory of the node.")
const json = switchFlag("Prints JSON.")
const node = (meaning: string) => ({ name: "NODE", meaning, least: 1, most: 1 })
const reason = valueFlag(text("TEXT", "a text of 1 to 255 characters"), "Reason, which is recorded in the event.")

/** Flags of `meridian up` that make the node one of a cluster. */
export const upClusterFlags = {
  node: valueFlag(nodeDirective.operands.name.type, `${nodeDirective.meaning} Default: ${nodeDirective.default}.`),
  nats: listFlag(
    clusterDirective.options.nats,
    "NATS servers that hold the cluster's log. Default: none; the log is an SQLite file of this node."
  ),
  "cluster-key": valueFlag(
    clusterDirective.options.key,
    "Cluster key made by `meridian cluster init`. Default: a systemd credential, the environment, or cluster-key in the state directory."
  ),
  rotate: valueFlag(
    clusterDirective.options.rotate,
    "Rotates NTS keys this often, for development. Default: the policy."
  )
}

export const upClusterOverrides = (values: FlagValues<typeof upClusterFlags>): ClusterOverrides => ({
  node: values.node,
  nats: values.nats.length === 0 ? undefined : values.nats.flat(),
  clusterKey: values["cluster-key"],
  rotate: values.rotate
})

/** The largest whole number of 15 digits: exact in JSON and in JavaScript. */
const LARGEST = 999_999_999_999_999
const kinds = oneOf("nts", "symmetric")

const INSTANT = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/

/**
 * An instant as ISO 8601 has it, with its zone: without one, people in two places would mean two things. A blank may stand
 * for the T, as our own tables print it. Its value is in UTC with milliseconds. A leap second, which no event's time has a
 * number for, is the last millisecond before it.
 */
const instant: ValueType<string> = {
  syntax: "TIME",
  expected: "a time that exists, with its zone, such as 2026-11-21T12:00:00Z",
  parse: (value) => {
    const [, day = "", minute = "00:00", second = "00", fraction = ".0", zone = "Z"] = INSTANT.exec(value) ?? []
    // Date.parse takes the 30th of February for the 2nd of March.
    if (Number.isNaN(Date.parse(day)) || isoOf(Date.parse(day)).slice(0, 10) !== day) return refused
    const isLeap = second === "60"
    const moment = Date.parse(`${day}T${minute}:${isLeap ? "59.999" : `${second}${fraction}`}${zone}`)
    const iso = Number.isNaN(moment) ? "" : isoOf(moment)
    return iso.length !== ISO_LENGTH || (isLeap && !iso.endsWith("T23:59:59.999Z")) ? refused : accepted(iso)
  },
  write: String
}

/** Of years 0 to 9999; others are longer. */
const ISO_LENGTH = 24
const isoOf = (moment: number): string => new Date(moment).toISOString()

export const logCommand = defineFlags({
  command: "meridian log",
  meaning: "Shows the events of the node's log. It begins with what retention has dropped.",
  flags: {
    from: valueFlag(wholeNumber("N", 1, LARGEST), "First number of the log to show. Default: 1."),
    subject: valueFlag(
      text("S", "a subject such as keys.nts, or a family: keys, members, policy, clock"),
      "One subject, such as keys.nts or clock.a, or a family: keys, members, policy, clock. Default: everything."
    ),
    follow: switchFlag("Waits for new events and shows them, until interrupted."),
    state,
    json: switchFlag("Prints a JSON object per line.")
  }
})

export const keysListCommand = defineFlags({
  command: "meridian keys list",
  meaning:
    "Shows the generations of the NTS master keys and the sets of symmetric keys: what each is used for, and since when.",
  flags: { kind: valueFlag(kinds, "Shows only these."), state, json }
})

export const keysRotateCommand = defineFlags({
  command: "meridian keys rotate",
  meaning:
    "Rotates keys: the next generation of the NTS master key takes over as soon as every node has it. With --kind symmetric, announces the next set of symmetric keys.",
  flags: { kind: valueFlag(kinds, "Which keys. Default: nts."), state, json }
})

export const keysRevokeCommand = defineFlags({
  command: "meridian keys revoke",
  meaning:
    "Revokes a compromised key. Every node that the log reaches refuses it at once, its successor takes over, and it cannot be recovered.",
  flags: { kind: valueFlag(kinds, "Which keys. Default: nts."), reason, state, json },
  positional: {
    name: "GENERATION",
    meaning: "Number of the NTS generation, or of the set with --kind symmetric.",
    least: 1,
    most: 1
  }
})

export const keysExportCommand = defineFlags({
  command: "meridian keys export",
  meaning: "Writes an ntp.keys file for clients: the set in use, and the next one if it is announced.",
  flags: {
    out: valueFlag(
      path("FILE"),
      "File to write. It is replaced as a whole, and only its owner can read it. Default: standard output."
    ),
    state
  }
})

export const clusterInitCommand = defineFlags({
  command: "meridian cluster init",
  meaning: "Makes the cluster key, which every node of the cluster needs, and says how to copy it to the other nodes.",
  flags: {
    out: valueFlag(
      path("FILE"),
      "File to write; it is never overwritten. Default: cluster-key in the state directory."
    ),
    state,
    json
  }
})

export const clusterStatusCommand = defineFlags({
  command: "meridian cluster status",
  meaning: "Shows the cluster as this node knows it: which node leads, every node and its health, the keys in use.",
  flags: { state, json }
})

export const clusterRekeyCommand = defineFlags({
  command: "meridian cluster rekey",
  meaning:
    "Gives this node the next cluster key, made by `meridian cluster init --out FILE`, and begins the change to it. Run it on every node; the change is complete when all nodes have the key.",
  flags: { state, json },
  positional: {
    name: "FILE",
    meaning: "The next cluster key, readable by the node's user alone.",
    least: 1,
    most: 1
  }
})

export const clusterDrainCommand = defineFlags({
  command: "meridian cluster drain",
  meaning:
    "Takes a node out of service, also over restarts, until `meridian cluster undrain NODE`. Its route is withdrawn, and clients move to other nodes.",
  flags: { reason, state, json },
  positional: node("Node to take out of service.")
})

export const clusterUndrainCommand = defineFlags({
  command: "meridian cluster undrain",
  meaning: "Takes a drained node back into service.",
  flags: { state, json },
  positional: node("Node to take back.")
})

/** As `log`, `explain` and `query --identify` show it. */
const eventId: ValueType<string> = {
  syntax: "ID",
  expected: "the id of an event, as `meridian log` shows it",
  parse: (value) => (/^[0-9A-Za-z-]{1,64}(?:\.\d{1,6})?$/.test(value) ? accepted(value) : refused),
  write: String
}

export const policyCommand = defineFlags({
  command: "meridian policy",
  meaning:
    "Shows the configuration that all nodes share (how keys rotate, how long clock events are kept, when a silent node counts as gone), or changes some of it. All changes of one command take effect together, or none does.",
  flags: { state, json },
  positional: {
    name: "NAME=VALUE",
    meaning:
      "Setting and its new value. A name that ends in Ms takes milliseconds, or a number with s, m, h or d, such as 12h.",
    least: 0,
    most: 32
  }
})

export const explainCommand = defineFlags({
  command: "meridian explain",
  meaning:
    "Shows what was true at a moment: which node led, which keys were active, which peer each node's clock followed, and the events that say so.",
  flags: {
    at: valueFlag(instant, "The moment, such as 2026-11-21T12:00:00Z. Default: now."),
    event: valueFlag(
      eventId,
      "The moment of an event, in place of --at: an id as `meridian log` or `meridian query HOST --identify` shows it."
    ),
    state,
    json
  }
})
