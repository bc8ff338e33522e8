/** Asks the coordinator of a running node over its Unix socket. Every failure is one line that says what to do. */
import type { IncomingMessage } from "node:http"
import { userInfo } from "node:os"
import { join, resolve } from "node:path"
import { createInterface } from "node:readline"
import type { ClusterState } from "@meridian/ipc"
import { NoAnswer, openAnswer, readAnswer } from "@meridian/ipc/socket-question"
import { defaultStateDirectory } from "@meridian/ipc/state-directory"
import { COORDINATOR_SOCKET_NAME } from "@meridian/ipc/unix-socket"

/** Longer than an append may take, so that the coordinator's own answer comes first. */
const ANSWER_MS = 30_000

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

interface Question {
  readonly method: "GET" | "POST"
  /** With its query, encoded. */
  readonly path: string
  /** Sent as JSON, with who asks. */
  readonly body?: Readonly<Record<string, unknown>>
}

/** Where this installation lies. */
export const programRoot = resolve(import.meta.dirname, "../../..")

/** The state directory that the commands about a node mean. */
export const stateDirectoryOf = (flag: string | undefined): string =>
  resolve(flag ?? defaultStateDirectory(programRoot, process.getuid?.() === 0, process.env))

/** The whole answer as text. @throws CoordinatorUnreachable, CoordinatorRefused */
export const askForText = (stateDirectory: string, question: Question): Promise<string> =>
  inWords(stateDirectory, async () => readAnswer(await open(stateDirectory, question, ANSWER_MS)))

/** The whole answer, JSON parsed. @throws CoordinatorUnreachable, CoordinatorRefused */
export const ask = async <A>(stateDirectory: string, question: Question): Promise<A> =>
  parseAnswer(await askForText(stateDirectory, question), stateDirectory) as A

/** The state of the cluster as the node has folded it. @throws CoordinatorUnreachable, CoordinatorRefused */
export const askState = (stateFlag: string | undefined): Promise<ClusterState> =>
  ask(stateDirectoryOf(stateFlag), { method: "GET", path: "/state" })

/** The answer line by line, each JSON parsed, as it comes; for as long as the coordinator goes on. */
export async function* askForLines(stateDirectory: string, path: string): AsyncGenerator<unknown> {
  const answer = await inWords(stateDirectory, () => open(stateDirectory, { method: "GET", path }, undefined))
  try {
    for await (const line of createInterface({ input: answer, crlfDelay: Infinity }))
      if (line !== "") yield parseAnswer(line, stateDirectory)
  } catch (error) {
    throw error instanceof CoordinatorUnreachable ? error : brokenOff(stateDirectory)
  }
  if (!answer.complete) throw brokenOff(stateDirectory)
}

const brokenOff = (stateDirectory: string): CoordinatorUnreachable =>
  new CoordinatorUnreachable(`the coordinator in ${stateDirectory} ended in the middle of its answer; ask again`)

/** Who asks, for the event: the user of this process, and the one behind sudo. */
export const author = (): string => {
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

const open = async (
  stateDirectory: string,
  { method, path, body }: Question,
  patienceMs: number | undefined
): Promise<IncomingMessage> => {
  const text = body === undefined ? undefined : JSON.stringify({ author: author(), ...body })
  const socket = join(stateDirectory, COORDINATOR_SOCKET_NAME)
  const answer = await openAnswer(socket, { method, path, body: text, patienceMs })
  if (answer.statusCode === 200) return answer
  const { error } = parseAnswer(await readAnswer(answer), stateDirectory) as Refusal
  const message = error?.message
  const status = answer.statusCode ?? 500
  throw new CoordinatorRefused(status, typeof message === "string" ? message : `answered with status ${status}`)
}

interface Refusal {
  readonly error?: { readonly message?: unknown }
}

/** Says in words why there is no answer. */
const inWords = async <A>(stateDirectory: string, asking: () => Promise<A>): Promise<A> => {
  try {
    return await asking()
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error
    throw new CoordinatorUnreachable(
      error.fault === "absent"
        ? `no coordinator runs with the state directory ${stateDirectory}; start a node with \`meridian up\` or name another with --state DIR`
        : error.fault === "denied"
          ? `the coordinator's socket in ${stateDirectory} may not be opened by this user; ask as the node's own user or group`
          : `the coordinator in ${stateDirectory} ${error.message}`
    )
  }
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
