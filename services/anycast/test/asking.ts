/** A client of a fleet's address, and what became of its requests. */
import type { ChildProcess } from "node:child_process"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { type Fleet, SERVICE } from "@meridian/testkit/fleet"
import { PATIENCE_MS } from "@meridian/testkit/patience"

/** An answer that comes later counts as none: many times what a busy machine takes, and less than a route that is gone for good. */
const ANSWER_MS = 2_000

/** What one asking of the address came to. */
export interface Asked {
  /** When it was asked first, milliseconds since 1970. */
  readonly at: number
  readonly tries: number
  readonly answered: boolean
}

/** Asks the service address for as long as it is not told to stop. */
export class AskingClient {
  readonly asked: Asked[] = []
  private readonly child: ChildProcess

  constructor(fleet: Fleet) {
    const program = join(import.meta.dirname, "asking-client.ts")
    this.child = fleet.start(fleet.client, [process.execPath, program], [SERVICE, String(ANSWER_MS)])
    let rest = ""
    this.child.stdout!.on("data", (chunk) => {
      const lines = (rest + String(chunk)).split("\n")
      rest = lines.pop() ?? ""
      for (const line of lines) this.asked.push(JSON.parse(line) as Asked)
    })
  }

  /** Waits until what is asked from now on has been answered, or not, so many times, and all that was asked before is decided. */
  async more(count: number): Promise<void> {
    const from = Date.now()
    const decided = from + 2 * ANSWER_MS
    const until = performance.now() + PATIENCE_MS
    while (this.asked.filter(({ at }) => at >= from).length < count || (this.asked.at(-1)?.at ?? 0) < decided) {
      if (performance.now() > until) throw new Error("the client has stopped asking")
      await sleep(20)
    }
  }

  /** What was asked since then and not answered at the first try; at no try. */
  troubles(since: number): { readonly repeated: readonly Asked[]; readonly lost: readonly Asked[] } {
    const own = this.asked.filter(({ at }) => at >= since)
    return { repeated: own.filter(({ tries }) => tries > 1), lost: own.filter(({ answered }) => !answered) }
  }
}
