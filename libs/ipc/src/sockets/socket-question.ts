/** Asks a process of a node over its Unix socket, by HTTP: the one client of the sockets that unix-socket.ts names. */
import type { IncomingMessage } from "node:http"
import { errnoWords } from "@meridian/system/errno-words"
import { errnoName } from "@meridian/system/native"
import * as onUse from "@meridian/system/on-use"

interface SocketQuestion {
  readonly method?: "GET" | "POST"
  /** With its query, encoded. */
  readonly path: string
  readonly body?: string | undefined
  /** Without a word from the other side, ms; undefined: for ever. */
  readonly patienceMs?: number | undefined
  /** Longest answer, bytes. Default: 64 MiB. */
  readonly longest?: number
}

interface SocketAnswer {
  /** As in HTTP. */
  readonly status: number
  readonly text: string
}

const LONGEST = 64 * 1024 * 1024

/**
 * - `absent`: nobody has the socket open
 * - `denied`: this user may not open it
 * - `silent`: no answer in time, or the system failed
 * - `broken-off`: it ended in the middle of the answer
 * - `too-long`: longer than was asked for
 */
type SocketFault = "absent" | "denied" | "silent" | "broken-off" | "too-long"

const FAULTS: Readonly<Record<string, SocketFault>> = {
  ENOENT: "absent",
  ECONNREFUSED: "absent",
  EACCES: "denied",
  EPERM: "denied"
}

/** There is no answer. The message says why in words that follow the name of who was asked. */
export class NoAnswer extends Error {
  readonly _tag = "NoAnswer"
  readonly fault: SocketFault
  constructor(fault: SocketFault, message: string) {
    super(message)
    this.fault = fault
  }
}

/** The head of the answer, to read the rest of as it comes. @param socket its path @throws NoAnswer */
export const openAnswer = (socket: string, question: SocketQuestion): Promise<IncomingMessage> =>
  new Promise((done, failed) => {
    const { method = "GET", path, body, patienceMs } = question
    const timeout = patienceMs === undefined ? {} : { timeout: patienceMs }
    const asking = onUse.http().request({ socketPath: socket, method, path, agent: false, ...timeout }, done)
    let isLate = false
    asking.on("timeout", () => {
      isLate = true
      asking.destroy()
    })
    asking.on("error", (error) => {
      const reason = isLate ? `no answer within ${(patienceMs ?? 0) / 1e3} s` : errnoWords(errnoName(error))
      failed(new NoAnswer(FAULTS[errnoName(error)] ?? "silent", `did not answer: ${reason}`))
    })
    asking.end(body)
  })

/** The rest of an answer. @throws NoAnswer */
export const readAnswer = async (answer: IncomingMessage, longest = LONGEST): Promise<string> => {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > longest) break
      chunks.push(chunk)
    }
  } catch {
    throw new NoAnswer("broken-off", "ended in the middle of its answer; ask again")
  }
  if (length > longest) throw new NoAnswer("too-long", `answered more than ${longest} bytes`)
  return Buffer.concat(chunks).toString("utf8")
}

/** The whole answer. @param socket its path @throws NoAnswer */
export const askSocket = async (socket: string, question: SocketQuestion): Promise<SocketAnswer> => {
  const answer = await openAnswer(socket, question)
  return { status: answer.statusCode ?? 500, text: await readAnswer(answer, question.longest) }
}
