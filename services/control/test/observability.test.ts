/** `npm run observability`: Prometheus beside the development cluster, up and down again. Half a minute: MERIDIAN_LONG=1. */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { freePort } from "@meridian/testkit/running-node"
import { expect, it } from "vitest"
import { prometheusProgram } from "../../../infra/observability/prometheus.ts"

const PROGRAM = join(import.meta.dirname, "../../../infra/observability/observability.ts")
const isLong = process.env["MERIDIAN_LONG"] === "1"
const available =
  isLong &&
  peersAvailable("npm run observability", ["nats-server-2.10"]) &&
  prometheusProgram("prometheus") !== undefined

it.runIf(available)("starts Prometheus on three nodes, and leaves nothing behind", async () => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-observability-"))
  const [directory, cluster] = [join(folder, "prometheus"), join(folder, "cluster")]
  const ntp = await freePort()
  const ports = ["--port", String(await freePort()), "--ntp-port", String(ntp), "--nats-port", String(ntp + 8_000)]
  const run = (verb: string) =>
    spawnSync(process.execPath, [PROGRAM, verb, "--directory", directory, "--cluster-directory", cluster, ...ports], {
      encoding: "utf8"
    })
  try {
    const up = run("up")
    expect([up.status, up.stderr]).toEqual([0, ""])
    expect(up.stdout.match(/^node {8}127\.0\.0\.1:\d+ {2}up$/gm)).toHaveLength(3)
    expect(run("status").status).toBe(0)
  } finally {
    expect(run("down").status).toBe(0)
    expect([existsSync(directory), existsSync(cluster)]).toEqual([false, false])
    rmSync(folder, { recursive: true })
  }
})

it("says what it expects", () => {
  const { status, stderr } = spawnSync(process.execPath, [PROGRAM, "sideways"], { encoding: "utf8" })
  expect([status, stderr]).toEqual([2, "observability: expected one of up, status, down\n"])
})
