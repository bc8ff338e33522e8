/** What it costs a node to be looked at: scraped, with a page open, asked by ntpq, each once a second. */
import { createSocket } from "node:dgram"
import { get } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { sample } from "./measure.ts"
import { commandLine, cpuTime, residentBytes } from "./process-figures.ts"
import { atMost, type BenchOptions, type BenchResult, compared, figure, interleaved, withServers } from "./results.ts"
import { configuredMeridian, type RunningServer, startCommands, type StartOptions } from "./servers.ts"
import { pairedRatio, summary } from "./statistics.ts"

const RATE = 2_000
/** A control process takes thousandths of a second: shorter than this nothing can be said of it. */
const LEAST_SECONDS = 10
const SETTLE_SECONDS = 30
const CLIENTS = 10_000
const SCRAPES = 50
const NTP_PORT_OFFSET = 20_000
const MEGABYTE = 1e6

interface Watched extends RunningServer {
  readonly httpPort: number
}

const startNode = async (label: string, options: StartOptions): Promise<Watched> => {
  let httpPort = 0
  const server = await startCommands("meridian", label, options, (port, folder) => {
    httpPort = port + NTP_PORT_OFFSET
    const lines = [
      `control http 127.0.0.1:${httpPort}`,
      // Sources that nobody answers for: what is shown of each is what costs.
      ...[2, 3, 4].map((last) => `server 127.0.0.${last}:9 minpoll 4 maxpoll 4`),
      "server 127.127.1.0"
    ]
    return [configuredMeridian(options, port, folder, lines)]
  })
  return { ...server, httpPort }
}

const controlOf = (server: RunningServer): readonly number[] =>
  server.pids().filter((pid) => commandLine(pid).includes("services/control/"))

/** The body of an answer, and how long it took, milliseconds. */
const fetched = (port: number, path: string): Promise<{ readonly bytes: number; readonly milliseconds: number }> =>
  new Promise((resolve, reject) => {
    const begin = performance.now()
    get({ host: "127.0.0.1", port, path, agent: false }, (response) => {
      let bytes = 0
      response.on("data", (chunk: Buffer) => (bytes += chunk.length))
      response.on("end", () => resolve({ bytes, milliseconds: performance.now() - begin }))
    }).on("error", reject)
  })

/** What `ntpq -p` sends: the associations, then the variables of each. */
const askAsNtpq = async (port: number): Promise<void> => {
  const socket = createSocket("udp4")
  const ask = (operation: number, association: number): Promise<Buffer | undefined> =>
    new Promise((resolve) => {
      const packet = Buffer.alloc(12)
      packet.writeUInt8(0x16, 0)
      packet.writeUInt8(operation, 1)
      packet.writeUInt16BE(1, 2)
      packet.writeUInt16BE(association, 6)
      const timer = setTimeout(() => resolve(undefined), 1_000)
      socket.once("message", (reply) => {
        clearTimeout(timer)
        resolve(reply)
      })
      socket.send(packet, port, "127.0.0.1")
    })
  const [READ_STATUS, READ_VARIABLES] = [1, 2]
  const listed = await ask(READ_STATUS, 0)
  for (let at = 12; listed !== undefined && at + 4 <= listed.length; at += 4)
    await ask(READ_VARIABLES, listed.readUInt16BE(at))
  await ask(READ_VARIABLES, 0)
  await new Promise<void>((closed) => socket.close(closed))
}

/** Watches until it is told to stop. @param asksForCluster as the page's views of keys and fleet do */
const watch = (node: Watched, asksForCluster: boolean): (() => Promise<void>) => {
  let isOver = false
  const page = get({ host: "127.0.0.1", port: node.httpPort, path: "/api/v1/events", agent: false }, (stream) =>
    stream.resume()
  )
  page.on("error", () => {})
  const watching = (async () => {
    for (let second = 0; !isOver; second += 1) {
      await Promise.all([fetched(node.httpPort, "/metrics"), askAsNtpq(node.port)])
      // The page asks where a picture has news of the cluster, and each ten seconds.
      if (asksForCluster && second % 10 === 0) await fetched(node.httpPort, "/api/v1/cluster")
      await sleep(1_000)
    }
  })()
  return async () => {
    isOver = true
    await watching
    page.destroy()
  }
}

/** So many addresses of loopback ask once each, for a long list of clients. */
const fillClients = async (port: number): Promise<void> => {
  const request = Buffer.alloc(48)
  request[0] = 0x23
  for (let begin = 0; begin < CLIENTS; begin += 100)
    await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const socket = createSocket("udp4")
        const client = begin + index
        await new Promise<void>((bound) => socket.bind(0, `127.7.${client >> 8}.${client & 255}`, bound))
        await new Promise<void>((sent) => socket.send(request, port, "127.0.0.1", () => sent()))
        await new Promise<void>((closed) => socket.close(closed))
      })
    )
}

export const watched = async ({ layout, rounds, seconds, progress }: BenchOptions): Promise<BenchResult> => {
  const options = { address: "127.0.0.1", workers: 1, cores: layout.one }
  const labels = ["not watched", "watched", "watched, keys view open"] as const
  return withServers(
    labels.map((label) => () => startNode(label, options)),
    async (nodes) => {
      const [alone, looked, keys] = nodes as readonly [Watched, Watched, Watched]
      progress(`watched: ${CLIENTS} clients ask once each, then the nodes settle`)
      for (const node of nodes) await fillClients(node.port)
      for (const node of nodes) await sample(node, { mode: "open", rate: RATE, seconds: 3 }, layout.generator)
      const shares = new Map<Watched, number[]>(nodes.map((node) => [node, []]))
      const warm = watch(looked, false)
      const warmKeys = watch(keys, true)
      await sleep(SETTLE_SECONDS * 1e3)
      await Promise.all([warm(), warmKeys()])
      const length = Math.max(LEAST_SECONDS, seconds)
      const samples = await interleaved(nodes, rounds, async (node, round) => {
        progress(`watched: round ${round + 1} of ${rounds}, ${node.label}`)
        const end = node === alone ? undefined : watch(node, node === keys)
        const control = controlOf(node)
        const [before, begin] = [cpuTime(control).used, performance.now()]
        const found = await sample(node, { mode: "open", rate: RATE, seconds: length }, layout.generator)
        const share = (cpuTime(control).used - before) / ((performance.now() - begin) / 1e3)
        shares.get(node)!.push(100 * share)
        await end?.()
        return found
      })
      progress("watched: scrapes")
      const scrapes: number[] = []
      for (let count = 0; count < SCRAPES; count += 1)
        scrapes.push((await fetched(looked.httpPort, "/metrics")).milliseconds)
      const cpu = (node: Watched) => samples.get(node)!.map((each) => each.workerCpuMicroseconds)
      const resident = (node: Watched) => Math.max(...controlOf(node).map(residentBytes)) / MEGABYTE
      return {
        name: "watched",
        title: `a node that is looked at each second, at ${RATE.toLocaleString("en")} requests a second`,
        figures: [
          figure("CPU per reply, workers, µs", 3, samples, (each) => each.workerCpuMicroseconds),
          figure("CPU per reply, all processes, µs", 3, samples, (each) => each.cpuMicroseconds),
          {
            name: "control, % of a core",
            digits: 2,
            of: Object.fromEntries([...shares].map(([{ label }, each]) => [label, summary(each)]))
          },
          {
            name: "control, resident, MB",
            digits: 1,
            of: Object.fromEntries(nodes.map((node) => [node.label, summary([resident(node as Watched)])]))
          }
        ],
        checks: [
          atMost("workers' CPU per reply: watched / not watched", pairedRatio(cpu(looked), cpu(alone)), 1.02, 3),
          atMost("control of a watched node, % of a core", summary(shares.get(looked)!), 1, 2),
          atMost("the same with the keys view open", summary(shares.get(keys)!), 1, 2),
          compared("control of a node that nobody looks at, % of a core", summary(shares.get(alone)!), 2),
          atMost("control, resident, MB", summary([resident(looked), resident(keys)]), 70, 1),
          atMost(`a scrape, ${CLIENTS.toLocaleString("en")} clients in the list, ms`, summary(scrapes), 20, 2)
        ],
        notes: []
      }
    }
  )
}
