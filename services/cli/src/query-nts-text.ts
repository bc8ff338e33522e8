/** What `meridian query --nts` prints for people. */
import { formatAnswer } from "./query.ts"
import type { NtsAnswer, UsedKeys } from "./query-nts.ts"

/** One line about the keys. */
export const formatKeys = (target: { readonly host: string; readonly port: number }, keys: UsedKeys): string => {
  const { certificate } = keys
  const origin =
    certificate === null
      ? "kept from an earlier query"
      : `certificate ${certificate.subject} (${certificate.names}), expires ${certificate.expires}`
  return `keys of ${target.host} port ${target.port}: ${keys.aead}, ${counted(keys.cookies)}, ${origin}; time from ${keys.address} port ${keys.port}`
}

/** One line an answer. */
export const formatNtsAnswer = (answer: NtsAnswer): string =>
  `${formatAnswer(answer)}  authenticated, ${counted(answer.cookies)} left`

const counted = (cookies: number): string => `${cookies} ${cookies === 1 ? "cookie" : "cookies"}`
