/** A coordinator's plan from words as short as a command line's, for tests. */
import { parseArgs } from "node:util"
import type { CoordinatorPlan } from "@meridian/ipc/coordinator-plan"

const number = (text: string | undefined, factor = 1): number | null =>
  text === undefined ? null : Number(text) * factor

export const planOf = (directory: string, node: string, words: readonly string[]): CoordinatorPlan => {
  const { values } = parseArgs({
    args: [...words],
    options: {
      workers: { type: "string", default: "0" },
      nats: { type: "string", multiple: true, default: [] },
      "nats-nkey-seed": { type: "string" },
      "nats-ca": { type: "string" },
      replicas: { type: "string", default: "1" },
      "log-bytes": { type: "string", default: "1073741824" },
      "cluster-key": { type: "string" },
      mint: { type: "string", default: "nts" },
      rotate: { type: "string" },
      "clock-events": { type: "string" },
      "cookie-keys": { type: "string" },
      // On a slow machine too the keys come first, unless a test wants to see what happens without.
      "ready-limit": { type: "string", default: "3600" },
      "clock-offset": { type: "string", default: "0" }
    }
  })
  return {
    directory,
    node,
    version: "1.0.0",
    workers: Number(values.workers),
    nats:
      values.nats.length === 0
        ? null
        : {
            servers: values.nats.map((url) => url.replace(/^nats:\/\//, "")),
            seedFile: values["nats-nkey-seed"] ?? null,
            authorityFile: values["nats-ca"] ?? null,
            replicas: Number(values.replicas),
            logBytes: Number(values["log-bytes"])
          },
    clusterKeyFile: values["cluster-key"] ?? null,
    clusterKey: null,
    mint: { nts: values.mint.includes("nts"), symmetric: values.mint.includes("symmetric") },
    rotationMs: number(values.rotate, 1_000),
    clockRetention: { ms: null, count: number(values["clock-events"]) },
    cookieKeyFile: values["cookie-keys"] ?? null,
    readyLimitMs: Number(values["ready-limit"]) * 1_000,
    clockOffsetMs: Number(values["clock-offset"]) * 1_000
  }
}
