/** The rows of authenticated time: symmetric keys and NTS. */
import { aeadId, keyId, keyRange, tlsVersion } from "./authentication-types.ts"
import { type Directive, one, rest, row } from "./directive.ts"
import { oneOf, path, port, text, toldHost, wholeNumber } from "./value-types.ts"

export const keysDirective = row({
  name: "keys",
  operands: { file: one(path("FILE")) },
  default: "none; no request is answered with a symmetric key",
  meaning: "File of symmetric keys in the format of ntp.keys(5). It is read again at a reload.",
  reload: "live"
})

export const trustedkeyDirective = row({
  name: "trustedkey",
  operands: { keys: rest(keyRange) },
  repeatable: true,
  default: "none; a key that is not trusted is not used",
  meaning: "Keys of the key file that may be used, by number or as ranges such as (10 ... 20).",
  reload: "live"
})

export const controlkeyDirective = row({
  name: "controlkey",
  operands: { key: one(keyId) },
  default: "none; nothing can be changed by mode 6 requests",
  meaning: "Key for mode 6 requests that change something. It must be trusted too.",
  reload: "live"
})

const requestkeyDirective = row({
  name: "requestkey",
  operands: { key: one(keyId) },
  default: "none",
  meaning: "Key for mode 7 requests of the classic ntpdc. Meridian does not answer those.",
  reload: "restart",
  actedOn: false,
  pointless: "it is the key of the classic ntpdc's mode 7 requests, and nothing here answers those"
})

export const cryptonakDirective = row({
  name: "cryptonak",
  operands: { state: one(oneOf("on", "off")) },
  default: "off, as in NTPsec and chrony",
  meaning: "Whether a request with a wrong MAC is answered with a crypto-NAK (RFC 5905 §9.2) or not at all.",
  documented: "Meridian",
  reload: "live"
})

export const ntpsigndsocketDirective = row({
  name: "ntpsigndsocket",
  operands: { path: one(path("PATH")) },
  default: "none; requests of Windows clients are dropped",
  meaning:
    "Who signs replies to Windows clients (MS-SNTP): the directory of Samba's ntp_signd, where the socket is called socket, or the path of the socket of `meridian signd`. Only clients that a `restrict … mssntp` line covers are answered.",
  documented: "ntp.conf(5), chrony.conf(5)",
  reload: "restart"
})

const tlsList = text("LIST", "names in OpenSSL's spelling with colons between them")

/** Each has sockets of its own on the port, and a process's memory. */
const MAX_NTS_PROCESSES = 64

export const ntsDirective = row({
  name: "nts",
  operands: {},
  options: {
    enable: "switch",
    disable: "switch",
    cert: path("FILE"),
    key: path("FILE"),
    ca: path("PATH"),
    nocerttimecheck: wholeNumber("N", 0, 1000),
    cookie: path("FILE"),
    aead: aeadId,
    mintls: tlsVersion,
    maxtls: tlsVersion,
    port,
    processes: wholeNumber("N", 1, MAX_NTS_PROCESSES),
    tlsciphersuites: tlsList,
    tlsecdhcurves: tlsList,
    tlscipherserverpreference: "switch",
    connections: wholeNumber("N", 1, 1_000_000),
    addressconnections: wholeNumber("N", 1, 1_000_000),
    ratelimit: wholeNumber("PER_SECOND", 0, 1_000_000),
    totalratelimit: wholeNumber("PER_SECOND", 0, 1_000_000),
    ntpserver: toldHost,
    ntpport: port,
    exchangeonly: "switch"
  },
  needsOption: true,
  repeatable: true,
  default:
    "disable; port 4460, processes 1, nocerttimecheck 0, mintls TLS1.3, maxtls TLS1.3, every aead; for each process connections 512, addressconnections 16, ratelimit 8, totalratelimit 1500; ntpserver none: clients ask the host that they exchanged keys with; ntpport this node's own; no exchangeonly",
  meaning:
    "Network Time Security (RFC 8915). `enable`, or a `cert` with its `key`, makes this node a server; several pairs serve several names. `port` is the TCP port of the key exchange, `processes` how many processes share it, `aead` lines name the algorithms allowed. The `cookie` file also keeps the master keys of a node that is in no cluster. `nocerttimecheck N` lets a client accept certificates whose only fault is their dates until its clock has been corrected N times; then it checks them again. The server's order of cipher suites counts, with or without `tlscipherserverpreference`. `ntpserver` and `ntpport` tell clients where to send NTP: to another node of the cluster, or to this node's own name if keys are exchanged on an anycast address. With `exchangeonly` the node only does key exchange and answers NTP on loopback addresses alone. Whether NTS is served, its port, processes and cookie file change at the next start.",
  documented: "ntp.conf(5) and the NTS guide of NTPsec",
  flags: ["nts", "no-nts", "nts-port", "nts-processes"],
  reload: "live"
})

export const extraDirective = row({
  name: "extra",
  operands: { what: one(oneOf("port")), port: one(port) },
  repeatable: true,
  default: "none",
  meaning: "Another UDP port to answer NTP on. NTS key exchange tells clients the main one.",
  documented: "NTPsec",
  reload: "restart"
})

export const AUTHENTICATION_DIRECTIVES: readonly Directive[] = [
  keysDirective,
  trustedkeyDirective,
  controlkeyDirective,
  requestkeyDirective,
  cryptonakDirective,
  ntpsigndsocketDirective,
  ntsDirective,
  extraDirective
]
