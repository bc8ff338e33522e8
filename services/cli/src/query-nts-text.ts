/** What `meridian query --nts` prints for people. */
import { answerText } from "./query.ts"
import type { NtsAnswer, UsedKeys } from "./query-nts.ts"
import { wrapped } from "./text-table.ts"

/** A certificate of a hosting company may be for hundreds of names. */
const MOST_NAMES = 4

const someNames = (names: string): string => {
  const all = names.split(", ")
  const more = all.length - MOST_NAMES
  return more <= 0 ? names : `${all.slice(0, MOST_NAMES).join(", ")} and ${more} more`
}

/** About the keys. */
export const formatKeys = (target: { readonly host: string; readonly port: number }, keys: UsedKeys): string => {
  const { certificate } = keys
  const origin =
    certificate === null
      ? "kept from an earlier query"
      : `certificate ${certificate.subject} (${someNames(certificate.names)}), expires ${certificate.expires}`
  return wrapped(
    `keys of ${target.host} port ${target.port}: ${keys.aead}, ${counted(keys.cookies)}, ${origin}; time from ${keys.address} port ${keys.port}`
  )
}

/** One answer. */
export const formatNtsAnswer = (answer: NtsAnswer): string =>
  wrapped(`${answerText(answer)}  authenticated, ${counted(answer.cookies)} left`)

const counted = (cookies: number): string => `${cookies} ${cookies === 1 ? "cookie" : "cookies"}`
