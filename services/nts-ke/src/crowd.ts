/**
 * Who is connected, by network and in the order of their coming. When all places are taken, the one that came first of the
 * network that holds most makes way: whoever holds places on purpose holds many, and others are done within moments.
 */
import { addressKey } from "./admission.ts"

/** The network of an address: an IPv4 /24 or an IPv6 /48, what one customer may have. */
export const networkOf = (address: string | undefined): string => {
  const key = addressKey(address)
  const dot = key.lastIndexOf(".")
  return dot === -1 ? key.slice(0, 12) : key.slice(0, dot)
}

export class Crowd {
  /** Addresses as the socket gave them, one for each connection, oldest first. */
  private readonly networks = new Map<string, Array<string | undefined>>()
  /** Connections by address that have been told to make way and are not gone yet. */
  private readonly leaving = new Map<string | undefined, number>()

  enter(address: string | undefined): void {
    const network = networkOf(address)
    const known = this.networks.get(network)
    if (known === undefined) this.networks.set(network, [address])
    else known.push(address)
  }

  /** A connection of the address is gone: the one that was to make way first. */
  leave(address: string | undefined): void {
    const told = this.leaving.get(address) ?? 0
    if (told > 1) this.leaving.set(address, told - 1)
    else if (told === 1) this.leaving.delete(address)
    else this.remove(networkOf(address), address)
  }

  /** Whose oldest connection is to make way; it does not count any more. Undefined where nobody is connected. */
  oldestOfMost(): { readonly address: string | undefined } | undefined {
    let most: readonly [string, Array<string | undefined>] | undefined
    for (const each of this.networks) if (most === undefined || each[1].length > most[1].length) most = each
    if (most === undefined) return undefined
    const [address] = most[1]
    this.remove(most[0], address)
    this.leaving.set(address, (this.leaving.get(address) ?? 0) + 1)
    return { address }
  }

  private remove(network: string, address: string | undefined): void {
    const known = this.networks.get(network)
    const at = known?.indexOf(address) ?? -1
    if (known === undefined || at === -1) return
    known.splice(at, 1)
    if (known.length === 0) this.networks.delete(network)
  }
}
