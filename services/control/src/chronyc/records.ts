/**
 * The picture in chrony's records. Signs are chrony's: offsets of sources and of tracking are ours minus true time, `ntpdata`'s
 * is the source's minus ours as NTP has it, and a frequency is positive where the system's clock runs fast.
 */
import type { SourceReport } from "@meridian/ipc/discipline-report"
import type { NtsDetail } from "@meridian/ipc/source-detail"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { ntsFigures } from "@meridian/ipc/nts-figures"
import { CLIENTS_PER_REPLY, ChronyRecord, ChronyRecordWriter } from "@meridian/wire/chronyc"
import { addressBytes } from "./addresses.ts"

/** What chrony shows for what never was. */
const NEVER = 0xffff_ffff

const isClock = ({ mode }: SourceReport): boolean => mode === "clock"

/** The 32 bits of a reference id that is text: an IPv4 address, or up to four characters. */
const referenceBits = (text: string): number => {
  const bytes = addressBytes(text)
  if (bytes?.length === 4) return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
  return [0, 1, 2, 3].reduce((bits, index) => ((bits << 8) | (text.charCodeAt(index) & 0x7f || 0)) >>> 0, 0)
}

/** A source's own reference id: its address's, or the clock's four characters. */
const sourceId = (source: SourceReport): number => referenceBits(isClock(source) ? source.referenceId : source.address)

/** Where chrony has an address; of a reference clock `sources` and `selectdata` show its id in that place. */
const sourceAddress = (source: SourceReport): Uint8Array | undefined =>
  isClock(source) ? undefined : addressBytes(source.address)

const idBytes = (bits: number): Uint8Array =>
  Uint8Array.of(bits >>> 24, (bits >>> 16) & 0xff, (bits >>> 8) & 0xff, bits & 0xff)

/** A clock in chrony is "#" by its mode and named by its id. */
const shownAddress = (source: SourceReport): Uint8Array | undefined =>
  isClock(source) ? idBytes(sourceId(source)) : sourceAddress(source)

/** RPY_SD_ST_: selected, nonselectable, falseticker, jittery, combined, selectable. */
const states: Readonly<Record<string, number>> = {
  "system-peer": 0,
  falseticker: 2,
  jitter: 3,
  candidate: 4,
  backup: 5,
  outlier: 5,
  excess: 5
}
const modes = { client: 0, active: 1, passive: 1, broadcast: 0, clock: 2 } as const

const ago = (seconds: number | null): number => (seconds === null ? NEVER : Math.max(0, Math.round(seconds)))

export const sourceCountRecord = ({ sources }: NodeSnapshot): ChronyRecordWriter =>
  new ChronyRecordWriter(ChronyRecord.sourceCount).uint32(sources.length)

export const sourceRecord = (source: SourceReport): ChronyRecordWriter => {
  const newest = source.detail?.filter[0]
  const hasSample = source.lastReply !== null && newest !== undefined
  const error = hasSample ? source.rootDelay / 2 + source.rootDispersion + (newest.delay / 2 + newest.dispersion) : 0
  return new ChronyRecordWriter(ChronyRecord.sourceData)
    .address(shownAddress(source))
    .int16(source.poll)
    .uint16(source.stratum >= 16 ? 0 : source.stratum)
    .uint16(states[source.verdict] ?? 1)
    .uint16(modes[source.mode])
    .uint16(0)
    .uint16(Number.parseInt(source.reach, 8))
    .uint32(ago(source.lastReply))
    .float(hasSample ? -newest.offset : 0)
    .float(hasSample ? -newest.offset : 0)
    .float(error)
}

export const trackingRecord = ({ tracking, sources, status: { clock } }: NodeSnapshot): ChronyRecordWriter => {
  const { synchronised } = clock
  const peer = synchronised ? sources.find(({ verdict }) => verdict === "system-peer") : undefined
  const interval = peer?.lastReply === null || peer === undefined ? 0 : 2 ** peer.poll
  return new ChronyRecordWriter(ChronyRecord.tracking)
    .uint32(synchronised ? (peer === undefined ? LOCAL_REFERENCE : sourceId(peer)) : 0)
    .address(peer === undefined ? undefined : sourceAddress(peer))
    .uint16(synchronised ? clock.stratum : 0)
    .uint16(synchronised ? clock.leap : 3)
    .timespec(tracking?.referenceTime ?? 0)
    .float(tracking?.servedOffset ?? 0)
    .float(-(peer?.offset ?? 0))
    .float(tracking?.offsetDeviation ?? 0)
    .float(-(tracking?.frequency ?? 0))
    .float(
      synchronised ? -((tracking?.frequency ?? 0) - (tracking?.servedFrequency ?? 0) - steeredFrequency(tracking)) : 0
    )
    .float(synchronised ? (tracking?.frequencyDeviation ?? 0) : 0)
    .float(clock.rootDelay)
    .float(clock.rootDispersion)
    .float(interval)
}

/** 127.127.1.1, which chronyd shows where it serves its own clock. */
const LOCAL_REFERENCE = 0x7f7f_0101

const steeredFrequency = (tracking: NodeSnapshot["tracking"]): number => tracking?.kernel?.frequency ?? 0

export const statisticsRecord = (source: SourceReport): ChronyRecordWriter => {
  const { detail } = source
  return new ChronyRecordWriter(ChronyRecord.sourceStatistics)
    .uint32(sourceId(source))
    .address(sourceAddress(source))
    .uint32(detail?.filter.length ?? 0)
    .uint32(runsOf(source))
    .uint32(Math.round(detail?.span ?? 0))
    .float(source.jitter ?? 0)
    .float(-(detail?.frequency ?? 0))
    .float(detail?.frequencyDeviation ?? 2_000)
    .float(-(source.offset ?? 0))
    .float(detail?.offsetDeviation ?? 4_000)
}

/** Stretches of residuals of one sign, as chrony's NR: about the mean of the samples. */
const runsOf = ({ detail }: SourceReport): number => {
  const offsets = detail?.filter.map(({ offset }) => offset) ?? []
  const mean = offsets.reduce((sum, offset) => sum + offset, 0) / Math.max(1, offsets.length)
  return offsets.filter((offset, index) => index === 0 || offset > mean !== (offsets[index - 1] ?? mean) > mean).length
}

/** Online, offline, two kinds of burst (0), and lines whose names have no address yet. */
export const activityRecord = ({ sources, tracking }: NodeSnapshot): ChronyRecordWriter =>
  new ChronyRecordWriter(ChronyRecord.activity)
    .uint32(sources.filter((source) => !isClock(source) && source.offline !== true).length)
    .uint32(sources.filter(({ offline }) => offline === true).length)
    .uint32(0)
    .uint32(0)
    .uint32(tracking?.unresolved?.length ?? 0)

/** No samples by hand are taken. */
export const manualListRecord = (): ChronyRecordWriter =>
  new ChronyRecordWriter(ChronyRecord.manualList).uint32(0).skip(16 * 24)

export const sourceNameRecord = (source: SourceReport): ChronyRecordWriter =>
  new ChronyRecordWriter(ChronyRecord.sourceName).name(source.name ?? source.address)

/** @param isLong chronyc 4.4 and later: with counts of kernel and hardware timestamps */
export const ntpDataRecord = (source: SourceReport, isLong: boolean): ChronyRecordWriter => {
  const { detail } = source
  const authenticated = source.authentication.kind !== "none"
  const tests = 0x3ff & ~failedTests(detail?.flash ?? 0)
  const newest = detail?.filter[0]
  const writer = new ChronyRecordWriter(isLong ? ChronyRecord.ntpData2 : ChronyRecord.ntpData)
    .address(sourceAddress(source))
    .address(detail?.localAddress === null || detail === undefined ? undefined : addressBytes(detail.localAddress))
    .uint16(source.port)
    .uint8(source.leap)
    .uint8(detail?.version ?? 4)
    .uint8(detail?.theirMode ?? 0)
    .uint8(source.stratum >= 16 ? 0 : source.stratum)
    .int8(detail?.theirPoll ?? 0)
    .int8(detail?.precision ?? 0)
    .float(source.rootDelay)
    .float(source.rootDispersion)
    .uint32(detail?.referenceIdBits ?? 0)
    .timespec(unixOf(detail?.referenceTime))
    .float(newest?.offset ?? 0)
    .float(newest?.delay ?? 0)
    .float(newest?.dispersion ?? 0)
    .float(heldSeconds(source))
    .float(0)
    .uint16(tests | (source.interleaved === true ? 0x4000 : 0) | (authenticated ? 0x8000 : 0))
    .uint8("K".charCodeAt(0))
    .uint8("K".charCodeAt(0))
    .uint32(detail?.packetsSent ?? 0)
    .uint32(detail?.packetsReceived ?? 0)
    .uint32(detail?.samplesTaken ?? 0)
  return isLong
    ? writer
        .uint32(detail?.samplesTaken ?? 0)
        .uint32(detail?.packetsSent ?? 0)
        .uint32(detail?.packetsReceived ?? 0)
        .uint32(0)
        .uint32(0)
        .reserved(4)
    : writer.uint32(detail?.samplesTaken ?? 0).reserved(3)
}

/** RFC 5905's tests 1 to 7 and chrony's A to D, as bits from the left: those that failed. */
const failedTests = (flash: number): number => {
  const test = (bit: number, flag: number): number => ((flash & flag) === 0 ? 0 : bit)
  return test(0x200, 0x1) | test(0x100, 0x2) | test(0x80, 0x4) | test(0x40, 0x10) | test(0x20, 0x220) | test(0x10, 0x40)
}

/** Between the receive and the transmit timestamp of the last answer. */
const heldSeconds = ({ detail }: SourceReport): number =>
  detail === undefined
    ? 0
    : Number(BigInt.asIntN(64, BigInt(`0x${detail.transmit}`) - BigInt(`0x${detail.receive}`))) / 2 ** 32

const NTP_EPOCH = 2_208_988_800

/** Unix seconds of 16 hexadecimal digits, in the era that is now. */
const unixOf = (stamp: string | undefined): number => {
  if (stamp === undefined || /^0*$/.test(stamp)) return 0
  const seconds = Number.parseInt(stamp.slice(0, 8), 16)
  const era = seconds < NTP_EPOCH ? 2 ** 32 : 0
  return seconds + era - NTP_EPOCH + Number.parseInt(stamp.slice(8), 16) / 2 ** 32
}

/** chrony's numbers of algorithms, as `authdata` shows them. */
const keyTypes: Readonly<Record<string, number>> = {
  MD5: 1,
  SHA1: 2,
  SHA256: 3,
  SHA384: 4,
  SHA512: 5,
  "SHA3-224": 6,
  "SHA3-256": 7,
  "SHA3-384": 8,
  "SHA3-512": 9,
  "AES-128": 13,
  "AES-256": 14
}

const noExchange: NtsDetail = { aead: 0, keyLength: 0, cookieLength: 0, exchangedAgo: null, failures: 0, naks: 0 }

/** RPY_AUTH_DATA: what follows the key is of NTS alone. */
const authenticationData = (
  mode: 0 | 1 | 2,
  key: { readonly type: number; readonly id: number; readonly bits: number },
  nts = noExchange,
  cookies = 0
): ChronyRecordWriter =>
  new ChronyRecordWriter(ChronyRecord.authenticationData)
    .uint16(mode)
    .uint16(key.type)
    .uint32(key.id)
    .uint16(key.bits)
    .uint16(nts.failures)
    .uint32(ago(nts.exchangedAgo))
    .uint16(cookies)
    .uint16(nts.cookieLength)
    .uint16(nts.naks)
    .uint16(0)

export const authenticationRecord = (source: SourceReport, { status: { keys } }: NodeSnapshot): ChronyRecordWriter => {
  const { authentication, detail } = source
  switch (authentication.kind) {
    // chrony has no word for Autokey.
    case "autokey":
    case "none":
      return authenticationData(0, { type: 0, id: 0, bits: 0 })
    case "symmetric": {
      const at = keys.symmetricKeyIds.indexOf(authentication.key)
      const type = keyTypes[keys.symmetricKeyTypes?.[at] ?? ""] ?? 0
      return authenticationData(1, { type, id: authentication.key, bits: keys.symmetricKeyBits?.[at] ?? 0 })
    }
    case "nts": {
      const nts = detail?.nts ?? noExchange
      const id = nts.exchangedAgo === null ? 0 : 1
      return authenticationData(2, { type: nts.aead, id, bits: nts.keyLength }, nts, authentication.cookies)
    }
  }
}

const stateLetters: Readonly<Record<string, string>> = {
  noselect: "N",
  invalid: "M",
  unreachable: "M",
  unsynchronised: "s",
  stratum: "r",
  loop: "r",
  distance: "d",
  jitter: "~",
  falseticker: "x",
  excess: "W",
  outlier: "L",
  backup: "P",
  candidate: "+",
  "system-peer": "*"
}

export const selectRecord = (source: SourceReport): ChronyRecordWriter => {
  const { detail } = source
  const options =
    (detail?.noselect === true ? 1 : 0) | (detail?.prefer === true ? 2 : 0) | (detail?.true === true ? 4 : 0)
  const offset = -(source.offset ?? 0)
  const distance = source.rootDistance ?? 0
  return new ChronyRecordWriter(ChronyRecord.selectData)
    .uint32(sourceId(source))
    .address(sourceAddress(source))
    .uint8((stateLetters[source.verdict] ?? "?").charCodeAt(0))
    .uint8(source.authentication.kind === "none" ? 0 : 1)
    .uint8(source.leap)
    .uint8(0)
    .uint16(options)
    .uint16(options)
    .uint32(ago(source.lastReply))
    .float(1)
    .float(offset - distance)
    .float(offset + distance)
}

interface ChronyServerCounts {
  readonly requests: number
  readonly dropped: number
}

/** @param commands what came by this protocol @param isLong chronyc 4.4 and later: 64-bit counts, and timestamps by kind */
export const serverStatisticsRecord = (
  snapshot: NodeSnapshot,
  commands: ChronyServerCounts,
  isLong: boolean
): ChronyRecordWriter => {
  const { totals, ntsKe } = snapshot.status
  const { ke } = ntsFigures(snapshot)
  const keHits = ntsKe.reduce((sum, { accepted }) => sum + accepted, 0)
  const refused = ["rate-in-all", "rate-from-address", "too-many-connections", "too-many-from-address", "made-way"]
  const keDrops = ntsKe.reduce(
    (sum, { outcomes }) => sum + refused.reduce((all, name) => all + (outcomes[name] ?? 0), 0),
    0
  )
  const limited = (totals.dropped["rate-limited"] ?? 0) + (totals.dropped["crowded-out"] ?? 0) + totals.overflow
  const authenticated = ["served-keyed", "served-peer", "served-nts"].reduce(
    (sum, name) => sum + (totals.served[name] ?? 0),
    0
  )
  const counts = [
    totals.received,
    Math.max(keHits, ke.good),
    commands.requests,
    limited,
    keDrops,
    commands.dropped,
    snapshot.clients?.evicted ?? 0,
    authenticated,
    0,
    0,
    0
  ]
  const writer = new ChronyRecordWriter(isLong ? ChronyRecord.serverStatistics4 : ChronyRecord.serverStatistics3)
  for (const count of counts)
    if (isLong) writer.integer64(count)
    else writer.uint32(count)
  if (!isLong) return writer
  // Requests are stamped by the kernel, and replies as they leave.
  for (const count of [0, totals.replied, totals.received, 0, 0, 0]) writer.integer64(count)
  return writer.reserved(8)
}

/** chrony's interval of a client: log2 seconds, 127 for unknown. */
const intervalOf = (seconds: number | null): number =>
  seconds === null || seconds <= 0 ? 127 : Math.max(-60, Math.min(60, Math.round(Math.log2(seconds))))

/** @param first the index to begin at @param leastHits clients with fewer packets are passed over */
export const clientsRecord = (
  { clients, at }: NodeSnapshot,
  first: number,
  wanted: number,
  leastHits: number
): ChronyRecordWriter | undefined => {
  if (clients === null) return undefined
  const shown: (typeof clients.entries)[number][] = []
  let index = Math.min(first, clients.entries.length)
  for (; index < clients.entries.length && shown.length < Math.min(wanted, CLIENTS_PER_REPLY); index += 1) {
    const entry = clients.entries[index]
    if (entry !== undefined && entry.packets >= leastHits) shown.push(entry)
  }
  const writer = new ChronyRecordWriter(ChronyRecord.clientAccesses)
    .uint32(clients.entries.length)
    .uint32(index)
    .uint32(shown.length)
  for (const entry of shown)
    writer
      .address(addressBytes(entry.address))
      .uint32(entry.packets)
      .uint32(0)
      .uint32(0)
      .uint32(entry.dropped)
      .uint32(0)
      .uint32(0)
      .int8(intervalOf(entry.interval))
      .int8(127)
      .int8(127)
      .int8(127)
      .uint32(Math.max(0, Math.round(at - entry.last)))
      .uint32(NEVER)
      .uint32(NEVER)
  return writer.skip((CLIENTS_PER_REPLY - shown.length) * 60)
}
