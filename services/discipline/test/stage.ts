/** What a test with real processes needs and leaves nothing of: a folder, servers, processes. Each test has its own. */
import { makeCertificate } from "@meridian/testkit/certificates"
import { closeClockPage, makeClockPage } from "@meridian/clocks/clock-page"
import type { DisciplineConfiguration, UpstreamConfiguration } from "@meridian/ipc/discipline-report"
import { type FakeAnswer, type FakeServer, startFakeServer } from "./fake-server.ts"
import { freePort } from "@meridian/testkit/running-node"
import { type RunningServer, startChronyd } from "./real-upstreams.ts"
import { type Folder, makeFolder, type RunningDiscipline, startDiscipline, upstream } from "./running-discipline.ts"

export class Stage {
  readonly folder: Folder = makeFolder()
  private readonly ending: (() => Promise<unknown>)[] = []

  /** A server to be stopped at the end. */
  keep<A extends RunningServer>(server: A): A {
    this.ending.push(server.stop)
    return server
  }

  /** Something to be done at the end. */
  atEnd(end: () => Promise<unknown>): void {
    this.ending.push(end)
  }

  /** Something to be done before what was told so far. */
  atFirst(end: () => Promise<unknown>): void {
    this.ending.unshift(end)
  }

  async chronyd(
    address: string,
    lines: readonly string[] = [],
    program: "chronyd-4.3" | "chronyd-newest" = "chronyd-4.3"
  ): Promise<RunningServer> {
    return this.keep(await startChronyd(this.folder, address, lines, undefined, undefined, program))
  }

  /** With NTS under a certificate of its own, and what a source with it is configured with. */
  async chronydWithNts(
    address: string
  ): Promise<{ readonly server: RunningServer; readonly nts: NonNullable<UpstreamConfiguration["nts"]> }> {
    const [key, certificate] = [this.folder.file("key.pem"), this.folder.file("certificate.pem")]
    makeCertificate({ key, certificate, names: `DNS:localhost,IP:${address}` })
    const port = await freePort()
    const server = await this.chronyd(address, [
      `ntsserverkey ${key}`,
      `ntsservercert ${certificate}`,
      `ntsport ${port}`,
      `ntsdumpdir ${this.folder.path}`
    ])
    return { server, nts: { host: null, port, ca: certificate, noval: false, aead: null } }
  }

  /** Fake servers on 127.0.1.1, 127.0.1.2, …, each with one answer to everything, or one that is asked for each time. */
  async fakes(...answers: readonly (FakeAnswer | (() => FakeAnswer))[]): Promise<readonly FakeServer[]> {
    const starting = answers.map((answer, index) =>
      startFakeServer(`127.0.1.${index + 1}`, () => (typeof answer === "function" ? answer() : answer))
    )
    return (await Promise.all(starting)).map((server) => this.keep(server))
  }

  async start(change: Partial<DisciplineConfiguration> = {}, namespace?: string): Promise<RunningDiscipline> {
    const discipline = await startDiscipline(this.folder, change, namespace)
    this.ending.unshift(() => discipline.stop())
    return discipline
  }

  /** As in another node: with a page of its own. */
  async startAnew(change: Partial<DisciplineConfiguration> = {}): Promise<RunningDiscipline> {
    const page = makeClockPage()
    this.ending.push(async () => closeClockPage(page))
    const discipline = await startDiscipline({ ...this.folder, page }, change)
    this.ending.unshift(() => discipline.stop())
    return discipline
  }

  /** The process with these servers as its sources. */
  async follow(
    servers: readonly RunningServer[],
    change: Partial<DisciplineConfiguration> = {}
  ): Promise<RunningDiscipline> {
    return this.start({ sources: servers.map(({ address, port }) => upstream(address, port)), ...change })
  }

  async end(): Promise<void> {
    for (const end of this.ending) await end()
    this.folder.remove()
  }
}

/** Makes of a test's body a test with a stage of its own, which is cleared whatever happens. */
export const onStageOf =
  <A extends { readonly end: () => Promise<void> }>(make: () => A) =>
  (body: (stage: A) => Promise<void>) =>
  async (): Promise<void> => {
    const stage = make()
    try {
      await body(stage)
    } finally {
      await stage.end()
    }
  }

export const onStage = onStageOf(() => new Stage())
