/**
 * Makes the configuration of a NATS cluster for Meridian: an authority and server certificates, an nkey for each identity,
 * accounts.conf (shared by the servers) and one NAME.conf a server. Secrets stay in the folder, readable by its owner.
 *
 *   npx node infra/nats/make-configuration.ts --out DIR --server n1=nats1.example --server n2=nats2.example \
 *        --server n3=nats3.example --coordinator a --coordinator b --coordinator c [--reader audit] [--at /etc/nats]
 *
 * A server is NAME=HOST[:PORT[:ROUTES]], by default ports 4222 and 6222. --at says where the files will lie on the servers,
 * by default DIR itself. Refuses to overwrite. Later, in the same DIR: --renew with the servers makes their certificates anew,
 * --add with more coordinators or readers puts these into accounts.conf. Exit codes: 0 made, 1 failed, 2 wrong arguments.
 */
import { createUser } from "@nats-io/nkeys"
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { isIP } from "node:net"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { isLoopback, makeAuthority, makeServerCertificate } from "./certificates.ts"
import { coordinatorPermissions, type Permissions, READER_INBOX, readerPermissions } from "./permissions.ts"

export interface NatsServerPlan {
  readonly name: string
  /** Name that the others and the nodes reach it by, which its certificate is for; of addresses, only loopback ones. */
  readonly host: string
  /** TCP, for clients. */
  readonly port: number
  /** TCP, for the other servers. */
  readonly routePort: number
  /** Where JetStream keeps its files; as it is to stand in the configuration. */
  readonly store: string
}

export interface NatsPlan {
  /** Made where it is missing. */
  readonly folder: string
  readonly servers: readonly NatsServerPlan[]
  /** Names of the nodes whose coordinators sign in. */
  readonly coordinators: readonly string[]
  readonly readers: readonly string[]
  /** Where the files lie on the servers; the folder itself where absent. */
  readonly installedAt?: string
}

/** The folder is not empty of a configuration, or the plan cannot be meant. */
class ConfigurationRefused extends Error {
  readonly _tag = "ConfigurationRefused"
}

/** The file with an identity's seed: what a client signs in with. */
export const seedFile = (folder: string, kind: "coordinator" | "reader", name: string): string =>
  join(folder, `${kind}-${name}.nkey`)

export const serverConfiguration = (folder: string, name: string): string => join(folder, `${name}.conf`)

export const authorityFile = (folder: string): string => join(folder, "ca.pem")

/** Makes everything. @throws ConfigurationRefused, CertificateFailure */
export const makeNatsConfiguration = (plan: NatsPlan): void => {
  const { folder, servers, coordinators, readers } = plan
  if (servers.length === 0 || coordinators.length === 0)
    throw new ConfigurationRefused("expected at least one server and one coordinator")
  const address = servers.find(({ host }) => isIP(host) !== 0 && !isLoopback(host))
  if (address !== undefined)
    throw new ConfigurationRefused(
      `expected a host's name for server ${address.name}, found ${address.host}: clients check certificates by name`
    )
  if (existsSync(authorityFile(folder)))
    throw new ConfigurationRefused(`${folder} holds a configuration already: remove it, or choose another folder`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  makeAuthority(folder)
  for (const { name, host } of servers) makeServerCertificate(folder, name, host)
  writeFileSync(join(folder, "accounts.conf"), accountsText(userBlocks({ folder, coordinators, readers })))
  for (const server of servers) writeFileSync(serverConfiguration(folder, server.name), serverText(plan, server))
}

type Identities = Pick<NatsPlan, "folder" | "coordinators" | "readers">

/** Gives more identities an nkey and a place in accounts.conf. @throws ConfigurationRefused */
export const addIdentities = (added: Identities): void => {
  const file = join(added.folder, "accounts.conf")
  const before = existsSync(file) ? readFileSync(file, "utf8") : ""
  const end = before.lastIndexOf(END_OF_USERS)
  if (end < 0) throw new ConfigurationRefused(`${file} is not one that was made here: add the users by hand`)
  const files = [
    ...added.coordinators.map((name) => seedFile(added.folder, "coordinator", name)),
    ...added.readers.map((name) => seedFile(added.folder, "reader", name))
  ]
  const taken = files.find((it) => existsSync(it))
  if (taken !== undefined) throw new ConfigurationRefused(`${taken} exists: that identity is there already`)
  const blocks = userBlocks(added).join(",\n")
  writeFileSync(`${file}.new`, `${before.slice(0, end)},\n${blocks}${before.slice(end)}`)
  renameSync(`${file}.new`, file)
}

/** Makes the nkeys on the way. */
const userBlocks = ({ folder, coordinators, readers }: Identities): readonly string[] => [
  ...coordinators.map((node) =>
    userBlock(
      `coordinator of node ${node}`,
      makeNkey(seedFile(folder, "coordinator", node)),
      coordinatorPermissions(node)
    )
  ),
  ...readers.map((name) =>
    userBlock(
      `reader ${name}, inbox prefix ${READER_INBOX}`,
      makeNkey(seedFile(folder, "reader", name)),
      readerPermissions
    )
  )
]

/** Makes the servers' certificates anew under the same authority. @throws CertificateFailure */
export const renewCertificates = ({ folder, servers }: Pick<NatsPlan, "folder" | "servers">): void => {
  for (const { name, host } of servers) makeServerCertificate(folder, name, host)
}

/** Writes a fresh seed and returns the public key. */
const makeNkey = (file: string): string => {
  const pair = createUser()
  const seed = pair.getSeed()
  writeFileSync(file, `${Buffer.from(seed).toString("latin1")}\n`, { mode: 0o600 })
  const publicKey = pair.getPublicKey()
  pair.clear()
  seed.fill(0)
  return publicKey
}

const list = (subjects: readonly string[]): string => `[${subjects.map((it) => JSON.stringify(it)).join(", ")}]`

const userBlock = (who: string, nkey: string, { publish, subscribe, answers }: Permissions): string =>
  [
    `      # ${who}`,
    "      {",
    `        nkey: ${nkey}`,
    "        permissions {",
    `          publish { allow: ${list(publish)} }`,
    `          subscribe { allow: ${list(subscribe)} }`,
    ...(answers ? ["          allow_responses: true"] : []),
    "        }",
    "      }"
  ].join("\n")

/** What ends the list of users in accounts.conf. */
const END_OF_USERS = "\n    ]\n"

const accountsText = (users: readonly string[]): string =>
  [
    "# Identities and what each may do; the same file on every server. Read anew at a reload (SIGHUP).",
    "accounts {",
    "  MERIDIAN {",
    "    jetstream: enabled",
    "    users: [",
    `${users.join(",\n")}${END_OF_USERS}  }`,
    "}",
    ""
  ].join("\n")

const bracketed = (host: string): string => (host.includes(":") ? `[${host}]` : host)

const serverText = ({ folder, servers, installedAt }: NatsPlan, server: NatsServerPlan): string => {
  const { name, host, port, routePort, store } = server
  const place = installedAt ?? resolve(folder)
  const file = (suffix: string): string => JSON.stringify(join(place, `${name}.${suffix}`))
  const authority = JSON.stringify(authorityFile(place))
  const tls = `cert_file: ${file("pem")}, key_file: ${file("key")}, ca_file: ${authority}, timeout: 5`
  const routes = servers
    .filter((it) => it !== server)
    .map((it) => JSON.stringify(`tls://${bracketed(it.host)}:${it.routePort}`))
  return [
    `server_name: ${JSON.stringify(name)}`,
    `listen: ${JSON.stringify(`${bracketed(host)}:${port}`)}`,
    `tls { ${tls} }`,
    // The log may grow to 4 GiB on disk, the replicated key store to 16 MiB in memory.
    `jetstream { store_dir: ${JSON.stringify(store)}, max_memory_store: 64MB, max_file_store: 5GB }`,
    ...(routes.length === 0
      ? []
      : [
          "cluster {",
          "  name: meridian",
          `  listen: ${JSON.stringify(`${bracketed(host)}:${routePort}`)}`,
          // Both ends show a certificate of this authority, which signs nothing but servers.
          `  tls { ${tls}, verify: true }`,
          `  routes: [${routes.join(", ")}]`,
          // A client would check a server it heard of under the name of the one it heard it from: it is told all of them.
          "  no_advertise: true",
          "}"
        ]),
    'include "./accounts.conf"',
    ""
  ].join("\n")
}

const DEFAULT_PORT = 4222
const DEFAULT_ROUTE_PORT = 6222

const parseServer = (text: string): NatsServerPlan => {
  const match = /^([a-z0-9][a-z0-9-]{0,62})=(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5})(?::(\d{1,5}))?)?$/.exec(
    text
  )
  if (match === null)
    throw new ConfigurationRefused(`expected --server NAME=HOST[:PORT[:ROUTES]], found ${JSON.stringify(text)}`)
  const [, name = "", host = "", port, routePort] = match
  return {
    name,
    host: host.replace(/^\[|\]$/g, ""),
    port: port === undefined ? DEFAULT_PORT : Number(port),
    routePort: routePort === undefined ? DEFAULT_ROUTE_PORT : Number(routePort),
    store: `/var/lib/nats/${name}`
  }
}

const parseName = (text: string): string => {
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)) return text
  throw new ConfigurationRefused(`expected a name of a-z, 0-9 and inner hyphens, found ${JSON.stringify(text)}`)
}

const main = (): void => {
  const { values } = parseArgs({
    options: {
      out: { type: "string" },
      server: { type: "string", multiple: true, default: [] },
      coordinator: { type: "string", multiple: true, default: [] },
      reader: { type: "string", multiple: true, default: [] },
      at: { type: "string" },
      renew: { type: "boolean", default: false },
      add: { type: "boolean", default: false }
    }
  })
  if (values.out === undefined) throw new ConfigurationRefused("expected --out DIR, found none")
  const folder = resolve(values.out)
  const servers = values.server.map(parseServer)
  if (values.renew) return renewCertificates({ folder, servers })
  const coordinators = values.coordinator.map(parseName)
  if (values.add) return addIdentities({ folder, coordinators, readers: values.reader.map(parseName) })
  makeNatsConfiguration({
    folder,
    servers,
    coordinators,
    readers: values.reader.map(parseName),
    ...(values.at === undefined ? {} : { installedAt: values.at })
  })
  for (const { name } of servers)
    console.log(`server ${name}: ${name}.conf, ${name}.pem, ${name}.key, accounts.conf, ca.pem`)
  for (const node of coordinators) console.log(`node ${node}: coordinator-${node}.nkey, ca.pem`)
  console.log("keep ca.key offline: it is needed again only for --renew")
}

if (import.meta.main) {
  try {
    main()
  } catch (error) {
    process.stderr.write(`nats configuration: ${error instanceof Error ? error.message : String(error)}\n`)
    const { code } = error as { readonly code?: unknown }
    const meant = error instanceof ConfigurationRefused || String(code).startsWith("ERR_PARSE_ARGS")
    process.exitCode = meant ? 2 : 1
  }
}
