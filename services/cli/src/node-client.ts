/** Asks the supervisor of a running node over its Unix socket. Every failure is one line that says what to do. */
import { join } from "node:path"
import { stateDirectoryDirective } from "@meridian/config"
import { switchFlag, valueFlag } from "@meridian/config/flags"
import { askSocket, NoAnswer } from "@meridian/ipc/socket-question"
import { CONTROL_SOCKET_NAME } from "@meridian/ipc/unix-socket"

const PATIENCE_MS = 5_000
/** Of what the node has to do first. */
const LONG_PATIENCE_MS = 60_000

/** Flags of the commands that ask a running node one thing. */
export const nodeFlags = {
  state: valueFlag(stateDirectoryDirective.operands.directory.type, "State directory of the node."),
  json: switchFlag("Prints JSON.")
}

/** The node did not answer: why and what to do, in one line. */
export class NodeUnreachable extends Error {
  readonly _tag = "NodeUnreachable"
}

/** A resource of the node's control socket, JSON parsed. @throws NodeUnreachable */
export const askNode = async <A>(stateDirectory: string, path: string, method: "GET" | "POST" = "GET"): Promise<A> => {
  const no = (why: string): NodeUnreachable => new NodeUnreachable(`the node in ${stateDirectory} ${why}`)
  const patienceMs = method === "POST" ? LONG_PATIENCE_MS : PATIENCE_MS
  const socket = join(stateDirectory, CONTROL_SOCKET_NAME)
  const { status, text } = await askSocket(socket, { path, method, patienceMs }).catch((error: unknown) => {
    throw error instanceof NoAnswer ? unreachable(error, stateDirectory) : error
  })
  if (status === 503) throw no("is starting; ask again in a moment")
  if (status !== 200) throw no(`does not know ${path}: it is of another version`)
  try {
    return JSON.parse(text) as A
  } catch {
    throw no("answered something that is not JSON")
  }
}

const unreachable = ({ fault, message }: NoAnswer, stateDirectory: string): NodeUnreachable =>
  new NodeUnreachable(
    fault === "absent"
      ? `no node runs with the state directory ${stateDirectory}; start one with \`meridian up\` or name another with --state DIR`
      : fault === "denied"
        ? `the control socket in ${stateDirectory} may not be opened by this user; ask as the node's own user`
        : `the node in ${stateDirectory} ${message}`
  )

/** The answer, or undefined where the node does not say. */
export const askedNode = <A>(stateDirectory: string, path: string): Promise<A | undefined> =>
  askNode<A>(stateDirectory, path).catch((error: unknown) => {
    if (error instanceof NodeUnreachable) return undefined
    throw error
  })
