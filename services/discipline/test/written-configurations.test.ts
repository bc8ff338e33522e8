/**
 * Configuration files as others write them: what NTPsec's NTS guides have people write, what Debian packages, and what
 * Meridian packages itself. Each is used as it stands, but for host names and for paths that lead elsewhere.
 */
import { execFile } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { makeCertificate } from "@meridian/testkit/certificates"
import { describe, expect, it } from "vitest"
import { until } from "./answers.ts"
import type { SourceReport, TrackingReport } from "@meridian/ipc/discipline-report"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { startChronyd, startNtpsec } from "./real-upstreams.ts"
import { makeFolder } from "./running-discipline.ts"

const suite = "written configurations"
const namespaces = canMakeNamespaces(suite)
const available = peersAvailable(suite, ["chronyd-4.3", "ntpsec-ntpd"]) && namespaces
const root = resolve(import.meta.dirname, "../../..")
const cli = join(root, "services/cli/bin/meridian.mjs")
const guide = (name: string): string => readFileSync(join(import.meta.dirname, "fixtures", name), "utf8")
const PORT = 11123

class Stage {
  readonly folder = makeFolder()
  readonly network = new NetworkNamespace()
  readonly namespace = this.network.name
  readonly key = this.folder.file("privkey.pem")
  readonly certificate = this.folder.file("fullchain.pem")
  private readonly ending: (() => Promise<unknown>)[] = []

  constructor() {
    makeCertificate({ key: this.key, certificate: this.certificate, names: "DNS:localhost" })
  }

  keep<A extends { readonly stop: () => Promise<unknown> }>(running: A): A {
    this.ending.unshift(() => running.stop())
    return running
  }

  /** A file with its paths led here, its sources replaced, and more lines behind it. */
  local(name: string, text: string, source: string, lines: readonly string[] = []): string {
    const path = this.folder.file(name)
    const [first, ...others] = text.split("\n").filter((line) => line.startsWith("server "))
    const here = text
      .replace(first!, source)
      .replace(others.join("\n"), "")
      .replaceAll(/\/etc\/letsencrypt\/live\/ntp\.example\.com\//g, `${this.folder.path}/`)
      .replace("/etc/ssl/certs/ca-certificates.crt", this.certificate)
      .replaceAll(/\/var\/(?:lib|log)\/ntpsec\//g, `${this.folder.path}/`)
    writeFileSync(path, [here, ...lines, ""].join("\n"))
    return path
  }

  async node(file: string, port: number): Promise<RunningNode> {
    const args = ["--config", file, "--workers", "1"]
    return this.keep(await startNode({ args, port, within: this.network.within }))
  }

  /** What `meridian query --json` finds at a port. */
  async query(port: number): Promise<Record<string, unknown> | undefined> {
    const line = [...this.network.within, process.execPath, cli, "query", `127.0.0.1:${port}`, "--json"]
    const text = await new Promise<string>((done) =>
      execFile(line[0]!, line.slice(1), { timeout: PATIENCE_MS }, (_error, stdout) => done(stdout))
    )
    return (JSON.parse(text) as { readonly answers: readonly Record<string, unknown>[] }).answers[0]
  }

  async end(): Promise<void> {
    for (const stop of this.ending) await stop()
    this.network.remove()
    this.folder.remove()
  }
}

const onStage = (body: (stage: Stage) => Promise<void>) => async (): Promise<void> => {
  const stage = new Stage()
  try {
    await body(stage)
  } finally {
    await stage.end()
  }
}
const asked = async <A>(node: RunningNode, command: string): Promise<A> => {
  const { stdout } = await meridian([command, "--state", node.state, "--json"])
  return JSON.parse(stdout) as A
}
/** Every complaint about the file is a warning, about a `restrict` line or the records without a `statsdir`. */
const warnsOfRestrictAlone = (node: RunningNode): void => {
  const complaints = node.stderr().match(/^.*\.conf:\d+:\d+: .*$/gm) ?? []
  expect(complaints.filter((line) => !/: warning: (?:'restrict'|no line says statsdir)/.test(line))).toEqual([])
}
const follows = async (client: RunningNode): Promise<SourceReport> => {
  const [source] = await until(
    () => asked<readonly SourceReport[]>(client, "sources"),
    ([it]) => it?.verdict === "system-peer"
  )
  return source!
}

describe.runIf(available)("the files of NTPsec's NTS guides", () => {
  it(
    "a node with the server's file serves a node with the client's file",
    onStage(async (stage) => {
      const nts = [`ntsserverkey ${stage.key}`, `ntsservercert ${stage.certificate}`, "ntsport 4461"]
      const place = { namespace: stage.namespace, port: PORT }
      stage.keep(await startChronyd(stage.folder, "127.0.0.1", [...nts, `ntsdumpdir ${stage.folder.path}`], 2, place))
      const upstream = `server localhost:4461 nts ca ${stage.certificate} iburst minpoll 3`
      const server = await stage.node(stage.local("server.conf", guide("ntpsec-nts-server.conf"), upstream), 123)
      warnsOfRestrictAlone(server)
      expect(server.stdout()).toMatch(/^ {2}nts +key exchange on tcp 4460$/m)
      expect(await follows(server)).toMatchObject({ stratum: 2, authentication: { kind: "nts" } })
      const source = "server localhost nts iburst minpoll 3"
      const client = await stage.node(stage.local("client.conf", guide("ntpsec-nts-client.conf"), source), 1123)
      warnsOfRestrictAlone(client)
      expect(await follows(client)).toMatchObject({ stratum: 3, authentication: { kind: "nts" } })
      expect(await stage.query(1123)).toMatchObject({ stratum: 4, synchronised: true })
      const replied = async () => ((await server.status()) as unknown as { totals: { replied: number } }).totals.replied
      // Workers report once a second.
      expect(await until(replied, (count) => count > 2)).toBeGreaterThan(2)
    })
  )

  it(
    "NTPsec's ntpd with the server's file serves a node with the client's file",
    onStage(async (stage) => {
      const file = stage.local("server.conf", guide("ntpsec-nts-server.conf"), "")
      stage.keep(await startNtpsec(stage.folder, stage.namespace, [`includefile ${file}`]))
      // A server that has just begun claims little.
      const lines = ["tos maxdist 16"]
      const source = "server localhost nts iburst minpoll 3"
      const client = await stage.node(stage.local("client.conf", guide("ntpsec-nts-client.conf"), source, lines), PORT)
      warnsOfRestrictAlone(client)
      const { authentication } = await follows(client)
      expect(authentication).toMatchObject({ kind: "nts" })
      expect(authentication.kind === "nts" && authentication.cookies).toBeGreaterThanOrEqual(7)
      expect(await stage.query(PORT)).toMatchObject({ stratum: 7, synchronised: true })
    })
  )
})

const packaged = [
  ["Meridian's own", "infra/packaging/ntp.conf", "0.pool.ntp.org"],
  ["Debian's for ntpsec", "libs/config/test/fixtures/debian-12-ntpsec.conf", "0.debian.pool.ntp.org"],
  ["Debian's for classic ntp", "libs/config/test/fixtures/debian-11-ntp.conf", "0.debian.pool.ntp.org"]
] as const

describe.runIf(namespaces)("a packaged file, where nothing can be reached", () => {
  it.each(packaged)("%s: says what it waits for, goes on trying, and vouches for nothing", (_name, file, pool) =>
    onStage(async (stage) => {
      const node = await stage.node(join(root, file), PORT)
      warnsOfRestrictAlone(node)
      expect(node.stdout()).toMatch(
        new RegExp(`^ {2}clock +asking ${pool}, .*; answers nobody until it has time, .*$`, "m")
      )
      const { waitingFor, state, stratum } = await until(
        () => asked<TrackingReport>(node, "tracking"),
        (it) => it.waitingFor.length === 4
      )
      expect({ state, stratum }).toEqual({ state: "unset", stratum: 16 })
      expect(waitingFor[0]).toMatch(/^the address of \d\S*\.pool\.ntp\.org: no /)
      // Nothing at all for the first half minute, and then that it has no time.
      expect([undefined, 3]).toContain((await stage.query(PORT))?.leap)
      const status = await node.status()
      expect(status).toMatchObject({ clock: { source: "none", synchronised: false, stratum: 16, leap: 3 } })
      // What a name server says may be another word between two questions.
      const both = async () => [
        (await node.status())["waitingFor"],
        (await asked<TrackingReport>(node, "tracking")).waitingFor
      ]
      await until(both, ([shown, told]) => isDeepStrictEqual(shown, told))
      const { stdout } = await meridian(["status", "--state", node.state])
      expect(stdout).toMatch(/UNSYNCHRONISED[^]*waiting for the address of/)
      expect(node.stderr()).toMatch(new RegExp(`${pool} cannot be looked up: .*; it is tried again`))
    })()
  )
})

describe("a node without a file", () => {
  it("serves this machine's own clock and says clearly that nobody checks it", async () => {
    const node = await startNode({ args: ["--workers", "1", "--listen", "127.0.0.1"] })
    try {
      expect(node.stdout()).toMatch(
        /^ {2}clock +this system's own clock as a local reference, stratum 10: no upstream/m
      )
      expect(node.stdout()).toMatch(
        /^ {2}note +nobody checks this clock; --config FILE names[^]*infra\/packaging\/ntp\.conf/m
      )
      const status = await until(node.status, (it) => (it["clock"] as { source: string }).source !== "none")
      expect(status).toMatchObject({
        clock: { source: "local-reference", synchronised: true, stratum: 10 },
        waitingFor: []
      })
    } finally {
      await node.stop()
    }
  })
})
