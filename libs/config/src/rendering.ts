/** Settings as text: what `config check` shows, and an ntp.conf that gives the same settings when it is read. */
import { describeAccess } from "./access-rendering.ts"
import { describeAnycast } from "./anycast-settings.ts"
import { aeadId, keyRange } from "./authentication-types.ts"
import { describeBroadcast } from "./broadcast-rendering.ts"
import { describeDiscipline } from "./discipline-rendering.ts"
import { describeHttp } from "./http-settings.ts"
import { given, line, lineWhereSet, quoteWord, type SettingLine, switched } from "./setting-line.ts"
import type { Settings } from "./settings.ts"
import type { ReferenceClockSettings, SourceSettings } from "./source-settings.ts"
import type { Origin } from "./sourced.ts"

export { quoteWord, type SettingLine } from "./setting-line.ts"

/** The settings as directives, in the order of the reference. */
export const describeSettings = (settings: Settings): readonly SettingLine[] => [
  line("port", settings.port, String),
  ...settings.listen.map((address) => line("listen", address, ({ text }) => text)),
  line("workers", settings.workers, String),
  line("gather", settings.gather, String),
  ...lineWhereSet("xdp", settings.xdp, describeXdp),
  line("user", settings.user, quoteWord),
  line("statedir", settings.stateDirectory, quoteWord),
  line("logfile", settings.logfile, quoteWord),
  ...lineWhereSet("coredumps", settings.coreDumps, String),
  ...describeLocalReference(settings),
  ...settings.sources.map((source) => line(source.value.kind, source, describeSource)),
  ...settings.referenceClocks
    .filter(({ value }) => value.kind !== undefined)
    .map((clock) => line("refclock", clock, describeReferenceClock)),
  ...describeBroadcast(settings.broadcast),
  ...describeDiscipline(settings.discipline),
  ...describeHttp(settings.http),
  ...describeAccess(settings.access),
  line("keys", settings.keys.file, quoteWord),
  ...settings.keys.trusted.map((range) => line("trustedkey", range, (ids) => keyRange.write(ids))),
  line("controlkey", settings.keys.controlKey, String),
  line("passivepeers", settings.passivePeers, String),
  line("cryptonak", settings.cryptoNak, onOrOff),
  ...lineWhereSet("ntpsigndsocket", settings.signdSocket, quoteWord),
  ...describeNts(settings.nts),
  ...describeAutokey(settings.autokey),
  ...settings.extraPorts.map((port) => line("extra port", port, String)),
  ...describeCluster(settings.cluster),
  ...describeAnycast(settings.anycast),
  ...(settings.commandPort.value === 0 ? [] : [line("cmdport", settings.commandPort, String)]),
  ...lineWhereSet("saveconfigdir", settings.saveDirectory, quoteWord)
]

const describeXdp = (place: NonNullable<Settings["xdp"]["value"]>): string =>
  [place.interface, place.mode].filter((word) => word !== undefined).join(" ")

/** Beside sources this machine's own clock is a reference only where a line says so. */
const describeLocalReference = ({
  localReference,
  localClock,
  sources,
  referenceClocks
}: Settings): readonly SettingLine[] =>
  sources.length + referenceClocks.filter(({ value }) => value.kind !== undefined).length > 0 &&
  localReference.origin.kind === "default"
    ? []
    : [
        line("server", localClock, String),
        line("fudge", localReference, ({ stratum }) => `${localClock.value} stratum ${stratum}`)
      ]

/** A reference clock's operand and options, those that have their default left out. */
const describeReferenceClock = (clock: ReferenceClockSettings): string => {
  const file = (word: string, path: string | undefined) => given(word, path === undefined ? path : quoteWord(path))
  return [
    quoteWord(clock.driver),
    ...given("unit", clock.unit, 0),
    ...file("path", clock.path),
    ...file("ppspath", clock.ppspath),
    ...given("baud", clock.baud),
    ...given("subtype", clock.subtype),
    ...given("mode", clock.mode, 0),
    ...given("minpoll", clock.minPoll, 6),
    ...given("maxpoll", clock.maxPoll, Math.max(6, clock.minPoll)),
    ...given("refid", clock.refid === undefined ? undefined : quoteWord(clock.refid)),
    ...given("stratum", clock.stratum),
    ...given("time1", clock.time1, 0),
    ...given("time2", clock.time2, 0),
    ...given("precision", clock.precision),
    ...clock.flags.flatMap((flag, index) => switched(`flag${index + 1} 1`, flag)),
    ...switched("prefer", clock.prefer),
    ...switched("noselect", clock.noselect),
    ...switched("true", clock.truechimer)
  ].join(" ")
}

/** A source's operands and options, those that have their default left out. */
const describeSource = (source: SourceSettings): string => {
  const { family, host, port, nts } = source
  const bracketed = host.includes(":") && port !== undefined ? `[${host}]` : host
  return [
    ...(family === undefined ? [] : [`-${family}`]),
    port === undefined ? host : `${bracketed}:${port}`,
    ...given("version", source.version, 4),
    ...given("minpoll", source.minPoll, 6),
    ...given("maxpoll", source.maxPoll, 10),
    ...switched("burst", source.burst),
    ...switched("iburst", source.iburst),
    ...switched("prefer", source.prefer),
    ...switched("noselect", source.noselect),
    ...switched("true", source.truechimer),
    ...switched("xleave", source.xleave),
    ...given("presend", source.presend),
    ...given("offset", source.bias, 0),
    ...given("mindelay", source.path.minDelay),
    ...given("asymmetry", source.path.asymmetry),
    ...given("maxdelay", source.path.maxDelay),
    ...given("maxdelayratio", source.path.maxDelayRatio),
    ...given("maxdelaydevratio", source.path.maxDelayDevRatio),
    ...given("filter", source.path.filter),
    ...given("key", source.key),
    ...switched("autokey", source.autokey !== undefined),
    ...given("ident", source.autokey?.ident),
    ...(nts === undefined
      ? []
      : [
          "nts",
          ...given("ca", nts.ca === undefined ? undefined : quoteWord(nts.ca)),
          ...given("aead", nts.aead === undefined ? undefined : aeadId.write(nts.aead)),
          ...switched("noval", !nts.verify)
        ])
  ].join(" ")
}

/** `nts enable` or `nts disable` comes last, because a certificate before it would switch on. */
const describeNts = (nts: Settings["nts"]): readonly SettingLine[] => [
  ...nts.certificates.map((pair) =>
    line("nts", pair, ({ cert, key }) => `cert ${quoteWord(cert)} key ${quoteWord(key)}`)
  ),
  line("nts ca", nts.ca, quoteWord),
  line("nts cookie", nts.cookieFile, quoteWord),
  line("nts nocerttimecheck", nts.certificateTimeUpdates, String),
  ...nts.aeads.map((id) => line("nts aead", id, (number) => aeadId.write(number))),
  line("nts mintls", nts.minTls, String),
  line("nts maxtls", nts.maxTls, String),
  line("nts port", nts.port, String),
  line("nts processes", nts.processes, String),
  line("nts tlsciphersuites", nts.cipherSuites, quoteWord),
  line("nts tlsecdhcurves", nts.curves, quoteWord),
  ...(nts.serverCipherPreference.value
    ? [line("nts", nts.serverCipherPreference, () => "tlscipherserverpreference")]
    : []),
  ...lineWhereSet("nts connections", nts.limits.connections, String),
  ...lineWhereSet("nts addressconnections", nts.limits.addressConnections, String),
  ...lineWhereSet("nts ratelimit", nts.limits.rate, String),
  ...lineWhereSet("nts totalratelimit", nts.limits.totalRate, String),
  ...lineWhereSet("nts ntpserver", nts.ntpServer, quoteWord),
  ...(nts.exchangeOnly.value ? [line("nts", nts.exchangeOnly, () => "exchangeonly")] : []),
  ...lineWhereSet("nts ntpport", nts.ntpPort, String),
  line("nts", nts.enabled, (enabled) => (enabled ? "enable" : "disable"))
]

/** The password is not shown, here or anywhere. */
const describeAutokey = ({
  enabled,
  keysDirectory,
  host,
  ident,
  digest
}: Settings["autokey"]): readonly SettingLine[] =>
  enabled.value
    ? [
        line("keysdir", keysDirectory, quoteWord),
        line("crypto host", host, String),
        line("crypto ident", ident, String),
        line("crypto digest", digest, String)
      ]
    : []

const describeCluster = (cluster: Settings["cluster"]): readonly SettingLine[] => [
  line("node", cluster.node, String),
  ...cluster.nats.map((server) => line("cluster nats", server, String)),
  line("cluster nkey", cluster.nkeyFile, quoteWord),
  line("cluster ca", cluster.authorityFile, quoteWord),
  line("cluster key", cluster.keyFile, quoteWord),
  // Copies mean nothing where no server is named.
  ...(cluster.nats.length === 0 ? [] : [line("cluster replicas", cluster.replicas, String)]),
  line("cluster mint", cluster.mint, String),
  line("cluster clock-days", cluster.clockDays, String),
  line("cluster clock-events", cluster.clockEvents, String),
  ...(cluster.nats.length === 0 ? [] : [line("cluster log-bytes", cluster.logBytes, String)]),
  line("cluster rotate", cluster.rotate, String)
]

const onOrOff = (value: boolean): string => (value ? "on" : "off")

/** `default`, `--port`, `ntp.conf:3:1`, or who said it to the running node. */
export const describeOrigin = (origin: Origin): string => {
  switch (origin.kind) {
    case "default":
      return "default"
    case "flag":
      return `--${origin.flag}`
    case "said":
      return origin.by
    case "file":
      return `${origin.file}:${origin.line}:${origin.column}`
  }
}

/** An ntp.conf with one line a setting and its origin as a comment. Parsing it gives the same values. */
export const renderSettings = (settings: Settings): string => {
  const rows = describeSettings(settings).map(({ directive, value, origin }) => ({
    text: value === undefined ? `# ${directive} is not set` : `${directive} ${value}`,
    origin: describeOrigin(origin)
  }))
  const width = Math.min(48, Math.max(...rows.map(({ text }) => text.length)))
  return rows.map(({ text, origin }) => `${text.padEnd(width)}  # ${withoutControls(origin)}\n`).join("")
}

const withoutControls = (text: string): string => text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, "\uFFFD")
