/**
 * Certificates judged at a moment of the caller's choosing. node:tls knows CLOCK_REALTIME alone: on a machine that starts in
 * 1970 no certificate is valid yet, and without one there is no NTS to tell it what time it is.
 */
import { isIP } from "node:net"
import type { TLSSocket } from "node:tls"
import { loadNative } from "@meridian/system/native"

/** By when certificates are judged. */
export interface CertificateTime {
  /** Unix seconds: served time, or the best guess while there is none. */
  readonly unix: number
  /**
   * Undefined where that is known. Otherwise a certificate may pass for now whose only fault are its dates, unless it had
   * expired by this moment: it is later than that for sure. Unix seconds; -Infinity where nothing is known.
   */
  readonly notBefore: number | undefined
}

export interface ShownChain {
  /** DER, the server's own first. */
  readonly chain: readonly Uint8Array[]
  /** PEM. */
  readonly roots: Uint8Array
  /** A DNS name or a numeric address. */
  readonly name: string
}

type JudgedChain =
  | { readonly _tag: "Good" }
  /** Its only fault are its dates, and nobody knows the time yet. */
  | { readonly _tag: "Provisional" }
  | { readonly _tag: "Bad"; readonly reason: "certificate" | "dates"; readonly what: string }

const MOST_CERTIFICATES = 32

/** Whether certificates can be judged by another clock than CLOCK_REALTIME here. */
export const canJudge = (): boolean => loadNative().addon?.certificateFault !== undefined

/** The certificates that the other side of a connection showed, as far as they lead up. */
export const chainOf = (socket: TLSSocket): readonly Uint8Array[] => {
  const chain: Uint8Array[] = []
  let shown = socket.getPeerCertificate(true)
  for (let count = 0; shown?.raw !== undefined && count < MOST_CERTIFICATES; count += 1) {
    chain.push(new Uint8Array(shown.raw))
    if (shown.issuerCertificate === shown) break
    shown = shown.issuerCertificate
  }
  return chain
}

/** Judges a chain. To be called only where {@link canJudge} says so. */
export const judgeChain = ({ chain, roots, name }: ShownChain, { unix, notBefore }: CertificateTime): JudgedChain => {
  const { addon } = loadNative()
  const fault = (moment: number): string =>
    addon?.certificateFault?.(chain, roots, name, isIP(name) !== 0, moment) ?? "it cannot be judged here"
  const now = fault(unix)
  if (now === "") return { _tag: "Good" }
  const timeless = fault(Number.NaN)
  if (timeless !== "") return { _tag: "Bad", reason: "certificate", what: timeless }
  const at = new Date(unix * 1e3).toISOString()
  if (notBefore === undefined) return { _tag: "Bad", reason: "dates", what: `${now} at ${at}` }
  if (Number.isFinite(notBefore) && fault(notBefore).includes("expired"))
    return { _tag: "Bad", reason: "dates", what: `${now}: it had expired when this node last knew the time` }
  return { _tag: "Provisional" }
}
