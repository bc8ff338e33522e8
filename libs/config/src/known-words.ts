/**
 * Words of ntp.conf and chrony.conf that NTPsec, the classic ntpd or chronyd know and that have no effect here. A line that begins
 * with one is accepted, so that a packaged file can be used as it is, but never silently: the warning says why, and which word
 * comes nearest. A word leaves this list when it gets its row in the table of directives.
 */

interface KnownWord {
  readonly name: string
  /** Whose word it is. */
  readonly documented: "NTPsec" | "ntp" | "NTPsec and ntp" | "chrony"
  /** Why it has no effect, and what has. */
  readonly because: string
}

type Reasons = Readonly<Record<string, string>>

const NO_MODEM = "there is no modem driver"
const NO_TRAP = "there are no traps (mode 6 opcode 6)"
const SYSTEM_LIMITS = "the system's own limits stand; the service manager sets them"

const both: Reasons = {
  calldelay: NO_MODEM,
  end: "a file ends where it ends; nothing behind this line is left out",
  logconfig: "what is logged is not chosen by class; 'logfile' says where to",
  mdnstries: "servers are not announced by mDNS",
  phone: NO_MODEM,
  pidfile: "the service manager knows the process; 'meridian status' shows its number",
  reset: "counters are not set back; they are read as differences",
  rlimit: SYSTEM_LIMITS,
  setvar: "mode 6 shows the variables there are",
  tick: "'discipline kernel' sets the tick by itself"
}

const ntpsec: Reasons = { dscp: "packets leave with the system's own DSCP" }

const classic: Reasons = {
  authdelay: "it is of xntpd; the delay is measured by itself",
  automax: "session keys of Autokey are made when they are needed",
  clientlimit: "it is of xntpd; 'restrict … limited' with 'discard' or 'limit' bounds how often an address may ask",
  clientperiod: "it is of xntpd; 'restrict … limited' with 'discard' or 'limit' bounds how often an address may ask",
  device: "'refclock' and its 'path' name a device",
  ident: "'crypto ident' names the group",
  monitor: "it is of xntpd; the words here are 'enable monitor' and 'disable monitor'",
  pollskewlist: "polls are spread by themselves",
  qos: "packets leave with the system's own DSCP",
  revoke: "Autokey's server secret changes with the node's master keys",
  serverresponse: "replies carry the reference timestamp as it is",
  simulate: "there is no simulator in the service; docs/scenarios.md has one",
  tracefile: "it is of xntpd, and traces are not written; 'logfile' says where messages go",
  trap: NO_TRAP,
  ttl: "'ttl' of a 'manycastclient' line says how far it looks"
}

const CONVERT = "it is chrony's"
const chrony: Reasons = {
  acquisitionport: `${CONVERT}; servers are asked from a port of the system's choice`,
  allowupdate: `${CONVERT}; peers under a trusted key are taken by 'passivepeers'`,
  authselectmode: `${CONVERT}; put 'noselect' on sources without authentication`,
  bindacqaddress: `${CONVERT}; the system's routes say where requests leave from`,
  bindacqdevice: `${CONVERT}; the system's routes say where requests leave from`,
  bindaddress: `${CONVERT}; the word here is 'listen ADDRESS'`,
  bindcmdaddress: `${CONVERT}; 'restrict … noquery' says who may ask about the node`,
  bindcmddevice: `${CONVERT}; 'restrict … noquery' says who may ask about the node`,
  binddevice: `${CONVERT}; the word here is 'interface listen NAME'`,
  clientloglimit: `${CONVERT}; the word here is 'mru maxmem KILOBYTES'`,
  clockprecision: `${CONVERT}; the precision is measured`,
  cmdallow: `${CONVERT}; 'restrict' without noquery lets an address ask about the node`,
  cmddeny: `${CONVERT}; the word here is 'restrict ADDRESS noquery'`,
  cmdratelimit: `${CONVERT}; queries are held to the same limit as requests`,
  commandkey: `${CONVERT}; commands come by the socket in the state directory, without a key`,
  combinelimit: `${CONVERT}; 'tos' says which sources are combined`,
  confdir: `${CONVERT}; the word here is 'includefile DIR'`,
  corrtimeratio: `${CONVERT}; served time is corrected at once, and 'discipline kernel' by its own law`,
  dumpdir: `${CONVERT}; what is kept lies in the state directory`,
  dumponexit: `${CONVERT}; what is kept lies in the state directory`,
  generatecommandkey: `${CONVERT}; commands come by the socket in the state directory, without a key`,
  hwclockfile: `${CONVERT}; the hardware clock is the system's matter`,
  hwtimestamp: `${CONVERT}; the kernel's stamps are used, not the network card's`,
  hwtstimeout: `${CONVERT}; the kernel's stamps are used, not the network card's`,
  include: `${CONVERT}; the word here is 'includefile FILE'`,
  initstepslew: `${CONVERT}; the first good measurements set served time`,
  keyfile: `${CONVERT}; the words here are 'keys FILE' and 'trustedkey N'`,
  leapsecmode: `${CONVERT}; the word here is 'leapsmearinterval SECONDS'`,
  leapseclist: `${CONVERT}; the word here is 'leapfile FILE'`,
  leapsectz: `${CONVERT}; the word here is 'leapfile FILE'`,
  linux_freq_scale: `${CONVERT}; the kernel's clock is measured as it is`,
  linux_hz: `${CONVERT}; the kernel's clock is measured as it is`,
  local: `${CONVERT}; the words here are 'server 127.127.1.0', 'fudge 127.127.1.0 stratum N' and 'tos orphan N'`,
  lock_all: `${CONVERT}; ${SYSTEM_LIMITS}`,
  log: `${CONVERT}; the word here is 'statistics loopstats peerstats'`,
  logbanner: `${CONVERT}; records have no banner`,
  logchange: `${CONVERT}; every step is logged`,
  logdir: `${CONVERT}; the word here is 'statsdir DIR'`,
  mailonchange: `${CONVERT}; 'meridian log --follow' tells of steps`,
  makestep: `${CONVERT}; the words here are 'tinker step SECONDS' and '--panicgate'`,
  manual: `${CONVERT}; time is not typed in`,
  maxchange: `${CONVERT}; the word here is 'tinker panic SECONDS'`,
  maxclockerror: `${CONVERT}; the word here is 'tinker dispersion RATE'`,
  maxdistance: `${CONVERT}; the word here is 'tos maxdist SECONDS'`,
  maxdrift: `${CONVERT}; frequencies to 500 ppm are followed`,
  maxjitter: `${CONVERT}; a source's jitter counts in its root distance`,
  maxntsconnections: `${CONVERT}; the word here is 'nts connections N'`,
  maxsamples: `${CONVERT}; how many samples count is found by itself`,
  maxslewrate: `${CONVERT}; 'discipline kernel' has its own law`,
  maxtxbuffers: `${CONVERT}; the kernel's stamps are used, not the network card's`,
  minsamples: `${CONVERT}; how many samples count is found by itself`,
  minsources: `${CONVERT}; the word here is 'tos minsane N'`,
  nocerttimecheck: `${CONVERT}; the word here is 'nts nocerttimecheck N'`,
  noclientlog: `${CONVERT}; the list of clients is always kept, 'mru maxmem' bounds it`,
  nosystemcert: `${CONVERT}; 'nts ca FILE' names the roots to trust`,
  ntsaeads: `${CONVERT}; the word here is 'nts aead NAME'`,
  ntscachedir: `${CONVERT}; cookies are kept in the state directory`,
  ntsdumpdir: `${CONVERT}; the word here is 'nts cookie FILE'`,
  ntsntpserver: `${CONVERT}; the word here is 'nts ntpserver HOST'`,
  ntsport: `${CONVERT}; the word here is 'nts port PORT'`,
  ntsprocesses: `${CONVERT}; the word here is 'nts processes N'`,
  ntsratelimit: `${CONVERT}; the word here is 'nts ratelimit PER_SECOND'`,
  ntsrefresh: `${CONVERT}; cookies are refreshed as they are used`,
  ntsrotate: `${CONVERT}; the word here is 'cluster rotate'`,
  ntsservercert: `${CONVERT}; the words here are 'nts cert FILE key FILE'`,
  ntsserverkey: `${CONVERT}; the words here are 'nts cert FILE key FILE'`,
  ntstrustedcerts: `${CONVERT}; the word here is 'nts ca FILE'`,
  opencommands: `${CONVERT}; 'restrict … noquery' says who may ask about the node`,
  ptpdomain: `${CONVERT}; NTP over PTP is not spoken`,
  ptpport: `${CONVERT}; NTP over PTP is not spoken`,
  refresh: `${CONVERT}; names are looked up again when their servers fail`,
  reselectdist: `${CONVERT}; 'tos mindist SECONDS' comes near`,
  rtcautotrim: `${CONVERT}; the hardware clock is the system's matter`,
  rtcdevice: `${CONVERT}; the hardware clock is the system's matter`,
  rtcfile: `${CONVERT}; the hardware clock is the system's matter`,
  rtconutc: `${CONVERT}; the hardware clock is the system's matter`,
  rtcsync: `${CONVERT}; with 'discipline kernel' the kernel hears of it by itself`,
  sched_priority: `${CONVERT}; ${SYSTEM_LIMITS}`,
  smoothtime: `${CONVERT}; the word here is 'leapsmearinterval SECONDS'`,
  stratumweight: `${CONVERT}; the stratum alone decides between equals`,
  tempcomp: `${CONVERT}; temperatures are not read`
}

const listed = (documented: KnownWord["documented"], reasons: Reasons): readonly KnownWord[] =>
  Object.entries(reasons).map(([name, because]) => ({ name, documented, because }))

export const KNOWN_WORDS: readonly KnownWord[] = [
  ...listed("NTPsec and ntp", both),
  ...listed("NTPsec", ntpsec),
  ...listed("ntp", classic),
  ...listed("chrony", chrony)
].toSorted((a, b) => (a.name < b.name ? -1 : 1))

const byName: ReadonlyMap<string, KnownWord> = new Map(KNOWN_WORDS.map((word) => [word.name, word]))

export const findKnownWord = (name: string): KnownWord | undefined => byName.get(name)
