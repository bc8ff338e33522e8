/** Control messages from the network: who may ask, how often, with what key; then answer.ts, then a MAC where there was one. */
import { KeyTable } from "@meridian/auth/key-table"
import type { DigestPort } from "@meridian/auth/mac"
import type { KernelClockState } from "@meridian/clocks/kernel-clock"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { pictureAt } from "@meridian/ipc/report-age"
import { ControlError, type ControlRequest, decodeControlRequest, encodeControlError } from "@meridian/wire/mode6"
import type { Outcomes } from "../outcomes.ts"
import { queryLimit } from "../query-limit.ts"
import { answerControl, type ControlAct, type ControlAnswer, textAnswer } from "./answer.ts"
import { ControlMacs, type ControlProof } from "./control-macs.ts"
import { EventWords } from "./event-words.ts"
import { Nonces } from "./nonces.ts"
import type { AccessRule } from "./ordered-lists.ts"
import type { ControlView } from "./view.ts"

/** What an address may do: ask at all, change something with the key, read the list of clients. */
export interface QueryRights {
  readonly asks: boolean
  readonly changes: boolean
  readonly listsClients: boolean
}

export interface QueryAccess {
  readonly rights: (address: string, port: number) => QueryRights
  readonly rules: () => readonly AccessRule[]
}

interface ControlServerParts {
  readonly digests: DigestPort
  readonly outcomes: Outcomes
  /** CLOCK_MONOTONIC, seconds. */
  readonly monotonic: () => number
  /** Served time, Unix seconds. */
  readonly now: () => number
  readonly kernel: () => KernelClockState | undefined
  /** Has the supervisor do what the control key was proved for; says what came of it. Never rejects. */
  readonly act: (act: ControlAct, author: string) => Promise<string>
}

export const nobody: QueryAccess = {
  rights: () => ({ asks: false, changes: false, listsClients: false }),
  rules: () => []
}

type Send = (packet: Uint8Array) => void

export class ControlServer {
  readonly words = new EventWords()
  #keys = KeyTable.empty
  #controlKey: number | undefined
  #snapshot: NodeSnapshot | undefined
  #access: QueryAccess = nobody
  #requests = 0
  readonly #parts: ControlServerParts
  readonly #macs: ControlMacs
  readonly #nonces = new Nonces()
  readonly #limit = queryLimit()

  constructor(parts: ControlServerParts) {
    this.#parts = parts
    this.#macs = new ControlMacs(parts.digests)
  }

  useKeys(keys: KeyTable): void {
    this.#keys = keys
  }

  /** @param controlKey as `controlkey` names it; undefined: nobody may change anything */
  useControlKey(controlKey: number | undefined): void {
    this.#controlKey = controlKey
  }

  /** Nobody is answered before the first. */
  useAccess(access: QueryAccess): void {
    this.#access = access
  }

  useSnapshot(snapshot: NodeSnapshot): void {
    this.words.take(snapshot)
    this.#snapshot = snapshot
  }

  /**
   * Answers one datagram: every packet of the answer through `send`, all of one picture.
   * @param address where it came from, numeric
   */
  receive(packet: Uint8Array, address: string, port: number, send: Send): void {
    const { outcomes, monotonic } = this.#parts
    const snapshot = this.#snapshot
    const request = decodeControlRequest(packet)
    if (request === "short" || request === "ignored") return outcomes.count(`mode6-${request}`)
    const rights = this.#access.rights(address, port)
    if (!rights.asks) return outcomes.count("mode6-restricted")
    if (!this.#limit.allows(address, monotonic())) return outcomes.count("mode6-limited")
    this.#requests += 1
    if (request === "format") {
      outcomes.count("mode6-format")
      return send(formatError(packet))
    }
    if (snapshot === undefined) return outcomes.count("mode6-starting")
    const proof = this.#macs.verify(packet, request, this.#keys)
    const view = this.#view(snapshot)
    const isOperator = rights.changes && typeof proof === "object" && proof.key.id === this.#controlKey
    const answer = answerControl(
      request,
      { address, isOperator, listsClients: rights.listsClients },
      { view, nonces: this.#nonces, monotonic: monotonic(), rules: this.#access.rules() }
    )
    if (answer._tag !== "Act") return this.#deliver(answer, proof, send)
    const author = typeof proof === "object" ? `ntpq under key ${proof.key.id}` : "ntpq"
    void this.#act(request, answer.act, author, proof, send)
  }

  async #act(request: ControlRequest, act: ControlAct, author: string, proof: ControlProof, send: Send): Promise<void> {
    const said = await this.#parts.act(act, author)
    const snapshot = this.#snapshot
    if (snapshot !== undefined) this.#deliver(textAnswer(request, this.#view(snapshot), said), proof, send)
  }

  #deliver(answer: ControlAnswer, proof: ControlProof, send: Send): void {
    const { outcomes } = this.#parts
    switch (answer._tag) {
      case "Silence":
        return outcomes.count("mode6-no-nonce")
      case "Error":
        outcomes.count(answer.code === ControlError.permission ? "mode6-refused" : "mode6-error")
        return send(answer.packet)
      case "Packets":
        outcomes.count("mode6-answered")
        for (const packet of answer.packets) send(typeof proof === "object" ? this.#macs.append(packet, proof) : packet)
        return undefined
      case "Act":
        return undefined
    }
  }

  #view(snapshot: NodeSnapshot): ControlView {
    const monotonic = this.#parts.monotonic()
    return {
      snapshot: pictureAt(snapshot, monotonic),
      age: Math.max(0, monotonic - snapshot.monotonic),
      words: this.words,
      now: this.#parts.now(),
      kernel: this.#parts.kernel(),
      requests: this.#requests,
      digests: this.#macs.counts
    }
  }
}

/** To what is a control message by its first octets, and cannot be read on. */
const formatError = (packet: Uint8Array): Uint8Array => {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
  const version = (view.getUint8(0) >>> 3) & 7
  return encodeControlError(
    {
      leap: 3,
      version,
      operation: view.getUint8(1) & 0x1f,
      sequence: view.getUint16(2),
      association: view.getUint16(6)
    },
    ControlError.badFormat
  )
}
