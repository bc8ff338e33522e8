/** `meridian query`: asks a server for the time a few times and says what its clock and ours think of each other. */
import { randomBytes } from "node:crypto"
import { lookup } from "node:dns/promises"
import { isIPv6 } from "node:net"
import { setTimeout } from "node:timers/promises"
import { systemClock } from "@meridian/clocks/system-clock"
import { endpointText, udpClientError, UdpClientError, type UdpClientSocket, openUdpClient } from "@meridian/udp/client"
import { clientRequest, measure, type Measurement, ReplyRefused } from "@meridian/protocol/sntp-client"
import { wrapped } from "./text-table.ts"
import { type Identity, identityOf, identityRequest } from "@meridian/wire/identity-field"
import { fromUnix, type NtpTimestamp } from "@meridian/time/timestamp"
import { printable } from "./text-table.ts"

interface QueryPlan {
  readonly host: string
  readonly port: number
  readonly count: number
  readonly version: number
  readonly timeoutMs: number
  /** Whether to ask which node it is. */
  readonly identify: boolean
}

export interface Answer extends Measurement {
  readonly address: string
  /** Which node answered; null where it does not say, absent where it was not asked. */
  readonly identity?: Identity | null
}

type QueryFailure =
  /** The name has no address, or a packet could not be sent. */
  | "unreachable"
  | "silence"
  | "kiss"
  /** NTS: no keys, so nothing was asked. */
  | "no-keys"

/** No usable answer: why, and what to do, in one line. */
export class QueryFailed {
  readonly _tag = "QueryFailed"
  readonly reason: QueryFailure
  readonly message: string
  constructor(reason: QueryFailure, message: string) {
    this.reason = reason
    this.message = message
  }
}

/** HOST, HOST:PORT, [V6] or [V6]:PORT; a bare IPv6 address needs no brackets. Undefined when the port is no port. */
export const parseTarget = (text: string, defaultPort: number): { host: string; port: number } | undefined => {
  const match = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? /^([^:]+)(?::(\d+))?$/.exec(text)
  if (match === null) return isIPv6(text) ? { host: text, port: defaultPort } : undefined
  const port = match[2] === undefined ? defaultPort : Number(match[2])
  return port >= 1 && port <= 65_535 ? { host: match[1] ?? "", port } : undefined
}

const clock = systemClock()

const now = (): NtpTimestamp => {
  const time = { seconds: 0, nanoseconds: 0 }
  clock.wall.read(time)
  return fromUnix(time)
}

/** A request, and what a packet that comes in says about it. */
export interface Question {
  readonly request: Uint8Array
  /** Undefined when the packet is not the answer: it may be anybody's, and the wait goes on. */
  readonly judge: (
    packet: Uint8Array,
    sent: NtpTimestamp,
    arrived: NtpTimestamp
  ) => Omit<Answer, "address"> | QueryFailed | undefined
  /** What to say when no answer came in time. */
  readonly silence: () => QueryFailed
}

/** Where a question goes: a numeric address. */
export interface Destination {
  readonly address: string
  readonly port: number
}

/** Random, to be recognised in the reply's origin timestamp. */
export const newNonce = (): NtpTimestamp => randomBytes(8).readBigUInt64BE() as NtpTimestamp

/**
 * Sends one request and waits for its answer. Both moments are the kernel's where it stamps packets: what this program does
 * between them and the network is not in the delay.
 */
export const askOnce = async (
  destination: Destination,
  question: Question,
  timeoutMs: number
): Promise<Answer | QueryFailed> => {
  try {
    const socket = await openUdpClient({ remote: destination })
    return await conversation(socket, destination, question, timeoutMs)
  } catch (error) {
    if (!(error instanceof UdpClientError)) throw error
    return new QueryFailed("unreachable", error.message)
  }
}

const conversation = (
  socket: UdpClientSocket,
  destination: Destination,
  question: Question,
  timeoutMs: number
): Promise<Answer | QueryFailed> =>
  new Promise((resolve, reject) => {
    let sent = now()
    let isOver = false
    const finish = (result: Answer | QueryFailed): void => {
      isOver = true
      clearTimeout(timer)
      socket.close()
      resolve(result)
    }
    const read = (): void => {
      for (let event = socket.receive(); event !== undefined; event = socket.receive()) {
        if (event._tag === "Transmitted") sent = fromUnix(event.stamp)
        else if (event._tag === "Failed") {
          const { message } = udpClientError(event.code, `ask ${endpointText(destination)}`)
          return finish(new QueryFailed("unreachable", message))
        } else {
          const result = question.judge(event.bytes, sent, fromUnix(event.arrival))
          if (result === undefined) continue
          return finish(result instanceof QueryFailed ? result : { ...result, address: destination.address })
        }
      }
    }
    /** Of a program that was kept waiting the answer may lie in the socket when its time is over. */
    const lookOnceMore = (): void => {
      if (!isOver) read()
      if (!isOver) finish(question.silence())
    }
    const timer = globalThis.setTimeout(() => setImmediate(lookOnceMore), timeoutMs)
    socket.onReadable(read)
    try {
      sent = now()
      socket.send(question.request)
    } catch (error) {
      clearTimeout(timer)
      socket.close()
      reject(error)
    }
  })

/** Reads an answer to {@link clientRequest}; only a kiss ends the wait, any other packet may be a stranger's. */
export const judgePlain =
  (version: number, nonce: NtpTimestamp): Question["judge"] =>
  (packet, sent, arrived) => {
    const result = measure(packet, version, nonce, sent, arrived)
    if (!(result instanceof ReplyRefused)) return result
    return result.reason === "kiss" ? new QueryFailed("kiss", result.message) : undefined
  }

/** With the field that asks which node it is, and what the reply says in it. */
const identifying = (request: Uint8Array, judge: Question["judge"]): Pick<Question, "request" | "judge"> => ({
  request: Buffer.concat([request, identityRequest()]),
  judge: (packet, sent, arrived) => {
    const result = judge(packet, sent, arrived)
    return result === undefined || result instanceof QueryFailed
      ? result
      : { ...result, identity: identityOf(packet) ?? null }
  }
})

const plainQuestion = ({ host, port, version, timeoutMs, identify }: QueryPlan): Question => {
  const nonce = newNonce()
  const [request, judge] = [clientRequest(version, nonce), judgePlain(version, nonce)]
  return {
    ...(identify ? identifying(request, judge) : { request, judge }),
    silence: () => new QueryFailed("silence", `no answer from ${host} port ${port} within ${timeoutMs / 1000} s`)
  }
}

/** What a failed look-up means, for people. */
const lookupProblem = ({ code, message }: NodeJS.ErrnoException): string =>
  code === "ENOTFOUND" ? "no such name is known" : code === "EAI_AGAIN" ? "no name server answers" : message

/** The first address of a name. */
export const addressOf = async (host: string): Promise<string | QueryFailed> =>
  lookup(host).then(
    ({ address }) => address,
    (error: NodeJS.ErrnoException) => new QueryFailed("unreachable", `cannot resolve ${host}: ${lookupProblem(error)}`)
  )

const PAUSE_MS = 1_000

/** Calls `ask` `count` times, a second apart; stops at the first failure. */
export const askRepeatedly = async <A>(
  count: number,
  ask: () => Promise<A | QueryFailed>
): Promise<readonly (A | QueryFailed)[]> => {
  const answers: (A | QueryFailed)[] = []
  for (let asked = 0; asked < count; asked += 1) {
    if (asked > 0) await setTimeout(PAUSE_MS)
    const answer = await ask()
    answers.push(answer)
    if (answer instanceof QueryFailed) break
  }
  return answers
}

/** Asks without authentication. */
export const query = async (plan: QueryPlan): Promise<readonly (Answer | QueryFailed)[]> => {
  const address = await addressOf(plan.host)
  if (address instanceof QueryFailed) return [address]
  return askRepeatedly(plan.count, () => askOnce({ address, port: plan.port }, plainQuestion(plan), plan.timeoutMs))
}

const micros = (seconds: number): string => {
  const size = Math.abs(seconds)
  if (size < 1e-3) return `${(seconds * 1e6).toFixed(1)} µs`
  return size < 1 ? `${(seconds * 1e3).toFixed(3)} ms` : `${seconds.toFixed(6)} s`
}

/** Which node answered, as lines below its answer; none where it was not asked. */
const identityLines = ({ identity }: Answer): readonly string[] => {
  if (identity === undefined) return []
  if (identity === null) return ["  the server does not say which node it is"]
  const { node, version, generation, decision } = identity
  const key = generation === 0 ? "no NTS key" : `key generation ${generation}`
  return [
    `  node ${printable(node)}  version ${printable(version)}  ${key}`,
    ...(decision === "" ? [] : [`  clock decision ${printable(decision)}`])
  ]
}

/** One line an answer, where it is not too long for one, and what it says of its node. */
export const formatAnswer = (answer: Answer): string =>
  [wrapped(answerText(answer)), ...identityLines(answer)].join("\n")

export const answerText = (answer: Answer): string => {
  const state = answer.synchronised ? "" : "  (unsynchronised)"
  return `${answer.address}  offset ${micros(answer.offset)}  delay ${micros(answer.delay)}  stratum ${answer.stratum}  refid ${answer.referenceId}  root distance ${micros(answer.rootDistance)}${state}`
}
