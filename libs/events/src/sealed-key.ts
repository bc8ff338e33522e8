/**
 * A key as an event carries it. The log is kept for ever and keys must not be, so the box in the event is sealed under a
 * data key of its own, and the data key lies in a slot of the key store, outside the log. Shredding the slot destroys
 * the key everywhere at once, however many copies of the log exist.
 */
import * as Schema from "effect/Schema"

const SLOT = /^[a-z]{1,16}\.[0-9]{1,16}\.[a-z0-9-]{1,64}$/

/** Whether text names a slot: purpose, number, and what makes it unique, such as `nts.12.k3v9x2`. */
export const isSlotName = (text: string): boolean => SLOT.test(text)

const SlotName = Schema.String.check(
  Schema.makeFilter((text: string) => isSlotName(text), { expected: "a slot such as nts.12.k3v9x2" })
)

export const SealedKey = Schema.Struct({
  /** Where in the key store the data key lies. Never used twice, not even for the same generation. */
  slot: SlotName,
  /** Base64 of nonce, ciphertext and tag. */
  box: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9+/]{54,1366}={0,2}$/))
})
export type SealedKey = typeof SealedKey.Type
