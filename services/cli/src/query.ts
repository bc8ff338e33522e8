/** `meridian query`: asks a server for the time a few times and says what its clock and ours think of each other. */
import { randomBytes } from "node:crypto"
import { createSocket } from "node:dgram"
import { lookup } from "node:dns/promises"
import { isIPv6 } from "node:net"
import { setTimeout } from "node:timers/promises"
import { systemClock } from "@meridian/native-io/system-clock"
import { clientRequest, measure, type Measurement, ReplyRefused } from "@meridian/protocol/sntp-client"
import { fromUnix, type NtpTimestamp } from "@meridian/time/timestamp"

export interface QueryPlan {
  readonly host: string
  readonly port: number
  readonly count: number
  readonly version: number
  readonly timeoutMs: number
}

export interface Answer extends Measurement {
  readonly address: string
}

/** No usable answer: why, in one line. */
export class QueryFailed {
  readonly _tag = "QueryFailed"
  readonly message: string
  constructor(message: string) {
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

const askOnce = (address: string, family: number, plan: QueryPlan): Promise<Answer | QueryFailed> =>
  new Promise((resolve) => {
    const socket = createSocket(family === 6 ? "udp6" : "udp4")
    const nonce = randomBytes(8).readBigUInt64BE() as NtpTimestamp
    let sent = now()
    const finish = (result: Answer | QueryFailed): void => {
      clearTimeout(timer)
      socket.close()
      resolve(result)
    }
    const timer = globalThis.setTimeout(
      () => finish(new QueryFailed(`no answer from ${plan.host} port ${plan.port} within ${plan.timeoutMs / 1000} s`)),
      plan.timeoutMs
    )
    socket.on("error", (error) => finish(new QueryFailed(`${plan.host} port ${plan.port}: ${error.message}`)))
    socket.on("message", (bytes) => {
      const arrived = now()
      const result = measure(bytes, plan.version, nonce, sent, arrived)
      // A packet that does not answer our question may be anybody's: keep waiting for the one that does.
      if (result instanceof ReplyRefused && result.reason !== "kiss") return
      finish(result instanceof ReplyRefused ? new QueryFailed(result.message) : { ...result, address })
    })
    socket.connect(plan.port, address, () => {
      sent = now()
      socket.send(clientRequest(plan.version, nonce))
    })
  })

const PAUSE_MS = 1_000

/** Asks `count` times, a second apart; stops at the first failure. */
export const query = async (plan: QueryPlan): Promise<readonly (Answer | QueryFailed)[]> => {
  const found = await lookup(plan.host).catch(
    (error: NodeJS.ErrnoException) => new QueryFailed(`cannot resolve ${plan.host}: ${error.code ?? error.message}`)
  )
  if (found instanceof QueryFailed) return [found]
  const answers: (Answer | QueryFailed)[] = []
  for (let asked = 0; asked < plan.count; asked += 1) {
    if (asked > 0) await setTimeout(PAUSE_MS)
    const answer = await askOnce(found.address, found.family, plan)
    answers.push(answer)
    if (answer instanceof QueryFailed) break
  }
  return answers
}

const micros = (seconds: number): string => {
  const size = Math.abs(seconds)
  if (size < 1e-3) return `${(seconds * 1e6).toFixed(1)} µs`
  return size < 1 ? `${(seconds * 1e3).toFixed(3)} ms` : `${seconds.toFixed(6)} s`
}

/** One line an answer. */
export const formatAnswer = (answer: Answer): string => {
  const state = answer.synchronised ? "" : "  (unsynchronised)"
  return `${answer.address}  offset ${micros(answer.offset)}  delay ${micros(answer.delay)}  stratum ${answer.stratum}  refid ${answer.referenceId}  root distance ${micros(answer.rootDistance)}${state}`
}
