/**
 * Nonces for READ_MRU: whoever sends one back can receive at the address that it was given to. Made of the time and a keyed
 * hash of time and address, so nothing is kept per client; good for 16 seconds, as ntpd's.
 */
import * as onUse from "@meridian/system/on-use"

const LIFE_SECONDS = 16
const DIGEST_DIGITS = 16

export class Nonces {
  #madeSecret: Uint8Array | undefined

  /** @param address numeric; the port is left out, as ntpq may ask from another @param now seconds of any steady clock */
  make(address: string, now: number): string {
    const at = Math.floor(now).toString(16).padStart(8, "0")
    return `${at}${this.#digest(address, at)}`
  }

  accepts(nonce: string, address: string, now: number): boolean {
    if (!/^[0-9a-f]{24}$/.test(nonce)) return false
    const at = nonce.slice(0, 8)
    const age = now - Number.parseInt(at, 16)
    return age >= 0 && age <= LIFE_SECONDS && nonce.slice(8) === this.#digest(address, at)
  }

  get #secret(): Uint8Array {
    return (this.#madeSecret ??= onUse.crypto().randomBytes(32))
  }

  #digest(address: string, at: string): string {
    return onUse
      .crypto()
      .createHmac("sha256", this.#secret)
      .update(`${at} ${address}`)
      .digest("hex")
      .slice(0, DIGEST_DIGITS)
  }
}
