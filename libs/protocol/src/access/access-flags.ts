/**
 * What a `restrict` line forbids, as bits. The lower sixteen are those that NTPsec's mode 6 shows as `flags` in reslist and
 * as `rs` in mrulist; those above are words of the classic ntpd and of Meridian that NTPsec has no bit for.
 */
export const AccessFlag = {
  /** nothing from there is looked at */
  ignore: 0x1,
  /** no time; queries are another matter */
  noserve: 0x2,
  /** no time but to those that prove who they are */
  notrust: 0x4,
  /** nothing but version 4 */
  version: 0x8,
  /** no association without a line of its own (classic; without effect in NTPsec) */
  nopeer: 0x10,
  /** the rate limit holds */
  limited: 0x20,
  /** no mode 6 and 7 */
  noquery: 0x40,
  /** no mode 6 that changes anything; nothing here does */
  nomodify: 0x80,
  notrap: 0x100,
  lowpriotrap: 0x200,
  /** who is over the limit is told so, by a kiss RATE */
  kod: 0x400,
  /** MS-SNTP is signed for them */
  mssntp: 0x800,
  /** every tenth packet is lost, for tests */
  flake: 0x1000,
  /** no list of clients by mode 6 */
  nomrulist: 0x2000,
  /** no ephemeral association (classic 4.2.8p11) */
  noepeer: 0x10000,
  /** classic's fuzz of the reference timestamp's low bits for clients */
  serverresponsefuzz: 0x20000,
  /** who is refused is told so, by a kiss DENY */
  kodDeny: 0x40000,
  /** the same, by a kiss RSTR */
  kodRstr: 0x80000
} as const

/** As they are written in an ntp.conf. */
export const ACCESS_FLAG_WORDS: readonly (readonly [string, number])[] = [
  ["ignore", AccessFlag.ignore],
  ["noserve", AccessFlag.noserve],
  ["notrust", AccessFlag.notrust],
  ["version", AccessFlag.version],
  ["nopeer", AccessFlag.nopeer],
  ["noepeer", AccessFlag.noepeer],
  ["limited", AccessFlag.limited],
  ["kod", AccessFlag.kod],
  ["kod-deny", AccessFlag.kodDeny],
  ["kod-rstr", AccessFlag.kodRstr],
  ["noquery", AccessFlag.noquery],
  ["nomodify", AccessFlag.nomodify],
  ["nomrulist", AccessFlag.nomrulist],
  ["notrap", AccessFlag.notrap],
  ["lowpriotrap", AccessFlag.lowpriotrap],
  ["mssntp", AccessFlag.mssntp],
  ["flake", AccessFlag.flake],
  ["serverresponse fuzz", AccessFlag.serverresponsefuzz]
]

/** The words of a set of flags, in the order of the table; empty for none. */
export const accessFlagWords = (flags: number): readonly string[] =>
  ACCESS_FLAG_WORDS.filter(([, bit]) => (flags & bit) !== 0).map(([word]) => word)
