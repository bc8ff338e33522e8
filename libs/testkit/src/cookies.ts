/** Cookies one by one, as tests make and open them; nodes seal and open those of a whole batch at once. */
import type { Aead } from "@meridian/auth/aead"
import { batchOver } from "@meridian/auth/aead-noble"
import {
  COOKIE_AD_BYTES,
  COOKIE_AEAD,
  cookieAead,
  cookieGeneration,
  CookieOffset,
  sealCookies,
  type SessionKeys
} from "@meridian/auth/cookie"
import type { Generation, KeyRing, Refusal } from "@meridian/auth/key-ring"

/** Why a cookie does not open. `malformed`: not one of ours; `forged`: ours in shape, but the tag does not verify. */
export type CookieRefusal = "malformed" | "forged" | Refusal

/** One cookie. `sealing` is an implementation of {@link COOKIE_AEAD}. */
export const sealCookie = (
  sealing: Aead,
  generation: Generation,
  keys: SessionKeys,
  nonce: Uint8Array
): Uint8Array<ArrayBuffer> =>
  sealCookies(batchOver("reference", new Map([[COOKIE_AEAD, sealing]])), generation, keys, nonce)[0]!

/** Opens one cookie at a moment (Unix seconds). Never throws on bad bytes. */
export const openCookie = (
  sealing: Aead,
  ring: KeyRing,
  cookie: Uint8Array,
  now: number
): SessionKeys | CookieRefusal => {
  const view = new DataView(cookie.buffer, cookie.byteOffset, cookie.byteLength)
  const aead = cookieAead(view, 0, cookie.length)
  if (aead === undefined) return "malformed"
  const generation = ring.accept(cookieGeneration(view, 0), now)
  if (typeof generation === "string") return generation
  const secrets = new Uint8Array(2 * aead.keyBytes)
  const nonce = cookie.subarray(CookieOffset.nonce, CookieOffset.sealed)
  const ad = cookie.subarray(0, COOKIE_AD_BYTES)
  return sealing.open(generation.key, nonce, ad, cookie.subarray(CookieOffset.sealed), secrets)
    ? { aead, c2s: secrets.slice(0, aead.keyBytes), s2c: secrets.slice(aead.keyBytes) }
    : "forged"
}
