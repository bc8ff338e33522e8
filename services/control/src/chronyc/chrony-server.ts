/**
 * chrony's commands, answered from the picture. By UDP come those that chronyd answers to anybody there; by the Unix socket,
 * which the directory's permissions guard, the rest. What would change the node is refused as chronyd refuses a stranger, but for the few
 * commands that mean the same here.
 */
import type { SourceReport } from "@meridian/ipc/discipline-report"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
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
import { QueryLimit } from "../query-limit.ts"
import { addressBytes, sameBytes } from "./addresses.ts"
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

export interface ChronyParts {
  readonly outcomes: Outcomes
  readonly current: () => NodeSnapshot | undefined
  /** CLOCK_MONOTONIC, seconds. */
  readonly monotonic: () => number
  readonly act: (name: string, author: string) => Promise<Acted>
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

/** Commands that mean the same here; each is the supervisor's to do. */
const acts: Readonly<Record<number, string>> = {
  [ChronyCommand.rekey]: "rekey",
  [ChronyCommand.reloadSources]: "reload-sources",
  [ChronyCommand.refresh]: "refresh"
}

export class ChronyServer {
  readonly #parts: ChronyParts
  readonly #limit = new QueryLimit()
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
    const act = asker._tag === "unix" ? acts[request.command] : undefined
    if (act === undefined) return reply(ChronyStatus.unauthorised)
    void this.#act(act, reply)
    return undefined
  }

  async #act(name: string, reply: (answer: Answer) => void): Promise<void> {
    const { ok } = await this.#parts.act(name, "chronyc")
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
