/** Three networks in a row: the middle one has a cable to each other. */
import { NetworkNamespace } from "@meridian/testkit/network-namespace"
import type { Stage } from "./stage.ts"

export const ALICE = "192.0.2.1"
export const BOB = { towardsAlice: "192.0.2.2", towardsCarol: "198.51.100.2" }
const CAROL = "198.51.100.3"

export const threeNetworks = (stage: Stage) => {
  const [alice, bob, carol] = [new NetworkNamespace(), new NetworkNamespace(), new NetworkNamespace()]
  stage.atEnd(async () => {
    for (const network of [alice, bob, carol]) network.remove()
  })
  bob.connect(alice, [`${BOB.towardsAlice}/24`], [`${ALICE}/24`])
  bob.connect(carol, [`${BOB.towardsCarol}/24`], [`${CAROL}/24`])
  return { alice, bob, carol }
}
