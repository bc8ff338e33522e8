/** What a live run can have befall both clients, spread evenly over it: a step of their clock, a suspension, a restart. */
import { createSocket } from "node:dgram"
import type { SteppedRealtime } from "@meridian/testkit/stepped-realtime"
import { CLIENT_STRATUM, type LiveClients } from "./live-clients.ts"
import type { RunningServer } from "./servers.ts"

export type Disturbance =
  | { readonly what: "step"; readonly seconds: number }
  | { readonly what: "suspend"; readonly seconds: number }
  | { readonly what: "restart" }

/** When each comes, seconds from the start: one at half, two at the thirds, three at the quarters. */
export const momentsOf = (count: number, duration: number): readonly number[] =>
  Array.from({ length: count }, (_, i) => Math.round(((i + 1) * duration) / (count + 1)))

/** How long one client answered nobody with its server's time, seconds. */
export interface Outage {
  readonly meridian: number
  readonly chronyd: number
}

const ASK_EVERY_MILLISECONDS = 20
/** Answers after the gap that show that it is over. */
const WATCHED_SECONDS = 60

/** Asks a server fifty times a second; `longest` is the longest time between two answers of a synchronised one, seconds. */
const watchServing = ({ address, port }: RunningServer) => {
  const socket = createSocket("udp4")
  const request = new Uint8Array(48)
  request[0] = 0x23
  let last = performance.now()
  let longest = 0
  socket.on("message", ([first = 0, stratum]) => {
    if (stratum !== CLIENT_STRATUM || first >> 6 === 3) return
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  })
  socket.on("error", () => {})
  const timer = setInterval(() => {
    crypto.getRandomValues(request.subarray(40))
    socket.send(request, port, address)
  }, ASK_EVERY_MILLISECONDS)
  return {
    longest: () => Math.max(longest, performance.now() - last) / 1000,
    close: () => {
      clearInterval(timer)
      socket.close()
    }
  }
}

const outageOf = ([meridian = Number.NaN, chronyd = Number.NaN]: readonly number[]): Outage => ({ meridian, chronyd })

const signalEach = (pids: readonly number[], signal: NodeJS.Signals): void => {
  for (const pid of pids)
    try {
      process.kill(pid, signal)
    } catch {
      // It has ended: the figures will say so.
    }
}

export interface Disturber {
  /** Begins one; what it takes time for goes on beside the readings. */
  readonly begin: (disturbance: Disturbance) => void
  /** False from the moment that both are told to end until they are started again. */
  readonly isThere: () => boolean
  readonly isSuspended: () => boolean
  /** By how much CLOCK_REALTIME of both differs from the machine's, seconds. */
  readonly stepped: () => number
  /** Processes that were stopped, and how many of them are there no more. */
  readonly suspended: () => { readonly processes: number; readonly ended: number } | undefined
  readonly outage: () => Outage | undefined
}

export const disturber = ({ node, beside }: LiveClients, realtime: SteppedRealtime | undefined): Disturber => {
  let isThere = true
  let isSuspended = false
  let stepped = 0
  let stopped: readonly number[] = []
  let ended = 0
  let outage: (() => Outage) | undefined

  const pids = (): readonly number[] => [...node.pids(), ...(beside?.pids() ?? [])]
  const countEnded = (): void => {
    const alive = new Set(pids())
    ended = stopped.filter((pid) => !alive.has(pid)).length
  }

  const suspend = (seconds: number): void => {
    stopped = pids()
    isSuspended = true
    signalEach(stopped, "SIGSTOP")
    setTimeout(() => {
      signalEach(stopped, "SIGCONT")
      isSuspended = false
    }, seconds * 1000)
  }

  const restart = async (): Promise<void> => {
    countEnded()
    const watched = [node, ...(beside === undefined ? [] : [beside])].map(watchServing)
    outage = () => outageOf(watched.map((it) => it.longest()))
    isThere = false
    await Promise.all([node.restart(), beside?.restart()])
    isThere = true
    setTimeout(() => {
      const longest = watched.map((it) => it.longest())
      outage = () => outageOf(longest)
      for (const it of watched) it.close()
    }, WATCHED_SECONDS * 1000)
  }

  const begin = (disturbance: Disturbance): void => {
    switch (disturbance.what) {
      case "step":
        realtime?.step(disturbance.seconds)
        stepped += disturbance.seconds
        break
      case "suspend":
        suspend(disturbance.seconds)
        break
      case "restart":
        restart().catch((error: Error) => {
          process.stderr.write(`live-offset: the restart failed: ${error.message}\n`)
          process.exit(1)
        })
        break
    }
  }
  const suspended = () => {
    if (stopped.length === 0) return undefined
    if (outage === undefined) countEnded()
    return { processes: stopped.length, ended }
  }
  return {
    begin,
    isThere: () => isThere,
    isSuspended: () => isSuspended,
    stepped: () => stepped,
    suspended,
    outage: () => outage?.()
  }
}
