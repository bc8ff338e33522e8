/**
 * Asks from within another network: started there, with questions on its input as JSON, answers on its output. `node asking-process.ts` puts each question
 * once and gives the octets of each answer as hex, null where none came; with `load ADDRESS RATE` it keeps a load on until its input ends.
 */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { text } from "node:stream/consumers"
import { startLoad } from "./ntp-load.ts"

export interface Question {
  readonly from: string
  readonly to: string
  readonly port: number
  readonly hex: string
}

/** So long nothing has come where nothing will: many times what a busy machine takes. Those that are asked at once are waited for at once. */
const PATIENCE_MS = 3_000
const AT_ONCE = 512

const ask = async ({ from, to, port, hex }: Question): Promise<string | null> => {
  const socket = createSocket(to.includes(":") ? "udp6" : "udp4")
  try {
    socket.bind(0, from)
    await once(socket, "listening")
    socket.connect(port, to)
    await once(socket, "connect")
    const answer = new Promise<string | null>((done) => {
      socket.on("message", (bytes) => done(bytes.toString("hex")))
      socket.on("error", () => done(null))
      // What came while this process had to wait is read before its silence is believed.
      setTimeout(() => setImmediate(() => done(null)), PATIENCE_MS)
    })
    socket.send(Buffer.from(hex, "hex"))
    return await answer
  } finally {
    socket.close()
  }
}

const [what, address = "", rate = "1000"] = process.argv.slice(2)
if (what === "load") {
  const load = await startLoad({ port: 123, address, sources: 16, rate: Number(rate) })
  process.stdout.write("started\n")
  await text(process.stdin)
  process.stdout.write(JSON.stringify(await load.finish(2_000)))
} else {
  const questions = JSON.parse(await text(process.stdin)) as readonly Question[]
  const answers: (string | null)[] = []
  for (let at = 0; at < questions.length; at += AT_ONCE)
    answers.push(...(await Promise.all(questions.slice(at, at + AT_ONCE).map(ask))))
  process.stdout.write(JSON.stringify(answers))
}
