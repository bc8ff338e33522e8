/**
 * BIRD 2, over its control socket: the route's own protocol is enabled and disabled, the session stays up. So the route is gone
 * within a tenth of a second and back within one, where a session would take three. The connection stays open: its end says
 * that the daemon ended, and what it was told is told anew to its successor.
 */
import { createConnection, type Socket } from "node:net"
import { reasonOf } from "@meridian/system/errno-words"
import { errnoName } from "@meridian/system/native"
import { type Announcer, AnnouncerTrouble } from "../announcer.ts"
import { type BirdAnswer, BirdReader, refusalOf } from "./bird-protocol.ts"

/** A daemon that is busy with a full table answers late. */
const ANSWER_MS = 5_000

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket: is BIRD running, and is this its control socket?",
  ECONNREFUSED: "nobody listens there: is BIRD running?",
  EACCES: "this user may not open it: add it to BIRD's group, or start BIRD with that of the node (bird -g)"
}

interface Question {
  readonly resolve: (answer: BirdAnswer) => void
  readonly reject: (error: AnnouncerTrouble) => void
}

interface Connection {
  readonly socket: Socket
  readonly questions: Question[]
}

interface BirdOptions {
  readonly socket: string
  readonly protocols: readonly string[]
  /** Told when a daemon that was there has ended. */
  readonly onLost: () => void
}

export class BirdAnnouncer implements Announcer {
  readonly name = "BIRD"
  private readonly options: BirdOptions
  private open: Promise<Connection> | undefined

  constructor(options: BirdOptions) {
    this.options = options
  }

  async apply(announced: boolean): Promise<void> {
    for (const protocol of this.options.protocols) {
      const refusal = refusalOf(await this.ask(`${announced ? "enable" : "disable"} "${protocol}"`))
      if (refusal !== undefined)
        throw new AnnouncerTrouble(`BIRD does not ${announced ? "enable" : "disable"} ${protocol}: ${refusal}`)
    }
  }

  /** A session with graceful restart keeps the route at the neighbour when this BIRD is killed. */
  async advice(): Promise<readonly string[]> {
    const { lines } = await this.ask("show protocols all")
    let isLocal = false
    const restarts = lines.some(({ text }) => {
      if (/^\s*(Local|Neighbor) capabilities/.test(text)) isLocal = /Local/.test(text)
      return isLocal && /^\s*Restart time:/.test(text)
    })
    return restarts
      ? [
          "BIRD has graceful restart on: when it is killed or hangs, its neighbours go on sending clients here; say 'graceful restart aware' or 'graceful restart off' in its bgp protocol"
        ]
      : []
  }

  close(): void {
    const { open } = this
    this.open = undefined
    void open?.then(({ socket }) => socket.destroy()).catch(() => {})
  }

  private async ask(command: string): Promise<BirdAnswer> {
    const { socket, questions } = await (this.open ??= this.connect())
    return new Promise<BirdAnswer>((resolve, reject) => {
      const late = setTimeout(() => {
        reject(new AnnouncerTrouble(`BIRD did not answer within ${ANSWER_MS / 1e3} s`))
        // What comes later would be taken for the answer to something else.
        socket.destroy()
      }, ANSWER_MS)
      const settled =
        <A>(then: (value: A) => void) =>
        (value: A): void => {
          clearTimeout(late)
          then(value)
        }
      questions.push({ resolve: settled(resolve), reject: settled(reject) })
      socket.write(`${command}\n`)
    })
  }

  /** Greeted by BIRD. */
  private connect(): Promise<Connection> {
    return new Promise((greeted, failed) => {
      const { socket: path } = this.options
      const socket = createConnection(path)
      const questions: Question[] = []
      const reader = new BirdReader()
      let isGreeted = false
      let isOver = false
      const give = (answer: BirdAnswer): void => {
        if (isGreeted) return questions.shift()?.resolve(answer)
        isGreeted = true
        greeted({ socket, questions })
      }
      const end = (why: string): void => {
        if (isOver) return
        isOver = true
        const trouble = new AnnouncerTrouble(`BIRD's control socket ${path}: ${why}`)
        const isOurs = this.open !== undefined
        this.open = undefined
        socket.destroy()
        failed(trouble)
        for (const { reject } of questions.splice(0)) reject(trouble)
        if (isGreeted && isOurs) this.options.onLost()
      }
      socket.setEncoding("latin1")
      socket.setTimeout(ANSWER_MS, () => {
        if (!isGreeted) end("it did not greet: is this BIRD's control socket?")
      })
      socket.on("error", (error) => end(REASONS[errnoName(error)] ?? reasonOf(error)))
      socket.on("close", () => end("the daemon ended"))
      socket.on("data", (chunk) => {
        try {
          for (const answer of reader.take(String(chunk))) give(answer)
        } catch (error) {
          end(`it said ${(error as Error).message}: is this BIRD's control socket?`)
        }
      })
    })
  }
}
