/** The command line of a coordinator. */
import { hostname } from "node:os"
import { parseArgs } from "node:util"
import { isNodeName } from "@meridian/events/event"

export const USAGE = `meridian coordinator: started by the supervisor (\`meridian up\`), which takes the keys it sends

  --state DIR             its files and its Unix socket DIR/coordinator.sock
  --node NAME             this node's name: a-z, 0-9 and inner hyphens; the host's name by default
  --clock-page FD         the clock page that it inherits; without one it goes by CLOCK_REALTIME
  --version V             the release that runs, for the cluster's list of members
  --workers N             workers the node is to have
  --nats HOST:PORT        a NATS server (repeatable); without one the log is an SQLite file in DIR
  --nats-nkey-seed FILE   the nkey to sign in with       --nats-ca FILE   the authority that signed the servers' certificates
  --replicas 1|3          copies of the log in NATS
  --log-bytes N           most bytes the log may take, which NATS sets aside for it; 1 GiB by default
  --cluster-key FILE      else the systemd credential cluster-key, else MERIDIAN_CLUSTER_KEY; without --nats, one is made
  --mint KINDS            nts,symmetric: what it mints when it leads; nts by default
  --rotate SECONDS        rotate NTS keys this often whatever the policy says, for development
  --clock-days DAYS       while it leads: drop clock events older than this whatever the policy says
  --clock-events N        and all of a node but the last so many
  --cookie-keys FILE      also keep the NTS master keys there (nts cookie of ntp.conf); without --nats only
  --ready-limit SECONDS   say ready after this long without keys too; 3 by default
  --clock-offset=SECONDS  take the clock to be off by this, for tests
`

/** Something on the command line that cannot be meant. */
export class ArgumentError extends Error {
  readonly _tag = "ArgumentError"
}

/** Where NATS is and how to sign in. */
export interface NatsPlan {
  readonly servers: ReadonlyArray<string>
  readonly seedFile: string | undefined
  readonly authorityFile: string | undefined
  readonly replicas: 1 | 3
  /** Most bytes of the log. */
  readonly logBytes: number
}

const LOG_BYTES = 1_073_741_824
const DAY_MS = 86_400_000

export interface Arguments {
  readonly directory: string
  /** Descriptor of the page that served time is read from. */
  readonly clockPage: number | undefined
  readonly node: string
  readonly version: string
  readonly workers: number
  readonly nats: NatsPlan | undefined
  readonly clusterKeyFile: string | undefined
  readonly mint: { readonly nts: boolean; readonly symmetric: boolean }
  /** Milliseconds; undefined for what the policy says. */
  readonly rotationMs: number | undefined
  /** Milliseconds and events of a node that clock events are kept for; undefined for what the policy says. */
  readonly clockRetention: { readonly ms: number | undefined; readonly count: number | undefined }
  /** Where NTS master keys are kept besides the log, in NTPsec's format. */
  readonly cookieKeyFile: string | undefined
  /** How long a start waits for its keys before it says ready all the same, milliseconds. */
  readonly readyLimitMs: number
  /** Milliseconds. */
  readonly clockOffsetMs: number
}

/** Reads the arguments after the program's name; undefined when they ask for help. @throws ArgumentError */
export const parseArguments = (args: ReadonlyArray<string>): Arguments | undefined => {
  const values = parsed(args)
  if (values.help) return undefined
  if (values.state === undefined) throw new ArgumentError("expected --state DIR, found none: say where its files go")
  const node = values.node ?? defaultName()
  if (!isNodeName(node))
    throw new ArgumentError(
      `expected --node with a name of a-z, 0-9 and inner hyphens, at most 63, found ${JSON.stringify(node)}`
    )
  if (!/^[0-9A-Za-z.+-]{1,64}$/.test(values.version))
    throw new ArgumentError(`expected --version such as 1.2.3, found ${JSON.stringify(values.version)}`)
  const servers = values.nats.map(serverAddress)
  if (servers.length > 0 && values["cookie-keys"] !== undefined)
    throw new ArgumentError("found --cookie-keys beside --nats: the keys of a cluster are in its log alone")
  const nats: NatsPlan = {
    servers,
    seedFile: values["nats-nkey-seed"],
    authorityFile: values["nats-ca"],
    replicas: replicas(values.replicas),
    logBytes: wholeNumber("--log-bytes", values["log-bytes"], 1_048_576, 1e15)
  }
  return {
    directory: values.state,
    clockPage: optional(values["clock-page"], (text) => wholeNumber("--clock-page", text, 0, 65_535)),
    node,
    version: values.version,
    workers: wholeNumber("--workers", values.workers, 0, 65_535),
    nats: servers.length === 0 ? undefined : nats,
    clusterKeyFile: values["cluster-key"],
    mint: kinds(values.mint),
    rotationMs: values.rotate === undefined ? undefined : 1_000 * seconds("--rotate", values.rotate, 1, 31_536_000),
    clockRetention: {
      ms: optional(values["clock-days"], (text) => DAY_MS * wholeNumber("--clock-days", text, 1, 36_500)),
      count: optional(values["clock-events"], (text) => wholeNumber("--clock-events", text, 100, 100_000_000))
    },
    cookieKeyFile: values["cookie-keys"],
    readyLimitMs: 1_000 * seconds("--ready-limit", values["ready-limit"], 0, 86_400),
    clockOffsetMs: 1_000 * seconds("--clock-offset", values["clock-offset"], -1e9, 1e9)
  }
}

const parseValues = (args: ReadonlyArray<string>) =>
  parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", default: false },
      state: { type: "string" },
      "clock-page": { type: "string" },
      node: { type: "string" },
      version: { type: "string", default: "0.0.0" },
      workers: { type: "string", default: "0" },
      nats: { type: "string", multiple: true, default: [] },
      "nats-nkey-seed": { type: "string" },
      "nats-ca": { type: "string" },
      replicas: { type: "string", default: "1" },
      "log-bytes": { type: "string", default: String(LOG_BYTES) },
      "cluster-key": { type: "string" },
      mint: { type: "string", default: "nts" },
      rotate: { type: "string" },
      "clock-days": { type: "string" },
      "clock-events": { type: "string" },
      "cookie-keys": { type: "string" },
      "ready-limit": { type: "string", default: "3" },
      "clock-offset": { type: "string", default: "0" }
    }
  }).values

const parsed = (args: ReadonlyArray<string>): ReturnType<typeof parseValues> => {
  try {
    return parseValues(args)
  } catch (error) {
    throw new ArgumentError(error instanceof Error ? error.message : String(error))
  }
}

/** The host's name as far as it can be a node's. */
const defaultName = (): string =>
  hostname()
    .split(".", 1)[0]
    ?.toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, "-") ?? ""

const serverAddress = (text: string): string => {
  const address = text.replace(/^(?:nats|tls):\/\//, "")
  if (!/^(?:\[[0-9a-fA-F:.]+\]|[^\s:/@]+)(?::\d{1,5})?$/.test(address))
    throw new ArgumentError(`expected --nats HOST:PORT, found ${JSON.stringify(text)}`)
  return address
}

const replicas = (text: string): 1 | 3 => {
  if (text === "1") return 1
  if (text === "3") return 3
  throw new ArgumentError(`expected --replicas 1 or 3, found ${JSON.stringify(text)}`)
}

const kinds = (text: string): Arguments["mint"] => {
  const wanted = text.split(",").filter((it) => it !== "")
  const unknown = wanted.find((it) => it !== "nts" && it !== "symmetric")
  if (unknown !== undefined)
    throw new ArgumentError(`expected --mint with nts, symmetric or both, found ${JSON.stringify(unknown)}`)
  return { nts: wanted.includes("nts"), symmetric: wanted.includes("symmetric") }
}

const seconds = (name: string, text: string, least: number, most: number): number => {
  const value = /^-?\d+(?:\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw new ArgumentError(`expected ${name} with seconds from ${least} to ${most}, found ${JSON.stringify(text)}`)
}

const optional = (text: string | undefined, read: (text: string) => number): number | undefined =>
  text === undefined ? undefined : read(text)

const wholeNumber = (name: string, text: string, least: number, most: number): number => {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw new ArgumentError(`expected ${name} with a number from ${least} to ${most}, found ${JSON.stringify(text)}`)
}
