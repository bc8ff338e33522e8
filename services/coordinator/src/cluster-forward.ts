/** Commands handed on to the node that leads: a request and its answer over NATS, text as the API has it. */
import type { NatsConnection } from "@nats-io/nats-core"
import { ApiError, toAnswer } from "./api-answer.ts"
import type { Forward, ForwardedAnswer } from "./embedded.ts"
import type { HandingOn } from "./handing-on.ts"

const SUBJECT = "meridian-command"
/** As long as an append may take. */
const ANSWER_MS = 20_000
const MAX_BYTES = 65_536

export const natsForward = (connection: NatsConnection, node: string, handing: HandingOn): Forward => ({
  ask: async (leader, command) => {
    const message = handing.wrap(leader, command)
    const reply = await connection.request(`${SUBJECT}.${leader}`, message, { timeout: ANSWER_MS })
    const answer = answerOf(reply.string())
    if (answer === undefined) throw new Error(`node ${leader} gave no answer that can be read`)
    return answer
  },
  serve: (answer) => {
    connection.subscribe(`${SUBJECT}.${node}`, {
      callback: (error, message) => {
        const fits = error === null && message.data.length <= MAX_BYTES
        const command = fits ? handing.open(message.string()) : "a command is at most 65,536 bytes"
        const given: Promise<ForwardedAnswer> =
          typeof command === "string"
            ? Promise.resolve(toAnswer(new ApiError(403, "NotBelieved", command)))
            : answer(command)
        // The connection may have been closed meanwhile; whoever asked hears nothing then, and says so.
        void given.then((it) => message.respond(JSON.stringify({ status: it.status, body: it.body }))).catch(() => {})
      }
    })
  }
})

const answerOf = (text: string): ForwardedAnswer | undefined => {
  try {
    const { status, body } = JSON.parse(text) as { readonly status?: unknown; readonly body?: unknown }
    return typeof status === "number" && typeof body === "string" ? { status, body } : undefined
  } catch {
    return undefined
  }
}
