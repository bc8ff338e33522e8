/** Asks the coordinator of a running node over its Unix socket. Every failure is one line that says what to do. */
import { type IncomingMessage, request } from "node:http"
import { userInfo } from "node:os"
import { join, resolve } from "node:path"
import { createInterface } from "node:readline"
import { defaultStateDirectory } from "@meridian/ipc/state-directory"
import { errnoWords } from "@meridian/system/errno-words"

const SOCKET_NAME = "coordinator.sock"
/** Longer than an append may take, so that the coordinator's own answer comes first. */
const ANSWER_MS = 30_000
/** Longest answer, bytes. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

/** Nobody answers on the socket, or not in words that can be read. */
export class CoordinatorUnreachable extends Error {
  readonly _tag = "CoordinatorUnreachable"
}

/** The coordinator refused or could not do it; `status` as in HTTP. */
export class CoordinatorRefused extends Error {
  readonly _tag = "CoordinatorRefused"
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export type CoordinatorProblem = CoordinatorUnreachable | CoordinatorRefused

export interface Question {
  readonly method: "GET" | "POST"
  /** With its query, encoded. */
  readonly path: string
  /** Sent as JSON, with who asks. */
  readonly body?: Readonly<Record<string, unknown>>
}

/** The state directory that the commands about a node mean. */
export const stateDirectoryOf = (programRoot: string, flag: string | undefined): string =>
  resolve(flag ?? defaultStateDirectory(programRoot, process.getuid?.() === 0, process.env))

/** The whole answer as text. @throws CoordinatorUnreachable, CoordinatorRefused */
export const askForText = async (stateDirectory: string, question: Question): Promise<string> =>
  readWhole(await open(stateDirectory, question, ANSWER_MS), stateDirectory)

/** The whole answer, JSON parsed. @throws CoordinatorUnreachable, CoordinatorRefused */
export const ask = async <A>(stateDirectory: string, question: Question): Promise<A> =>
  parseAnswer(await askForText(stateDirectory, question), stateDirectory) as A

/** The answer line by line, each JSON parsed, as it comes; for as long as the coordinator goes on. */
export async function* askForLines(stateDirectory: string, path: string): AsyncGenerator<unknown> {
  const response = await open(stateDirectory, { method: "GET", path }, undefined)
  try {
    for await (const line of createInterface({ input: response, crlfDelay: Infinity }))
      if (line !== "") yield parseAnswer(line, stateDirectory)
  } catch (error) {
    throw error instanceof CoordinatorUnreachable ? error : brokenOff(stateDirectory)
  }
  if (!response.complete) throw brokenOff(stateDirectory)
}

const brokenOff = (stateDirectory: string): CoordinatorUnreachable =>
  new CoordinatorUnreachable(`the coordinator in ${stateDirectory} ended in the middle of its answer; ask again`)

/** Who asks, for the event: the user of this process, and the one behind sudo. */
const author = (): string => {
  const name = process.getuid?.() === 0 ? (process.env["SUDO_USER"] ?? "root") : userName()
  return `meridian ${name}`.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 128)
}

/** A user may have a number and no name. */
const userName = (): string => {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.() ?? "?"}`
  }
}

const open = (stateDirectory: string, question: Question, limit: number | undefined): Promise<IncomingMessage> =>
  new Promise((done, failed) => {
    const { method, path, body } = question
    const asking = request(
      {
        socketPath: join(stateDirectory, SOCKET_NAME),
        method,
        path,
        agent: false,
        ...(limit === undefined ? {} : { timeout: limit })
      },
      (response) => {
        if (response.statusCode === 200) return done(response)
        readWhole(response, stateDirectory).then(
          (text) => failed(refusal(response.statusCode ?? 500, text, stateDirectory)),
          failed
        )
      }
    )
    asking.on("timeout", () => asking.destroy(Object.assign(new Error("timeout"), { code: "no answer in time" })))
    asking.on("error", (error: NodeJS.ErrnoException) => failed(unreachable(error.code, stateDirectory)))
    asking.end(body === undefined ? undefined : JSON.stringify({ author: author(), ...body }))
  })

const unreachable = (code: string | undefined, stateDirectory: string): CoordinatorUnreachable => {
  if (code === "ENOENT" || code === "ECONNREFUSED")
    return new CoordinatorUnreachable(
      `no coordinator runs with the state directory ${stateDirectory}; start a node with \`meridian up\` or name another with --state DIR`
    )
  if (code === "EACCES" || code === "EPERM")
    return new CoordinatorUnreachable(
      `the coordinator's socket in ${stateDirectory} may not be opened by this user; ask as the node's own user or group`
    )
  return new CoordinatorUnreachable(
    `the coordinator in ${stateDirectory} did not answer: ${code === undefined ? "unknown error" : errnoWords(code)}`
  )
}

const refusal = (status: number, text: string, stateDirectory: string): CoordinatorProblem => {
  const { error } = parseAnswer(text, stateDirectory) as { readonly error?: { readonly message?: unknown } }
  const message = error?.message
  return new CoordinatorRefused(status, typeof message === "string" ? message : `answered with status ${status}`)
}

const readWhole = async (response: IncomingMessage, stateDirectory: string): Promise<string> => {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > MAX_ANSWER_BYTES) break
      chunks.push(chunk)
    }
  } catch {
    throw brokenOff(stateDirectory)
  }
  if (length > MAX_ANSWER_BYTES)
    throw new CoordinatorUnreachable(
      `the coordinator in ${stateDirectory} answered more than ${MAX_ANSWER_BYTES} bytes`
    )
  return Buffer.concat(chunks).toString("utf8")
}

const parseAnswer = (text: string, stateDirectory: string): object => {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === "object" && value !== null) return value
  } catch {
    // Said below.
  }
  throw new CoordinatorUnreachable(`the coordinator in ${stateDirectory} answered something that is not JSON`)
}
