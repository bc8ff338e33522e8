/**
 * chrony's commands, answered from the picture. By UDP come those that chronyd answers to anybody there; by the Unix socket,
 * which the directory's permissions guard, the rest. What would change the node is refused as chronyd refuses a stranger, but for the few
 * commands that mean the same here.
 */
import type { SourceReport } from "@meridian/ipc/discipline-report"
import type { ActMessage } from "@meridian/ipc/control-messages"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { MOST_BURST } from "@meridian/ipc/source-command"
import {
  ChronyCommand,
  type ChronyRecordWriter,
  type ChronyRequest,
  ChronyStatus,
  type ChronyStatusCode,
  decodeChronyRequest,
  encodeChronyReply,
  NTP_DATA_LONG,
  readChronyAddress,
  SERVER_STATISTICS_LONG
} from "@meridian/wire/chronyc"
import type { Acted } from "../acts.ts"
import type { Outcomes } from "../outcomes.ts"
import { queryLimit } from "../query-limit.ts"
import { addressBytes, sameBytes, underMask } from "./addresses.ts"
import {
  activityRecord,
  authenticationRecord,
  clientsRecord,
  manualListRecord,
  ntpDataRecord,
  selectRecord,
  serverStatisticsRecord,
  sourceCountRecord,
  sourceNameRecord,
  sourceRecord,
  statisticsRecord,
  trackingRecord
} from "./records.ts"

interface ChronyParts {
  readonly outcomes: Outcomes
  readonly current: () => NodeSnapshot | undefined
  /** CLOCK_MONOTONIC, seconds. */
  readonly monotonic: () => number
  readonly act: (name: string, asked: ActMessage["arguments"], author: string) => Promise<Acted>
}

/** `unix`: by the socket in the state directory. Otherwise the address that it came from by UDP. */
export type ChronyAsker = { readonly _tag: "unix" } | { readonly _tag: "udp"; readonly address: string }

type Send = (packet: Uint8Array) => void

type Answer = ChronyRecordWriter | ChronyStatusCode

const found = (source: SourceReport | undefined, record: (source: SourceReport) => ChronyRecordWriter): Answer =>
  source === undefined ? ChronyStatus.noSuchSource : record(source)

/** What chronyd answers to whoever may send to its UDP port. */
const openAnswer = ({ command, arguments: given }: ChronyRequest, snapshot: NodeSnapshot): Answer | undefined => {
  switch (command) {
    case ChronyCommand.sourceCount:
      return sourceCountRecord(snapshot)
    case ChronyCommand.sourceData:
      return found(snapshot.sources[given.getUint32(0)], sourceRecord)
    case ChronyCommand.sourceStatistics:
      return found(snapshot.sources[given.getUint32(0)], statisticsRecord)
    case ChronyCommand.sourceName:
      return found(byAddress(snapshot, given), sourceNameRecord)
    case ChronyCommand.tracking:
      return trackingRecord(snapshot)
    case ChronyCommand.activity:
      return activityRecord(snapshot)
    case ChronyCommand.manualList:
      return manualListRecord()
    case ChronyCommand.rtcReport:
      return ChronyStatus.noRtc
    case ChronyCommand.smoothing:
      return ChronyStatus.notEnabled
    default:
      return undefined
  }
}

/** NTP sources alone: reference clocks have no address. */
const byAddress = ({ sources }: NodeSnapshot, given: DataView): SourceReport | undefined => {
  const address = readChronyAddress(given)
  return sources.find((source) => source.mode !== "clock" && sameBytes(addressBytes(source.address), address))
}

type Act = readonly [name: string, asked: ActMessage["arguments"]]

/** A mask and an address, then numbers: what chronyc sends with commands about sources. */
const [ADDRESS_AT, GOOD_AT, TOTAL_AT] = [20, 40, 44]

/** A command that means the same here, for the supervisor to do; a status where it is about no source that there is. */
const actOf = ({ command, arguments: given }: ChronyRequest, snapshot: NodeSnapshot): Act | ChronyStatusCode => {
  switch (command) {
    case ChronyCommand.rekey:
      return ["rekey", {}]
    case ChronyCommand.reloadSources:
      return ["reload-sources", {}]
    case ChronyCommand.refresh:
      return ["refresh", {}]
    case ChronyCommand.online:
      return aboutSources("online", given, snapshot)
    case ChronyCommand.offline:
      return aboutSources("offline", given, snapshot)
    case ChronyCommand.burst: {
      const [good, total] = [given.getInt32(GOOD_AT), given.getInt32(TOTAL_AT)]
      if (good < 1 || total < good || total > MOST_BURST) return ChronyStatus.failed
      return aboutSources("burst", given, snapshot, { good, total })
    }
    default:
      return ChronyStatus.unauthorised
  }
}

/** Of all sources where no address is named. */
const aboutSources = (
  name: string,
  given: DataView,
  { sources }: NodeSnapshot,
  more: ActMessage["arguments"] = {}
): Act | ChronyStatusCode => {
  const [mask, address] = [readChronyAddress(given), readChronyAddress(given, ADDRESS_AT)]
  const addresses = sources.flatMap((source) => {
    const bytes = isAsked(source) ? addressBytes(source.address) : undefined
    return bytes !== undefined && (address === undefined || underMask(bytes, address, mask)) ? [source.address] : []
  })
  return addresses.length === 0 && address !== undefined
    ? ChronyStatus.noSuchSource
    : [name, { ...more, addresses: [...new Set(addresses)].join(" ") }]
}

const isAsked = ({ mode }: SourceReport): boolean => mode === "client" || mode === "active"

export class ChronyServer {
  readonly #parts: ChronyParts
  readonly #limit = queryLimit()
  /** Acts that are under way: chronyc draws a sequence number for each, and says it again after a second without an answer. */
  readonly #acting = new Set<string>()
  #requests = 0
  #dropped = 0

  constructor(parts: ChronyParts) {
    this.#parts = parts
  }

  /** Answers one datagram, or does not. No answer is longer than its request. */
  receive(packet: Uint8Array, asker: ChronyAsker, send: Send): void {
    const { outcomes, current, monotonic } = this.#parts
    if (asker._tag === "udp" && !this.#limit.allows(asker.address, monotonic())) {
      this.#dropped += 1
      return outcomes.count("chronyc-limited")
    }
    const request = decodeChronyRequest(packet)
    if (request === undefined) return outcomes.count("chronyc-ignored")
    this.#requests += 1
    const reply = (answer: Answer): void => {
      const bytes =
        typeof answer === "number"
          ? encodeChronyReply(request, answer)
          : encodeChronyReply(request, ChronyStatus.success, answer)
      outcomes.count(
        typeof answer !== "number" || answer === ChronyStatus.success ? "chronyc-answered" : "chronyc-refused"
      )
      if (bytes.length <= packet.length) send(bytes)
    }
    if ("status" in request) return reply(request.status)
    const snapshot = current()
    if (snapshot === undefined) return outcomes.count("chronyc-starting")
    const answer =
      openAnswer(request, snapshot) ?? (asker._tag === "unix" ? this.#ownAnswer(request, snapshot) : undefined)
    if (answer !== undefined) return reply(answer)
    const act = asker._tag === "unix" ? actOf(request, snapshot) : ChronyStatus.unauthorised
    if (typeof act === "number") return reply(act)
    const acting = `${request.command} ${request.sequence}`
    if (this.#acting.has(acting)) return outcomes.count("chronyc-ignored")
    void this.#act(act, acting, reply)
    return undefined
  }

  async #act([name, asked]: Act, acting: string, reply: (answer: Answer) => void): Promise<void> {
    this.#acting.add(acting)
    const { ok } = await this.#parts.act(name, asked, "chronyc")
    this.#acting.delete(acting)
    reply(ok ? ChronyStatus.success : ChronyStatus.failed)
  }

  /** What chronyd answers by its Unix socket alone. */
  #ownAnswer({ command, arguments: given, length }: ChronyRequest, snapshot: NodeSnapshot): Answer | undefined {
    switch (command) {
      case ChronyCommand.ntpData:
        return found(byAddress(snapshot, given), (source) => ntpDataRecord(source, length >= NTP_DATA_LONG))
      case ChronyCommand.authenticationData:
        return found(byAddress(snapshot, given), (source) => authenticationRecord(source, snapshot))
      case ChronyCommand.selectData:
        return found(snapshot.sources[given.getUint32(0)], selectRecord)
      case ChronyCommand.serverStatistics: {
        const commands = { requests: this.#requests, dropped: this.#dropped }
        return serverStatisticsRecord(snapshot, commands, length >= SERVER_STATISTICS_LONG)
      }
      case ChronyCommand.clientAccesses:
        return (
          clientsRecord(snapshot, given.getUint32(0), given.getUint32(4), given.getUint32(8)) ?? ChronyStatus.inactive
        )
      default:
        return undefined
    }
  }
}
