/** A steady stream of requests from many addresses, each answer checked and matched: for tests that must lose nothing. */
import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { setTimeout } from "node:timers/promises"
import { PATIENCE_MS } from "./patience.ts"
import { clientRequest } from "@meridian/protocol/sntp-client"
import { type NtpTimestamp, ntpTimestamp } from "@meridian/time/timestamp"
import { decodeHeader } from "@meridian/wire/ntp"

interface LoadPlan {
  readonly port: number
  readonly address?: string
  readonly sources: number
  /** Requests a second, all sources together. */
  readonly rate: number
  /** It ends by itself after so many, lest anybody forget one that runs on; {@link MOST_REQUESTS} unless told. */
  readonly most?: number
}

export interface LoadResult {
  readonly sent: number
  readonly answered: number
  /** Answers that matched no question of ours, or did not come from a server. */
  readonly wrong: number
  /** Requests without an answer, as indexes in the order of sending. */
  readonly lost: readonly number[]
}

interface RunningLoad {
  /** Requests so far. */
  readonly sent: () => number
  /** Stops sending, waits for what is under way (at most `graceMs`), and counts. */
  readonly finish: (graceMs?: number) => Promise<LoadResult>
}

const TICK_MS = 5
/** Requests under way at once: a socket's queue holds as many even where root may not enlarge it. */
const MOST_WAITING = 256
const MOST_REQUESTS = 200_000

export const startLoad = async (plan: LoadPlan): Promise<RunningLoad> => {
  const waiting = new Map<NtpTimestamp, number>()
  let sent = 0
  let answered = 0
  let wrong = 0
  const address = plan.address ?? "127.0.0.1"
  const sockets: Socket[] = []
  for (let source = 0; source < plan.sources; source += 1) {
    const socket = createSocket({ type: address.includes(":") ? "udp6" : "udp4", recvBufferSize: 1 << 20 })
    socket.on("error", () => {})
    socket.on("message", (bytes) => {
      const reply = decodeHeader(bytes)
      if ("_tag" in reply || reply.mode !== 4 || !waiting.delete(reply.origin)) wrong += 1
      else answered += 1
    })
    // Workers share out clients by address.
    if (address.startsWith("127.")) {
      socket.bind(0, `127.1.${source >> 8}.${source & 255}`)
      await once(socket, "listening")
    }
    socket.connect(plan.port, address)
    await once(socket, "connect")
    sockets.push(socket)
  }
  const startedAt = performance.now()
  const timer = setInterval(() => {
    const due = Math.min(((performance.now() - startedAt) / 1000) * plan.rate, plan.most ?? MOST_REQUESTS)
    // After a pause of this process or of the node, what is due comes bit by bit: a flood would be lost by the kernel.
    for (; sent < due && waiting.size < MOST_WAITING; sent += 1) {
      const nonce = ntpTimestamp(0x5eed0000, sent + 1)
      waiting.set(nonce, sent)
      sockets[sent % sockets.length]?.send(clientRequest(4, nonce))
    }
  }, TICK_MS)
  return {
    sent: () => sent,
    finish: async (graceMs = PATIENCE_MS) => {
      clearInterval(timer)
      for (let waited = 0; waiting.size > 0 && waited < graceMs; waited += 20) await setTimeout(20)
      for (const socket of sockets) socket.close()
      return { sent, answered, wrong, lost: [...waiting.values()] }
    }
  }
}
