/**
 * Debian's Prometheus on real nodes: promtool takes the metrics, the rules and what the dashboard asks; alerts fire and clear when
 * a server that a node follows lies, and while a node lacks the keys of the others.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process"
import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { freePort, meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { dashboard, dashboardText } from "../../../infra/observability/dashboard.ts"
import {
  ALERTS,
  type Alerts,
  askPrometheus,
  prometheusArguments,
  prometheusConfiguration,
  prometheusProgram,
  type Targets
} from "../../../infra/observability/prometheus.ts"

const [prometheus, promtool] = [prometheusProgram("prometheus"), prometheusProgram("promtool")]
const available = prometheus !== undefined && promtool !== undefined
if (!available) process.stderr.write("Prometheus: skipped, it is not here (npx node infra/peers/fetch.ts)\n")

/** The process of a node that runs a service. */
const childOf = (node: RunningNode, service: string): number =>
  Number(
    readdirSync("/proc").find((entry) => {
      try {
        const [, parent] = /\) \S (\d+) /.exec(readFileSync(`/proc/${entry}/stat`, "latin1")) ?? []
        const command = readFileSync(`/proc/${entry}/cmdline`, "latin1")
        return Number(parent) === node.process.pid && command.includes(`services/${service}/`)
      } catch {
        return false
      }
    })
  )

/** Seconds from 1900 to 1970. */
const NTP_EPOCH = 2_208_988_800

/** A server of stratum 2 that is as wrong as it is told to be. */
class Liar {
  readonly #socket: Socket = createSocket("udp4")
  offset = 0

  async listen(port: number): Promise<void> {
    this.#socket.on("message", (request, { port: from, address }) => {
      const reply = Buffer.alloc(48)
      const now = (performance.timeOrigin + performance.now()) / 1e3 + NTP_EPOCH + this.offset
      const stamp = (place: number): void => {
        reply.writeUInt32BE(Math.floor(now), place)
        reply.writeUInt32BE(Math.floor((now % 1) * 2 ** 32), place + 4)
      }
      reply.set([0x24, 2, request[2] ?? 0, 0xec])
      reply.writeUInt32BE(0x500, 8)
      reply.writeUInt32BE(0x7f7f0101, 12)
      request.copy(reply, 24, 40, 48)
      for (const place of [16, 32, 40]) stamp(place)
      this.#socket.send(reply, from, address)
    })
    this.#socket.bind(port, "127.0.0.1")
    await once(this.#socket, "listening")
  }

  close(): void {
    this.#socket.close()
  }
}

/** The expressions of the dashboard, with what Grafana puts in for its variables. */
const expressions = (): readonly string[] =>
  (dashboard().panels ?? [])
    .flatMap((panel) => ("targets" in panel ? (panel.targets ?? []) : []))
    .map((target) => String((target as { readonly expr?: string }).expr))
    .map((text) => text.replaceAll("$__rate_interval", "1m").replaceAll("$instance", ".*"))

describe.runIf(available)("Prometheus", () => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-prometheus-"))
  const file = (name: string): string => join(folder, name)
  const liars = [new Liar(), new Liar(), new Liar()]
  const nodes: RunningNode[] = []
  let child: ChildProcess | undefined
  let port: number
  let addresses: readonly string[]

  const ask = <A>(path: string): Promise<A> => askPrometheus<A>(port, path)
  const firing = async (name: string): Promise<readonly string[]> =>
    (await ask<Alerts>("alerts")).alerts
      .filter(({ state, labels }) => state === "firing" && labels["alertname"] === name)
      .map(({ labels }) => labels["instance"] ?? "")
  const soon = { timeout: 2 * PATIENCE_MS, interval: 200 }

  beforeAll(async () => {
    const ports = [await freePort(), await freePort(), await freePort()]
    await Promise.all(liars.map((liar, place) => liar.listen(ports[place]!)))
    addresses = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`]
    for (const [place, address] of addresses.entries()) {
      const sources = place === 0 ? ports.map((one) => `server 127.0.0.1:${one} iburst minpoll 0 maxpoll 0`) : []
      const lines = ["listen 127.0.0.1", "workers 1", "nts enable", `nts port ${await freePort()}`, ...sources]
      writeFileSync(file(`${place}.conf`), [...lines, `control http ${address}`, ""].join("\n"))
      nodes.push(await startNode({ args: ["--config", file(`${place}.conf`)] }))
    }
    // The same rules, without the minutes that they wait before they wake somebody.
    writeFileSync(file("alerts.yml"), readFileSync(ALERTS, "utf8").replaceAll(/^( +for:) .*$/gm, "$1 0s"))
    writeFileSync(
      file("prometheus.yml"),
      prometheusConfiguration({ targets: addresses, rules: file("alerts.yml"), seconds: 1 })
    )
    port = await freePort()
    child = spawn(prometheus!, prometheusArguments(file("prometheus.yml"), folder, port), { stdio: "ignore" })
  })
  afterAll(async () => {
    if (child !== undefined && child.exitCode === null) {
      child.kill("SIGTERM")
      await once(child, "exit")
    }
    for (const node of nodes) await node.stop()
    for (const liar of liars) liar.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const check = (args: readonly string[], input?: string) =>
    spawnSync(promtool!, args, { encoding: "utf8", ...(input === undefined ? {} : { input }) })

  it("scrapes both nodes", async () => {
    await expect
      .poll(
        async () =>
          (await ask<Targets>("targets").catch(() => undefined))?.activeTargets.map(({ health }) => health).join(" "),
        soon
      )
      .toBe("up up")
  })

  it("takes the metrics of a node", async () => {
    const metrics = async (accept: string): Promise<string> =>
      (await fetch(`http://${addresses[0]}/metrics`, { headers: { accept } })).text()
    expect(check(["check", "metrics"], await metrics("text/plain"))).toMatchObject({ status: 0, stderr: "" })
    // promtool's linter reads the plain text alone; Prometheus itself asks for the other and has taken it by now.
    expect(await metrics("application/openmetrics-text")).toMatch(/# EOF\n$/)
  })

  it("takes the rules, each of which fires and clears in its own test", () => {
    expect(check(["check", "rules", ALERTS])).toMatchObject({ status: 0 })
    expect(
      execFileSync(promtool!, ["test", "rules", ALERTS.replace(/\.yml$/, ".test.yml")], { encoding: "utf8" })
    ).toContain("SUCCESS")
  })

  it("takes what the dashboard asks, of metrics that there are", async () => {
    expect(readFileSync(join(ALERTS, "../grafana-dashboard.json"), "utf8")).toBe(dashboardText())
    const rare = [
      "meridian_nts_ke_handshakes_total",
      "meridian_nts_certificate_expiry_timestamp_seconds",
      "meridian_drops_total",
      "meridian_requests_total",
      "meridian_replies_total"
    ]
    const rules = [...readFileSync(ALERTS, "utf8").matchAll(/expr: (.*)$/gm)].map(([, expression = ""]) => expression)
    const asked = [...expressions(), ...rules]
    for (const expression of asked) await ask(`query?query=${encodeURIComponent(expression)}`)
    const names = new Set(asked.flatMap((expression) => expression.match(/meridian_\w+/g) ?? []))
    // What is said of sources comes with the first of them.
    const unknown = async (): Promise<readonly string[]> => {
      const known = new Set([...(await ask<readonly string[]>("label/__name__/values")), ...rare])
      return [...names].filter((name) => !known.has(name))
    }
    await expect.poll(unknown, soon).toEqual([])
  })

  it("warns of a server that lies, until it tells the truth", async () => {
    await expect.poll(() => firing("MeridianUnsynchronised"), soon).not.toContain(addresses[0])
    /** Why it fires, where it does. */
    const falsetickers = async (): Promise<string> =>
      (await firing("MeridianFalseticker")).length === 0
        ? "none"
        : (await meridian(["sources", "-v", "--state", nodes[0]!.state])).stdout
    // A busy machine can make one of these servers seem to run at another rate, which is held against it for half an hour: the
    // clock's process then begins anew.
    for (let attempt = 0; attempt < 5 && (await falsetickers()) !== "none"; attempt += 1) {
      process.kill(childOf(nodes[0]!, "discipline"), "SIGKILL")
      await vi
        .waitUntil(async () => (await falsetickers()) === "none", { timeout: 20_000, interval: 500 })
        .catch(() => {})
    }
    await expect.poll(falsetickers, soon).toBe("none")
    liars[2]!.offset = 3
    await expect.poll(() => firing("MeridianFalseticker"), soon).toEqual([addresses[0]])
    liars[2]!.offset = 0
    await expect.poll(falsetickers, soon).toBe("none")
  })

  it("warns of a node that lacks the newest key, until it has it", async () => {
    const rotate = async (node: RunningNode): Promise<void> =>
      expect(await meridian(["keys", "rotate", "--state", node.state])).toMatchObject({ code: 0 })
    await expect.poll(() => firing("MeridianNtsKeyMissing"), soon).toEqual([])
    await rotate(nodes[1]!)
    await expect.poll(() => firing("MeridianNtsKeyMissing"), soon).toEqual([addresses[0]])
    await rotate(nodes[0]!)
    await expect.poll(() => firing("MeridianNtsKeyMissing"), soon).toEqual([])
  })

  it("warns of a node that is gone", async () => {
    await nodes[1]!.stop()
    await expect.poll(() => firing("MeridianDown"), soon).toEqual([addresses[1]])
  })
})
