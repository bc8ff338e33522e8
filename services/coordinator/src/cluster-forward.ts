/** Commands handed on to the node that leads: a request and its answer over NATS, text as the API has it. */
import type { NatsConnection } from "@nats-io/nats-core"
import type { Forward, ForwardedAnswer, ForwardedCommand } from "./embedded.ts"

const SUBJECT = "meridian-command"
/** As long as an append may take. */
const ANSWER_MS = 20_000
const MAX_BYTES = 65_536

export const natsForward = (connection: NatsConnection, node: string): Forward => ({
  ask: async (leader, command) => {
    const reply = await connection.request(`${SUBJECT}.${leader}`, JSON.stringify(command), { timeout: ANSWER_MS })
    const answer = parsed(reply.string())
    if (typeof answer?.["status"] !== "number" || typeof answer["body"] !== "string")
      throw new Error(`node ${leader} gave no answer that can be read`)
    return { status: answer["status"], body: answer["body"] }
  },
  serve: (answer) => {
    connection.subscribe(`${SUBJECT}.${node}`, {
      callback: (error, message) => {
        const command = error === null && message.data.length <= MAX_BYTES ? commandOf(message.string()) : undefined
        const given: Promise<ForwardedAnswer> =
          command === undefined ? Promise.resolve({ status: 400, body: "{}" }) : answer(command)
        // The connection may have been closed meanwhile; whoever asked hears nothing then, and says so.
        void given.then((it) => message.respond(JSON.stringify({ status: it.status, body: it.body }))).catch(() => {})
      }
    })
  }
})

const commandOf = (text: string): ForwardedCommand | undefined => {
  const command = parsed(text)
  return typeof command?.["path"] === "string" && typeof command["body"] === "string"
    ? { path: command["path"], body: command["body"] }
    : undefined
}

const parsed = (text: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
