/** What a test with real processes needs and leaves nothing of: a folder, servers, processes. Each test has its own. */
import type { DisciplineConfiguration } from "@meridian/observability/discipline-report"
import { type FakeAnswer, type FakeServer, startFakeServer } from "./fake-server.ts"
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

  async chronyd(address: string, lines: readonly string[] = []): Promise<RunningServer> {
    return this.keep(await startChronyd(this.folder, address, lines))
  }

  /** Fake servers on 127.0.1.1, 127.0.1.2, …, each with one answer to everything. */
  async fakes(...answers: readonly FakeAnswer[]): Promise<readonly FakeServer[]> {
    const starting = answers.map((answer, index) => startFakeServer(`127.0.1.${index + 1}`, () => answer))
    return (await Promise.all(starting)).map((server) => this.keep(server))
  }

  async start(change: Partial<DisciplineConfiguration> = {}, namespace?: string): Promise<RunningDiscipline> {
    const discipline = await startDiscipline(this.folder, change, namespace)
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

/** A test's body with a stage of its own, which is cleared whatever happens. */
export const onStage = (body: (stage: Stage) => Promise<void>) => async (): Promise<void> => {
  const stage = new Stage()
  try {
    await body(stage)
  } finally {
    await stage.end()
  }
}
