/** A node and, beside it, the daemon that each version of ntpq came with: asked by the same ntpq, from the same servers. */
import { afterAll, beforeAll } from "vitest"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { type Daemon, startNtpd } from "./daemons.ts"
import { ntpqPairs } from "./ntpq.ts"
import { CONTROL_KEY, type Stage, startStage } from "./stage.ts"

/** @param suite its name, for what is said where it cannot run */
export const stageBesideDaemons = (suite: string) => {
  const isAvailable =
    peersAvailable(suite, ["chronyd-4.3", ...ntpqPairs.flatMap(({ ntpq, ntpd }) => [ntpq, ntpd])]) &&
    canMakeNamespaces(suite)
  const running: { stage?: Stage } = {}
  const daemons = new Map<string, Daemon>()
  beforeAll(async () => {
    if (!isAvailable) return
    running.stage = await startStage()
    for (const { ntpd } of ntpqPairs) daemons.set(ntpd, startNtpd(running.stage, ntpd, CONTROL_KEY))
  })
  afterAll(async () => {
    for (const daemon of daemons.values()) await daemon.stop()
    await running.stage?.stop()
  })
  return {
    isAvailable,
    daemons,
    /** Once the tests run. */
    get stage(): Stage {
      if (running.stage === undefined) throw new Error("the stage is not there yet")
      return running.stage
    }
  }
}
