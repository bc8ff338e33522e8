/**
 * What a control message is answered with (RFC 9327 §3): from one picture, whatever the number of packets. Nothing here waits;
 * what changes the node is handed out as an Act, to be carried out by the supervisor.
 */
import type { SourceReport } from "@meridian/ipc/discipline-report"
import {
  ControlError,
  type ControlErrorCode,
  ControlOperation,
  type ControlReplyHead,
  type ControlRequest,
  encodeControlError,
  encodeControlReply
} from "@meridian/wire/mode6"
import { asciiBytes, type ControlItem, controlText, parseControlItems } from "@meridian/wire/mode6-text"
import { readClientList } from "./client-list.ts"
import type { Nonces } from "./nonces.ts"
import { accessItems, type AccessRule, interfaceItems } from "./ordered-lists.ts"
import { readClockVariables, readPeerVariables } from "./peer-variables.ts"
import { readSystemVariables, systemVariables } from "./system-variables.ts"
import type { ControlView } from "./view.ts"

interface Asker {
  /** Numeric. */
  readonly address: string
  /** Whether the request proved the control key. */
  readonly isOperator: boolean
  /** Whether it may read the list of clients. */
  readonly listsClients: boolean
}

interface AnswerParts {
  readonly view: ControlView
  readonly nonces: Nonces
  /** CLOCK_MONOTONIC, seconds: the age of nonces. */
  readonly monotonic: number
  readonly rules: readonly AccessRule[]
}

/** Lines of configuration for the running node, or the name under which its configuration is to be saved. */
export type ControlAct =
  | { readonly name: "configure"; readonly arguments: { readonly text: string } }
  | { readonly name: "saveconfig"; readonly arguments: { readonly name: string } }

export type ControlAnswer =
  /** Packets without MACs. */
  | { readonly _tag: "Packets"; readonly packets: readonly Uint8Array<ArrayBuffer>[] }
  | { readonly _tag: "Error"; readonly packet: Uint8Array<ArrayBuffer>; readonly code: ControlErrorCode }
  /** To be carried out; what is said of it goes back by {@link textAnswer}. */
  | { readonly _tag: "Act"; readonly act: ControlAct }
  | { readonly _tag: "Silence" }

const headOf = (request: ControlRequest, view: ControlView, status: number): ControlReplyHead => ({
  leap: view.snapshot.status.clock.leap,
  version: request.version,
  operation: request.operation,
  sequence: request.sequence,
  association: request.association,
  status
})

const errorAnswer = (request: ControlRequest, view: ControlView, code: ControlErrorCode): ControlAnswer => ({
  _tag: "Error",
  packet: encodeControlError(headOf(request, view, 0), code),
  code
})

const packets = (request: ControlRequest, view: ControlView, status: number, data: Uint8Array): ControlAnswer => ({
  _tag: "Packets",
  packets: encodeControlReply(headOf(request, view, status), data)
})

/** One line of text, as configure and saveconfig are answered. */
export const textAnswer = (request: ControlRequest, view: ControlView, text: string): ControlAnswer =>
  packets(request, view, 0, asciiBytes(`${text}\r\n`))

const itemsAnswer = (
  request: ControlRequest,
  view: ControlView,
  status: number,
  items: readonly ControlItem[] | undefined
): ControlAnswer =>
  items === undefined
    ? errorAnswer(request, view, ControlError.unknownVariable)
    : packets(request, view, status, asciiBytes(controlText(items)))

const sourceOf = ({ association }: ControlRequest, { snapshot }: ControlView): SourceReport | undefined =>
  snapshot.sources.find(({ detail }) => detail?.association === association)

/** Answers a request whose sender may ask. */
export const answerControl = (request: ControlRequest, asker: Asker, parts: AnswerParts): ControlAnswer => {
  const { view } = parts
  const error = (code: ControlErrorCode): ControlAnswer => errorAnswer(request, view, code)
  switch (request.operation) {
    case ControlOperation.readStatus:
      return readStatus(request, asker, view)
    case ControlOperation.readVariables:
      return readVariables(request, asker, view)
    case ControlOperation.readClock:
      return readClock(request, view)
    case ControlOperation.requestNonce:
      return itemsAnswer(request, view, 0, [
        { name: "nonce", value: parts.nonces.make(asker.address, parts.monotonic) }
      ])
    case ControlOperation.readMru:
      return asker.listsClients ? readMru(request, asker, parts) : error(ControlError.permission)
    case ControlOperation.writeVariables:
      return asker.isOperator ? writeVariables(request, view) : error(ControlError.permission)
    case ControlOperation.configure:
      return asker.isOperator ? configure(request, view) : error(ControlError.permission)
    case ControlOperation.readOrderedList:
      return asker.isOperator ? readOrderedList(request, parts) : error(ControlError.permission)
    case ControlOperation.saveConfiguration:
      return asker.isOperator ? saveConfiguration(request, view) : error(ControlError.permission)
    case ControlOperation.writeClock:
      return asker.isOperator ? error(ControlError.badOperation) : error(ControlError.permission)
    default:
      return error(ControlError.badOperation)
  }
}

/** All associations with their status words, or one with its variables. */
const readStatus = (request: ControlRequest, asker: Asker, view: ControlView): ControlAnswer => {
  if (request.association !== 0) return readVariables({ ...request, data: new Uint8Array(0) }, asker, view)
  const { sources } = view.snapshot
  const known = sources.filter(({ detail }) => detail !== undefined)
  const data = new Uint8Array(4 * known.length)
  const words = new DataView(data.buffer)
  known.forEach((source, index) => {
    words.setUint16(4 * index, source.detail?.association ?? 0)
    words.setUint16(4 * index + 2, view.words.peer(source))
  })
  return packets(request, view, view.words.system(view.snapshot), data)
}

const readVariables = (request: ControlRequest, asker: Asker, view: ControlView): ControlAnswer => {
  const names = parseControlItems(request.data)?.map(({ name }) => name)
  if (names === undefined) return errorAnswer(request, view, ControlError.badFormat)
  if (request.association === 0)
    return itemsAnswer(request, view, view.words.system(view.snapshot), readSystemVariables(names, view))
  const source = sourceOf(request, view)
  if (source === undefined) return errorAnswer(request, view, ControlError.badAssociation)
  const answer = itemsAnswer(request, view, view.words.peer(source), readPeerVariables(names, source, view))
  if (asker.isOperator) view.words.read(source)
  return answer
}

/** Clock variables; of the first reference clock where none is named, as ntpd has it. */
const readClock = (request: ControlRequest, view: ControlView): ControlAnswer => {
  const names = parseControlItems(request.data)?.map(({ name }) => name)
  if (names === undefined) return errorAnswer(request, view, ControlError.badFormat)
  const clock =
    request.association === 0 ? view.snapshot.sources.find(({ mode }) => mode === "clock") : sourceOf(request, view)
  if (clock === undefined || clock.mode !== "clock") return errorAnswer(request, view, ControlError.badAssociation)
  return itemsAnswer(request, view, 0, readClockVariables(names, clock, view))
}

const readMru = (request: ControlRequest, asker: Asker, parts: AnswerParts): ControlAnswer => {
  const { view, nonces, monotonic } = parts
  const items = parseControlItems(request.data)
  if (items === undefined) return { _tag: "Silence" }
  const answer = readClientList(
    items,
    view.snapshot,
    (nonce) => nonces.accepts(nonce, asker.address, monotonic),
    () => nonces.make(asker.address, monotonic),
    view.now
  )
  switch (answer._tag) {
    case "Silence":
      return answer
    case "Error":
      return errorAnswer(request, view, answer.code)
    case "Items":
      return itemsAnswer(request, view, 0, answer.items)
  }
}

/** No variable can be written, so there is no success but of an empty list. */
const writeVariables = (request: ControlRequest, view: ControlView): ControlAnswer => {
  const items = parseControlItems(request.data)
  if (items === undefined) return errorAnswer(request, view, ControlError.badFormat)
  if (request.association !== 0) return errorAnswer(request, view, ControlError.permission)
  if (items.length === 0) return packets(request, view, view.words.system(view.snapshot), new Uint8Array(0))
  const isKnown = items.every(({ name }) => Object.hasOwn(systemVariables, name))
  return errorAnswer(request, view, isKnown ? ControlError.permission : ControlError.unknownVariable)
}

const configure = (request: ControlRequest, view: ControlView): ControlAnswer => {
  if (request.association !== 0) return errorAnswer(request, view, ControlError.badValue)
  const text = textOf(request)
  return text.trim() === ""
    ? errorAnswer(request, view, ControlError.badFormat)
    : { _tag: "Act", act: { name: "configure", arguments: { text } } }
}

/** By strftime's letters ntpd names files after the time; here a `%` is no letter of a file's name. */
const saveConfiguration = (request: ControlRequest, view: ControlView): ControlAnswer => {
  if (request.association !== 0) return errorAnswer(request, view, ControlError.badValue)
  const name = textOf(request).trim()
  return { _tag: "Act", act: { name: "saveconfig", arguments: { name } } }
}

const textOf = ({ data }: ControlRequest): string => new TextDecoder("latin1").decode(data).replace(/\0.*$/s, "")

const readOrderedList = (request: ControlRequest, { view, rules }: AnswerParts): ControlAnswer => {
  const name = new TextDecoder("latin1").decode(request.data).replace(/[\s\0]+$/, "")
  // ntpq's `ifstats` may ask without a name.
  if (name === "" || name === "ifstats") return itemsAnswer(request, view, 0, interfaceItems(view))
  if (name === "addr_restrictions") return itemsAnswer(request, view, 0, accessItems(rules))
  return errorAnswer(request, view, ControlError.unknownVariable)
}
