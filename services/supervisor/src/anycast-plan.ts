/** From the lines about anycast to what the node holds and what its announcing process works by. */
import { resolve } from "node:path"
import { networkOf } from "@meridian/config/address"
import type { ServiceAddress, Settings } from "@meridian/config"
import type { AnycastPlan } from "./node-plan.ts"

/** The prefix as routers write it, its host bits cleared. */
const prefixOf = ({ address, length }: ServiceAddress): string => `${networkOf({ address, length }).text}/${length}`

export const anycastPlan = ({ anycast, nts, port }: Settings): AnycastPlan | undefined => {
  const { addresses, device, birdSocket, birdProtocols, exabgpSocket, frrAs, vtysh, script } = anycast
  if (addresses.length === 0) return undefined
  return {
    addresses: addresses.map(({ value: { address } }) => ({
      address: address.text,
      bytes: Uint8Array.from(address.bytes)
    })),
    device: device.value,
    settings: {
      addresses: addresses.map(({ value }) => ({ address: value.address.text, prefix: prefixOf(value) })),
      probes: nts.exchangeOnly.value ? ["127.0.0.1"] : addresses.map(({ value: { address } }) => address.text),
      port: port.value,
      exchangeOnly: nts.exchangeOnly.value,
      bird:
        birdSocket.value === undefined
          ? null
          : { socket: resolve(birdSocket.value), protocols: birdProtocols.map(({ value }) => value) },
      exabgp: exabgpSocket.value === undefined ? null : { socket: resolve(exabgpSocket.value) },
      frr: frrAs.value === undefined ? null : { as: frrAs.value, vtysh: resolve(vtysh.value) },
      script: script.value === undefined ? null : resolve(script.value),
      rise: anycast.rise.value,
      fall: anycast.fall.value,
      maximumError: anycast.maximumError.value,
      maximumRate: anycast.maximumRate.value ?? null
    }
  }
}
