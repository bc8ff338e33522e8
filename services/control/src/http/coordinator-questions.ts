/**
 * What the coordinator alone knows, asked for over its socket: the cluster, and what was true at a moment. Nothing else of that
 * door is reached from here, which gives keys away and takes commands.
 */
import { request } from "node:http"
import { join } from "node:path"

const SOCKET_NAME = "coordinator.sock"
const PATIENCE_MS = 5_000
const LONGEST_ANSWER = 4 << 20
/** At the same time; explaining reads the log. */
const MOST_QUESTIONS = 4

export interface CoordinatorAnswer {
  readonly status: number
  /** JSON. */
  readonly body: string
}

const problem = (status: number, message: string): CoordinatorAnswer => ({
  status,
  body: JSON.stringify({ error: { message } })
})

export class CoordinatorQuestions {
  readonly #path: string
  #open = 0

  constructor(stateDirectory: string) {
    this.#path = join(stateDirectory, SOCKET_NAME)
  }

  state(): Promise<CoordinatorAnswer> {
    return this.#ask("/state")
  }

  /** @param at as the coordinator reads it; undefined for now */
  explain(at: string | undefined): Promise<CoordinatorAnswer> {
    return this.#ask(at === undefined ? "/explain" : `/explain?at=${encodeURIComponent(at)}`)
  }

  async #ask(path: "/state" | `/explain${string}`): Promise<CoordinatorAnswer> {
    if (this.#open >= MOST_QUESTIONS) return problem(503, "too many questions at once; ask again")
    this.#open += 1
    try {
      return await this.#read(path)
    } finally {
      this.#open -= 1
    }
  }

  #read(path: string): Promise<CoordinatorAnswer> {
    return new Promise((done) => {
      const silent = problem(503, "the coordinator does not answer; ask again")
      const asking = request({ socketPath: this.#path, path, agent: false, timeout: PATIENCE_MS }, (response) => {
        const chunks: Buffer[] = []
        let length = 0
        response.on("data", (chunk: Buffer) => {
          length += chunk.length
          chunks.push(chunk)
          if (length > LONGEST_ANSWER) {
            response.destroy()
            done(problem(502, `the answer is longer than ${LONGEST_ANSWER} bytes; ask with meridian explain`))
          }
        })
        response.on("end", () =>
          done({ status: response.statusCode ?? 502, body: Buffer.concat(chunks).toString("utf8") })
        )
        response.on("error", () => done(silent))
      })
      asking.on("timeout", () => asking.destroy())
      asking.on("error", () => done(silent))
      asking.end()
    })
  }
}
