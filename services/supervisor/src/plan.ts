/** From settings to what the node is to do: the only place that knows both. */
import { resolve } from "node:path"
import type { ListenRules } from "@meridian/config/listen"
import type { Settings } from "@meridian/config"
import { commandsToRead, type Reader } from "@meridian/system/commands-to-read"
import type { CoordinatorPlan } from "@meridian/ipc/coordinator-plan"
import type { AutokeyFiles } from "./autokey-material.ts"
import { disciplineConfiguration } from "./discipline-plan.ts"
import type { KeyFilePlan } from "./served-keys.ts"
import { anycastPlan } from "./anycast-plan.ts"
import type { NodePlan, NtsPlan } from "./node-plan.ts"
import { resolveIdentity } from "@meridian/system/identity"

export const CLUSTER_KEY_VARIABLE = "MERIDIAN_CLUSTER_KEY"

interface Surroundings {
  readonly version: string
  /** The folder that holds services/ and libs/. */
  readonly programRoot: string
  readonly stateDirectory: string
  readonly native: boolean
  /** Whether this kernel has IPv6. */
  readonly ipv6: boolean
  /** This machine's name, from which the node has its own where none is given. */
  readonly hostName: string
  /** The cluster key as the environment gave it. */
  readonly clusterKey: string | undefined
}

const keyFilePlan = ({ keys }: Settings): KeyFilePlan | undefined =>
  keys.file.value === undefined
    ? undefined
    : { file: resolve(keys.file.value), trusted: keys.trusted.map((range) => range.value) }

const autokeyFiles = ({ autokey, sources, broadcast, discipline }: Settings): AutokeyFiles | undefined => {
  if (!autokey.enabled.value) return undefined
  const groups = [...sources, ...broadcast.manycasts].flatMap(({ value }) => value.autokey?.ident ?? [])
  return {
    directory: resolve(autokey.keysDirectory.value),
    host: autokey.host.value,
    ident: autokey.ident.value,
    password: autokey.password.value,
    digest: autokey.digest.value,
    groups: [...new Set(groups)],
    leapFile: discipline.leapFile.value === undefined ? null : resolve(discipline.leapFile.value),
    leapFileHashIgnored: !discipline.leapFileChecked.value
  }
}

const httpPlan = ({ place, files }: Settings["http"]): NodePlan["http"] =>
  place.value === undefined
    ? null
    : {
        address: place.value.address,
        port: place.value.port,
        asked: place.origin.kind !== "default",
        tokenFile: absolute(files.value.token),
        operatorsFile: absolute(files.value.operators),
        certificateFile: absolute(files.value.cert),
        keyFile: absolute(files.value.key),
        clientsFile: absolute(files.value.clients)
      }

const absolute = (file: string | undefined): string | null => (file === undefined ? null : resolve(file))

const ownIdentity = (): Reader => ({ uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 })

/** Files of a certificate, and what lets the node's user read them: root can tell before it has become that user. */
const certificateFiles = (certificate: string, key: string, reader: Reader): CertificatePlan => {
  const mend = [...new Set([certificate, key].flatMap((file) => commandsToRead(file, reader)))].join(" && ")
  return mend === "" ? { certificate, key } : { certificate, key, mend }
}
type CertificatePlan = NtsPlan["settings"]["certificates"][number]

const ntsPlan = ({ nts, extraPorts, port }: Settings, stateDirectory: string, reader: Reader): NtsPlan | undefined => {
  if (!nts.enabled.value) return undefined
  const timePort = nts.ntpPort.value ?? extraPorts[0]?.value ?? port.value
  return {
    port: nts.port.value,
    processes: nts.processes.value,
    exchangeOnly: nts.exchangeOnly.value,
    settings: {
      certificates: nts.certificates.map(({ value }) =>
        certificateFiles(resolve(value.cert), resolve(value.key), reader)
      ),
      developmentDirectory: stateDirectory,
      tls: {
        minimum: tlsVersion(nts.minTls.value),
        maximum: tlsVersion(nts.maxTls.value),
        cipherSuites: nts.cipherSuites.value ?? null,
        curves: nts.curves.value ?? null
      },
      handshakeSeconds: null,
      exchangeSeconds: null,
      reportSeconds: 1,
      aeads: nts.aeads.map(({ value }) => value),
      // RFC 8915 §4.1.8: clients take port 123 unless they are told another.
      timeServer: { host: nts.ntpServer.value ?? null, port: timePort === 123 ? null : timePort },
      admission: {
        connections: nts.limits.connections.value ?? null,
        connectionsPerAddress: nts.limits.addressConnections.value ?? null,
        rate: rateOf(nts.limits.totalRate.value, 1),
        ratePerAddress: rateOf(nts.limits.rate.value, SECONDS_AT_ONCE)
      }
    }
  }
}

/** What one address may ask for at once, in seconds of its rate: a whole office may start behind it. */
const SECONDS_AT_ONCE = 8

const rateOf = (perSecond: number | undefined, seconds: number): { perSecond: number; burst: number } | null =>
  perSecond === undefined ? null : { perSecond, burst: Math.min(1_000_000, perSecond * seconds) }

/** NTPsec writes TLS1.3, OpenSSL TLSv1.3. */
const tlsVersion = (version: "TLS1.2" | "TLS1.3"): "TLSv1.2" | "TLSv1.3" =>
  version === "TLS1.2" ? "TLSv1.2" : "TLSv1.3"

const DAY_MS = 86_400_000
/** Most bytes of a log in NATS where nothing is said. */
const LOG_BYTES = 1_073_741_824
/** A start waits for its keys for so long before it says that it is ready without. */
const READY_LIMIT_MS = 3_000

const coordinatorPlan = (
  { cluster, nts, workers }: Settings,
  { version, stateDirectory, hostName, clusterKey }: Surroundings
): CoordinatorPlan => {
  const { nats, keyFile, nkeyFile, authorityFile, replicas, mint, rotate, clockDays, clockEvents, logBytes } = cluster
  const file = (path: string | undefined): string | null => (path === undefined ? null : resolve(path))
  const servers = nats.map(({ value }) => value)
  const kinds = mint.value.split(",")
  return {
    directory: stateDirectory,
    node: cluster.node.value ?? nodeNameOf(hostName),
    version,
    workers: workers.value,
    nats:
      servers.length === 0
        ? null
        : {
            servers,
            seedFile: file(nkeyFile.value),
            authorityFile: file(authorityFile.value),
            replicas: Number(replicas.value),
            logBytes: logBytes.value ?? LOG_BYTES
          },
    clusterKeyFile: file(keyFile.value),
    clusterKey: clusterKey ?? null,
    mint: { nts: kinds.includes("nts"), symmetric: kinds.includes("symmetric") },
    rotationMs: rotate.value === undefined ? null : rotate.value * 1_000,
    clockRetention: {
      ms: clockDays.value === undefined ? null : clockDays.value * DAY_MS,
      count: clockEvents.value ?? null
    },
    // The keys of a cluster are in its log alone.
    cookieKeyFile: servers.length === 0 && nts.enabled.value ? file(nts.cookieFile.value) : null,
    readyLimitMs: READY_LIMIT_MS,
    clockOffsetMs: 0
  }
}

/** The host's name as far as it can be a node's. */
const nodeNameOf = (hostName: string): string =>
  (hostName.split(".", 1)[0] ?? "")
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, "-")
    .replaceAll(/^-+|-+$/g, "")
    .slice(0, 63)
    .replace(/-+$/, "") || "node"

/** Nobody asked for IPv6 by name where the defaults hold: a kernel without it serves IPv4. */
const listenRules = ({ listen, listenRules: rules }: Settings, ipv6: boolean): ListenRules =>
  !ipv6 && listen.every(({ origin }) => origin.kind === "default")
    ? { ...rules, named: rules.named.filter(({ family }) => family === 4) }
    : rules

/** A path as the service takes it; a slash at its end says that it is a directory. */
const resolveSigndSocket = (path: string): string => (path.endsWith("/") ? `${resolve(path)}/` : resolve(path))

/** Without a source no time is to be waited for. */
const hasSources = ({ sources, referenceClocks }: Settings): boolean =>
  sources.length > 0 || referenceClocks.some(({ value }) => value.kind !== undefined)

/** @throws NoSuchIdentity */
export const nodePlan = (settings: Settings, surroundings: Surroundings): NodePlan => {
  const { version, programRoot, stateDirectory, native, ipv6 } = surroundings
  const identity = settings.user.value === undefined ? undefined : resolveIdentity(settings.user.value)
  return {
    version,
    listen: listenRules(settings, ipv6),
    ports: [settings.port.value, ...settings.extraPorts.map(({ value }) => value)],
    workers: settings.workers.value,
    gatherMicroseconds: settings.gather.value,
    xdp: settings.xdp.value,
    silentSeconds: hasSources(settings) ? settings.discipline.silentStart.value : 0,
    packetKinds: [
      "control",
      ...(settings.signdSocket.value === undefined ? [] : (["signd"] as const)),
      ...(settings.autokey.enabled.value ? (["autokey"] as const) : [])
    ],
    stateDirectory,
    logFile: settings.logfile.value,
    discipline: disciplineConfiguration(settings, stateDirectory),
    access: { settings: settings.access, monitor: settings.discipline.flags.monitor.value },
    identity,
    native,
    keyFile: keyFilePlan(settings),
    sendCryptoNak: settings.cryptoNak.value,
    controlKey: settings.keys.controlKey.value,
    http: httpPlan(settings.http),
    signdSocket: settings.signdSocket.value === undefined ? undefined : resolveSigndSocket(settings.signdSocket.value),
    autokey: autokeyFiles(settings),
    anycast: anycastPlan(settings),
    identifiesAs: settings.anycast.identify.value
      ? { node: settings.cluster.node.value ?? nodeNameOf(surroundings.hostName), version }
      : undefined,
    drain: { wait: settings.anycast.drainWait.value, grace: settings.anycast.drainGrace.value },
    commandPort: settings.commandPort.value,
    nts: ntsPlan(settings, stateDirectory, identity ?? ownIdentity()),
    coordinator: coordinatorPlan(settings, surroundings),
    programs: {
      worker: resolve(programRoot, "services/worker/src/main.ts"),
      discipline: resolve(programRoot, "services/discipline/src/main.ts"),
      ntsKe: resolve(programRoot, "services/nts-ke/src/main.ts"),
      coordinator: resolve(programRoot, "services/coordinator/src/main.ts"),
      control: resolve(programRoot, "services/control/src/main.ts"),
      signd: resolve(programRoot, "services/signd/src/client/main.ts"),
      autokey: resolve(programRoot, "services/autokey/src/main.ts"),
      anycast: resolve(programRoot, "services/anycast/src/main.ts")
    }
  }
}
