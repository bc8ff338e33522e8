/**
 * What the coordinator alone knows and does, asked for over its socket: the cluster, the log, what was true at a moment, and
 * the acts of operators. Nothing else of that socket is reached from here, which gives keys away and takes other commands.
 */
import { join } from "node:path"
import { createInterface } from "node:readline"
import { parseClusterState } from "./cluster-answer.ts"
import type { OperatorAct } from "./operator-acts.ts"
import type { ClusterState } from "@meridian/ipc"
import { askSocket, NoAnswer, openAnswer } from "@meridian/ipc/socket-question"
import { COORDINATOR_SOCKET_NAME } from "@meridian/ipc/unix-socket"

const PATIENCE_MS = 5_000
/** Longer than an append may take, so that the coordinator's own answer comes first. */
const ACT_PATIENCE_MS = 30_000
const LONGEST_ANSWER = 4 << 20
/** At the same time; explaining reads the log. */
const MOST_QUESTIONS = 4

export interface CoordinatorAnswer {
  readonly status: number
  /** JSON. */
  readonly body: string
}

export interface LogQuestion {
  /** Place of the first event, from 1. */
  readonly from: number
  /** A subject or a family. */
  readonly subject: string | undefined
  /** Lines at most. */
  readonly limit: number
  /** The last lines instead of the first. */
  readonly isLast: boolean
  /** Whether what nodes say of themselves every minute is left out. */
  readonly isQuiet: boolean
}

export const problem = (status: number, message: string): CoordinatorAnswer => ({
  status,
  body: JSON.stringify({ error: { message } })
})

const silent = problem(503, "the coordinator does not answer; ask again")

export class CoordinatorQuestions {
  readonly #path: string
  #open = 0

  constructor(stateDirectory: string) {
    this.#path = join(stateDirectory, COORDINATOR_SOCKET_NAME)
  }

  state(): Promise<CoordinatorAnswer> {
    return this.#alone(() => this.#read("/state"))
  }

  /** The cluster as the node has folded it; undefined while the coordinator does not answer. */
  async cluster(): Promise<ClusterState | undefined> {
    const { status, body } = await this.state()
    return status === 200 ? parseClusterState(body) : undefined
  }

  /** @param at as the coordinator reads it; undefined for now */
  explain(at: string | undefined): Promise<CoordinatorAnswer> {
    return this.#alone(() => this.#read(at === undefined ? "/explain" : `/explain?at=${encodeURIComponent(at)}`))
  }

  /** Some lines of the log, `{"lines": […]}`, without the boxes that hold keys. */
  log(question: LogQuestion): Promise<CoordinatorAnswer> {
    return this.#alone(() => this.#readLog(question))
  }

  /** Carries out what an operator asked for. @param author who that is, for the event */
  act({ command, arguments: given }: OperatorAct, author: string): Promise<CoordinatorAnswer> {
    return this.#alone(() => this.#read(command, JSON.stringify({ ...given, author })))
  }

  async #alone(read: () => Promise<CoordinatorAnswer>): Promise<CoordinatorAnswer> {
    if (this.#open >= MOST_QUESTIONS) return problem(503, "too many questions at once; ask again")
    this.#open += 1
    try {
      return await read()
    } finally {
      this.#open -= 1
    }
  }

  /** @param body what is posted; undefined: it is asked for */
  async #read(path: string, body?: string): Promise<CoordinatorAnswer> {
    const method = body === undefined ? "GET" : "POST"
    const patienceMs = body === undefined ? PATIENCE_MS : ACT_PATIENCE_MS
    try {
      const { status, text } = await askSocket(this.#path, {
        method,
        path,
        body,
        patienceMs,
        longest: LONGEST_ANSWER
      })
      return { status, body: text }
    } catch (error) {
      return error instanceof NoAnswer && error.fault === "too-long"
        ? problem(502, `the answer is longer than ${LONGEST_ANSWER} bytes; ask with meridian explain`)
        : silent
    }
  }

  async #readLog({ from, subject, limit, isLast, isQuiet }: LogQuestion): Promise<CoordinatorAnswer> {
    const query = new URLSearchParams({ from: String(from), ...(subject === undefined ? {} : { subject }) })
    try {
      const answer = await openAnswer(this.#path, { path: `/log?${query.toString()}`, patienceMs: PATIENCE_MS })
      if (answer.statusCode !== 200) {
        answer.resume()
        return problem(answer.statusCode ?? 502, "the log cannot be read so; check from and subject")
      }
      const lines: string[] = []
      let length = 0
      // Who leaves the loop early ends the answer.
      for await (const line of createInterface({ input: answer, crlfDelay: Infinity })) {
        if (line === "" || (isQuiet && HEARTBEAT.test(line))) continue
        const text = withoutBoxes(line)
        length += text.length
        lines.push(text)
        if (isLast && lines.length > limit) length -= lines.shift()?.length ?? 0
        if (length > LONGEST_ANSWER || (!isLast && lines.length >= limit)) break
      }
      answer.destroy()
      return { status: 200, body: `{"lines":[${lines.join(",")}]}` }
    } catch {
      return silent
    }
  }
}

const HEARTBEAT = /"type":"Member(?:Heartbeat|Summarised)"/

/** Sealed keys are no use to a reader, and nobody needs to hold them. A line that is no JSON is none of the coordinator's. */
const withoutBoxes = (line: string): string => {
  if (!line.includes('"sealed"')) return line
  try {
    return JSON.stringify(JSON.parse(line), (name, value: unknown) => (name === "sealed" ? undefined : value))
  } catch {
    return "{}"
  }
}
