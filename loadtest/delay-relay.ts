/**
 * npx node loadtest/delay-relay.ts PORT TO_PORT PATH SEED
 *
 * A path that delays, loses and queues packets, on loopback: what comes to PORT goes on to TO_PORT after as long as one of
 * the simulator's paths says, and the answers come back after as long as it says for them. Where a kernel has sch_netem
 * that would do the same; not every kernel has it. Timers of a millisecond are too coarse, so the last one is waited out.
 */
import { createSocket, type Socket } from "node:dgram"
import { exponentialPath, gaussianPath, type PathModel, sawtoothQueue, spikedPath } from "@meridian/testkit/sim-network"
import { randomStream } from "@meridian/testkit/sim-random"

const wan = exponentialPath({ base: 8e-3, jitter: 1e-3 })

/** What `--network` names. */
export const livePaths: Readonly<Record<string, PathModel>> = {
  wan,
  loss: exponentialPath({ base: 8e-3, jitter: 1e-3, loss: 0.3 }),
  wifi: spikedPath(exponentialPath({ base: 5e-3, jitter: 5e-4 }), 0.3, 0.03),
  queue: sawtoothQueue(wan, "request", 0.02, 300),
  gaussian: gaussianPath(0.01, 1e-3)
}

const EARLY_MILLISECONDS = 1.5
/** Clients at once: each has a socket to the server, as its port tells whose the answer is. */
const MOST_CLIENTS = 64

const relay = (port: number, to: number, path: PathModel, seed: number): void => {
  const random = randomStream(seed, "relay")
  const begin = performance.now()
  const later = (direction: "request" | "reply", act: () => void): void => {
    const now = performance.now()
    const delay = path((now - begin) / 1000, direction, random)
    if (delay === undefined) return
    const due = now + 1000 * delay
    setTimeout(
      () => {
        while (performance.now() < due);
        act()
      },
      Math.max(0, 1000 * delay - EARLY_MILLISECONDS)
    )
  }
  const clients = new Map<number, Socket>()
  const listener = createSocket("udp4")
  listener.on("message", (packet, from) => {
    let client = clients.get(from.port)
    if (client === undefined) {
      if (clients.size >= MOST_CLIENTS) {
        const [oldest] = clients
        if (oldest !== undefined) {
          oldest[1].close()
          clients.delete(oldest[0])
        }
      }
      client = createSocket("udp4")
      client.on("message", (reply) => later("reply", () => listener.send(reply, from.port, from.address)))
      client.on("error", () => {})
      clients.set(from.port, client)
    }
    const socket = client
    later("request", () => {
      if (clients.get(from.port) === socket) socket.send(packet, to, "127.0.0.1")
    })
  })
  listener.bind(port, "127.0.0.1")
}

if (import.meta.main) {
  const [port, to, name = "", seed] = process.argv.slice(2)
  const path = livePaths[name]
  if (path === undefined) {
    process.stderr.write(`delay-relay: expected one of ${Object.keys(livePaths).join(", ")}, found "${name}"\n`)
    process.exitCode = 2
  } else relay(Number(port), Number(to), path, Number(seed))
}
