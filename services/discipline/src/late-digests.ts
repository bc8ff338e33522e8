/** Digests for keyed sources: there from the start where a line has a key, else loaded when a peer comes with one. */
import type { DigestPort } from "@meridian/auth/mac"

export class LateDigests implements DigestPort {
  /** Undefined while no source has a key: none is looked for then, and no digest made. */
  port: DigestPort | undefined

  constructor(port: DigestPort | undefined) {
    this.port = port
  }

  readonly supports: DigestPort["supports"] = (algorithm) => this.port?.supports(algorithm) === true

  readonly digest: DigestPort["digest"] = (...given) => {
    if (this.port === undefined) throw new Error("no source has a key, and yet a digest is to be made")
    return this.port.digest(...given)
  }
}
