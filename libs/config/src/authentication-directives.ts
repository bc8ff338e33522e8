/** The rows of authenticated time: symmetric keys and NTS. */
import { aeadId, keyId, keyRange, tlsVersion } from "./authentication-types.ts"
import { type Directive, one, rest, row } from "./directive.ts"
import { oneOf, path, port, text, toldHost, wholeNumber } from "./value-types.ts"

export const keysDirective = row({
  name: "keys",
  operands: { file: one(path("FILE")) },
  default: "none; no request is answered with a symmetric key",
  meaning: "File of symmetric keys in the format of ntp.keys(5); it is read anew at a reload.",
  reload: "live"
})

export const trustedkeyDirective = row({
  name: "trustedkey",
  operands: { keys: rest(keyRange) },
  repeatable: true,
  default: "none; a key that is not trusted is as if it were not there",
  meaning: "Keys of the key file that may be used, by number or as ranges such as (10 ... 20).",
  reload: "live"
})

export const controlkeyDirective = row({
  name: "controlkey",
  operands: { key: one(keyId) },
  default: "none; nothing can be changed by mode 6 requests",
  meaning: "Key that mode 6 requests which change something must be authenticated with; it must be trusted too.",
  reload: "live"
})

const requestkeyDirective = row({
  name: "requestkey",
  operands: { key: one(keyId) },
  default: "none",
  meaning: "Key of the classic ntpdc's mode 7 requests, which Meridian does not answer.",
  reload: "restart",
  actedOn: false,
  pointless: "it is the key of the classic ntpdc's mode 7 requests, and nothing here answers those"
})

export const cryptonakDirective = row({
  name: "cryptonak",
  operands: { state: one(oneOf("on", "off")) },
  default: "off, as in NTPsec and chrony",
  meaning: "Answers a request whose MAC is wrong with a crypto-NAK (RFC 5905 §9.2) instead of silence.",
  documented: "Meridian",
  reload: "live"
})

export const ntpsigndsocketDirective = row({
  name: "ntpsigndsocket",
  operands: { path: one(path("PATH")) },
  default: "none; requests of Windows clients are dropped",
  meaning:
    "Where replies to Windows clients are signed (MS-SNTP): the directory of Samba's ntp_signd, in which the socket is called socket, or the socket of `meridian signd` itself. Only clients that a `restrict … mssntp` line covers are answered.",
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
    "disable; port 4460, processes 1, nocerttimecheck 0, mintls TLS1.3, maxtls TLS1.3, every aead there is; of each process connections 512, addressconnections 16, ratelimit 8, totalratelimit 1500; ntpserver none, clients ask the host that they exchanged keys with; ntpport that of this node; no exchangeonly",
  meaning:
    "Network Time Security (RFC 8915): `enable`, or a `cert` with its `key`, makes a server; several pairs serve several names, `aead` lines name the algorithms allowed, `port` is the TCP port of the key exchange, `processes` how many processes share it, and the `cookie` file also keeps the master keys of a node that is in no cluster. `nocerttimecheck N` has a client take certificates whose only fault are their dates until its clock was corrected N times, and judge them again by the time that it won. Of cipher suites the server's order counts, with `tlscipherserverpreference` and without. `ntpserver` and `ntpport` are what clients are told to send NTP to, another node of the cluster for one, or this one's own name where keys are exchanged on an anycast address. With `exchangeonly` the node does key exchange and nothing else: it answers NTP on the loopback addresses alone. Whether NTS is served, its port, processes and cookie file change at the next start.",
  documented: "ntp.conf(5) and the NTS guide of NTPsec",
  flags: ["nts", "no-nts", "nts-port", "nts-processes"],
  reload: "live"
})

export const extraDirective = row({
  name: "extra",
  operands: { what: one(oneOf("port")), port: one(port) },
  repeatable: true,
  default: "none",
  meaning: "Additional UDP port to answer NTP on; NTS key exchange tells clients the first one.",
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
