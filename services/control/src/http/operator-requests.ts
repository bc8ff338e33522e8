/** POST: the acts of operators. Nobody without an operator's token comes past the first lines. */
import type { IncomingMessage } from "node:http"
import { TokenBucket } from "@meridian/protocol/access/token-bucket"
import type { Admission } from "./admission.ts"
import { type CoordinatorAnswer, type CoordinatorQuestions, problem } from "./coordinator-questions.ts"
import { ACTS, consequence, type OperatorAct, readAct } from "./operator-acts.ts"

const LONGEST_BODY = 4_096
/** Acts at once, and seconds to the next: each stays in the log for ever. */
const BURST = 20
const SECONDS_EACH = 3
const RATE = { burst: BURST, perSecond: 1 / SECONDS_EACH }

/** `outcome`: the name it is counted under. */
interface OperatorAnswer extends CoordinatorAnswer {
  readonly outcome: string
}

const answer = (status: number, message: string, outcome: string): OperatorAnswer => ({
  ...problem(status, message),
  outcome
})

/** The command behind a path of the API; undefined where it is no act. */
export const actOf = (resource: string): OperatorAct["command"] | undefined => ACTS.find((name) => name === resource)

export class OperatorRequests {
  readonly #coordinator: CoordinatorQuestions
  readonly #monotonic: () => number
  readonly #acts: TokenBucket

  /** @param monotonic CLOCK_MONOTONIC, seconds */
  constructor(coordinator: CoordinatorQuestions, monotonic: () => number) {
    this.#coordinator = coordinator
    this.#monotonic = monotonic
    this.#acts = new TokenBucket(RATE, monotonic())
  }

  async act(command: OperatorAct["command"], admission: Admission, asked: IncomingMessage): Promise<OperatorAnswer> {
    const { authorization, "content-type": type = "" } = asked.headers
    if (!admission.hasOperators)
      return answer(403, "nobody may act here; name operators with 'control http … operators FILE'", "act-forbidden")
    const name = admission.operator(authorization)
    if (name === undefined)
      return answer(401, "expected 'Authorization: Bearer TOKEN' with an operator's token", "act-unauthorised")
    if (!/^application\/json *(?:;|$)/i.test(type))
      return answer(415, "expected content-type application/json", "act-malformed")
    const body = await readBody(asked)
    if (body === undefined) return answer(413, `a body has at most ${LONGEST_BODY} bytes`, "act-malformed")
    const act = readAct(command, parse(body))
    if (typeof act === "string") return answer(400, act, "act-malformed")
    if (!this.#acts.take(this.#monotonic()))
      return answer(429, `too many acts; one each ${SECONDS_EACH} s, please`, "act-limited")
    const said = await this.#coordinator.act(act, `http ${name}`)
    return { ...said, outcome: said.status === 200 ? "act-done" : "act-refused" }
  }

  /** What would come of an act: for any reader, since nothing is done. @param query `act` and its arguments */
  async consequence(query: URLSearchParams): Promise<CoordinatorAnswer> {
    const { act: path = "", ...given } = Object.fromEntries(query)
    const command = actOf(path)
    if (command === undefined) return problem(400, `expected act, one of ${ACTS.join(", ")}`)
    const numbers = Object.fromEntries(
      Object.entries(given).map(([name, text]) => [name, /^[1-9]\d{0,14}$/.test(text) ? Number(text) : text])
    )
    const act = readAct(command, { ...given, ...pick(numbers, ["generation", "set"]) })
    if (typeof act === "string") return problem(400, act)
    const cluster = await this.#coordinator.cluster()
    return cluster === undefined
      ? problem(503, "the coordinator does not answer; ask again")
      : { status: 200, body: JSON.stringify({ act, consequence: consequence(act, cluster) }) }
  }
}

const pick = (from: Readonly<Record<string, unknown>>, names: readonly string[]): Readonly<Record<string, unknown>> =>
  Object.fromEntries(names.filter((name) => name in from).map((name) => [name, from[name]]))

/**
 * Undefined where it is too long: then it is read to its end and let go of, since who is cut off while sending does not see the
 * answer. The server ends a request whose body does not come in time.
 */
const readBody = async (asked: IncomingMessage): Promise<string | undefined> => {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of asked as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length <= LONGEST_BODY) chunks.push(chunk)
  }
  return length > LONGEST_BODY ? undefined : Buffer.concat(chunks).toString("utf8")
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
