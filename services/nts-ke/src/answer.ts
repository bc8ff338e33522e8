/** From a request's records to the bytes of the reply: negotiation, keys from the TLS exporter, cookies. No sockets. */
import { randomFillSync } from "node:crypto"
import type { AeadBatch, AeadParameters } from "@meridian/auth/aead"
import { COOKIE_NONCE_BYTES, sealCookies } from "@meridian/auth/cookie"
import type { Generation } from "@meridian/auth/key-ring"
import {
  agreedReply,
  COOKIES_PER_REPLY,
  exporterContext,
  internalError,
  negotiate,
  refusedMessage,
  type TimeServer
} from "@meridian/auth/nts-ke-server"
import type { RecordDecoder } from "@meridian/wire/nts-ke"
import type { Outcome } from "./counters.ts"

/** The TLS exporter (RFC 5705) with the label of RFC 8915 §5.1: that many bytes for a context. */
export type Exporter = (length: number, context: Uint8Array<ArrayBuffer>) => Uint8Array

export interface AnswerSettings {
  /** {@link AeadParameters} ids that are offered. */
  readonly aeads: ReadonlySet<number>
  readonly timeServer: TimeServer
  /** Seals the cookies of a reply in one call. */
  readonly sealing: AeadBatch
}

interface Answer {
  readonly outcome: Outcome
  readonly reply: Uint8Array<ArrayBuffer>
  /** What was agreed, when `outcome` is "agreed". */
  readonly aead?: AeadParameters
}

/**
 * Answers a message whose decoder is in a final state.
 * @param masterKey the generation that seals now; without one no agreement can be made
 */
export const answerRequest = (
  message: RecordDecoder,
  exporter: Exporter,
  masterKey: Generation | undefined,
  settings: AnswerSettings
): Answer => {
  if (message.state === "reading") throw new RangeError("expected a message in a final state, found an unfinished one")
  if (message.state !== "complete") {
    const { reason, reply } = refusedMessage(message.state)
    return { outcome: reason, reply }
  }
  const decision = negotiate(message.records, message.trailingBytes, settings.aeads)
  if (decision._tag !== "Agreed") return { outcome: decision.reason, reply: decision.reply }
  if (masterKey === undefined) return { outcome: "no-master-key", reply: internalError().reply }
  const { aead } = decision
  const c2s = exporter(aead.keyBytes, exporterContext(decision, "c2s"))
  const s2c = exporter(aead.keyBytes, exporterContext(decision, "s2c"))
  const nonces = randomFillSync(new Uint8Array(COOKIES_PER_REPLY * COOKIE_NONCE_BYTES))
  const cookies = sealCookies(settings.sealing, masterKey, { aead, c2s, s2c }, nonces)
  c2s.fill(0)
  s2c.fill(0)
  return { outcome: "agreed", reply: agreedReply(decision, cookies, settings.timeServer), aead }
}
