/**
 * The server secret that cookies are computed with (RFC 5906 §11.4; `sys_private` of the reference, which begins with 0). It is
 * drawn from the generations of the NTS master keys: they are random, reach every node sealed, come before they are used, overlap and
 * rotate. So a client that got its cookie from one node behind an address goes on with any other.
 *
 * A cookie has 32 bits, and whoever has one can find the secret by trying; of the master key it tells nothing, because the
 * secret is a hash of it.
 */
import type { Generation } from "../nts/key-ring.ts"
import { type DigestPort, MAXIMUM_DIGEST_BYTES } from "../symmetric/mac.ts"

/** One generation's secret. */
export interface ServerSecret {
  /** 32 bits */
  readonly value: number
  /** Unix seconds from which cookies are made with it. */
  readonly activation: number
  /** Unix seconds from which it is not taken any more. */
  readonly retirement: number
}

const LABEL = Uint8Array.from("Autokey server secret", (character) => character.charCodeAt(0))

/** The secrets of a key ring's generations, revoked ones left out; in no order. */
export const serverSecrets = (generations: readonly Generation[], digests: DigestPort): readonly ServerSecret[] => {
  const digest = new Uint8Array(MAXIMUM_DIGEST_BYTES)
  const view = new DataView(digest.buffer)
  return generations
    .filter(({ revoked }) => !revoked)
    .map(({ key, activation, retirement }) => {
      digests.digest("SHA256", key, LABEL, 0, LABEL.length, digest)
      return { value: view.getUint32(0), activation, retirement }
    })
}

/** How long the secret before the current one is taken, seconds: the longest poll interval of a client, 2^10 s, and some. */
const OVERLAP_SECONDS = 1_100

/** The secrets in use at a moment. */
export class SecretRing {
  /** What cookies are made with; undefined where there is none. */
  current: number | undefined
  /** What a client's cookie may have been made with a moment ago. */
  previous: number | undefined
  private readonly secrets: readonly ServerSecret[]

  constructor(secrets: readonly ServerSecret[]) {
    this.secrets = secrets.toSorted((a, b) => b.activation - a.activation)
  }

  /** @param now Unix seconds */
  useAt(now: number): void {
    this.current = undefined
    this.previous = undefined
    let since = 0
    for (const { value, activation, retirement } of this.secrets) {
      if (activation > now || retirement <= now) continue
      if (this.current === undefined) {
        this.current = value
        since = activation
      } else {
        if (now - since < OVERLAP_SECONDS) this.previous = value
        return
      }
    }
  }
}
