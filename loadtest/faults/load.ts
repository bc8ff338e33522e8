/**
 * The load of a run, in a process of its own: plain and NTS requests from many ports to three nodes, each answer judged. Told by
 * its parent what to send where; tells of each slice of time when all of it is answered or lost.
 */
import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { systemClock } from "@meridian/clocks/system-clock"
import { HEADER_BYTES, Offset } from "@meridian/wire/ntp"
import { emptySlice, judge, LATE_MS, LOST_MS, type Outcome, type Slice } from "./judgement.ts"
import { NtsClient } from "./nts-client.ts"

interface LoadTarget {
  readonly node: string
  readonly address: string
  /** PEM, read at each key exchange. */
  readonly certificate: string
}

export interface LoadPlan {
  readonly targets: readonly LoadTarget[]
  /** Requests a second, all nodes together. */
  readonly rate: number
  /** Of each hundred, how many are NTS. */
  readonly ntsPercent: number
  readonly sliceMs: number
}

export interface SliceMessage {
  readonly type: "slice"
  readonly node: string
  /** Number of the slice since the start. */
  readonly index: number
  readonly plain: Slice
  readonly nts: Slice
}

export type FromLoad =
  | { readonly type: "started"; readonly at: number }
  | SliceMessage
  | { readonly type: "wrong"; readonly node: string; readonly why: string }
  | { readonly type: "done"; readonly heldUpMs: number; readonly exchanges: number; readonly failedExchanges: number }

const SOCKETS = 64
const TICK_MS = 5
/** After a pause of this process what was due goes out over some ticks, not in one flood. */
const MOST_A_TICK = 400
const VERSION_4_CLIENT = 0x23

interface Waiting {
  readonly at: number
  readonly sent: number
  readonly slice: Slice
  readonly index: number
  readonly nts: ReturnType<NtsClient["request"]>
}

class Target {
  readonly #plan: LoadTarget
  readonly #sockets: Socket[] = []
  readonly #waiting = new Map<number, Waiting>()
  readonly #slices = new Map<number, { readonly plain: Slice; readonly nts: Slice }>()
  readonly nts: NtsClient
  #next = 1
  #told = 0

  constructor(plan: LoadTarget) {
    this.#plan = plan
    this.nts = new NtsClient(plan.address, plan.certificate)
  }

  async open(): Promise<void> {
    for (let index = 0; index < SOCKETS; index += 1) {
      const socket = createSocket({ type: "udp4", recvBufferSize: 1 << 19 })
      socket.on("error", () => undefined)
      socket.on("message", (reply: Buffer) => this.#hear(reply))
      socket.connect(123, this.#plan.address)
      await once(socket, "connect")
      this.#sockets.push(socket)
    }
  }

  send(index: number, isNts: boolean): void {
    const number = this.#next++
    const slices = this.#sliceAt(index)
    const nts = isNts ? this.nts.request() : undefined
    // Keys that have not come yet are no request of NTS.
    const slice = nts === undefined ? slices.plain : slices.nts
    const request = nts === undefined ? Buffer.alloc(HEADER_BYTES) : nts.packet
    request[Offset.flags] = VERSION_4_CLIENT
    request.writeUInt32BE(number >>> 0, Offset.transmit)
    request.writeUInt32BE(0x5eed0000 + (number % 65_521), Offset.transmit + 4)
    nts?.seal()
    slice.sent += 1
    this.#waiting.set(number, { at: performance.now(), sent: wallSeconds(), slice, index, nts })
    this.#sockets[number % SOCKETS]?.send(request, () => undefined)
  }

  #hear(reply: Buffer): void {
    const received = wallSeconds()
    if (reply.length < HEADER_BYTES) return this.#blame("a reply shorter than a header")
    const number = reply.readUInt32BE(Offset.origin)
    const waiting = this.#waiting.get(number)
    // What was given up as lost may still come.
    if (waiting === undefined) return
    this.#waiting.delete(number)
    const { slice, at, sent, nts } = waiting
    const [outcome, why] = this.#judged(reply, nts, { sent, received })
    slice[outcome] += 1
    if (outcome === "good" && performance.now() - at > LATE_MS) slice.late += 1
    if (outcome === "wrong") this.#blame(why)
  }

  #judged(
    reply: Buffer,
    nts: Waiting["nts"],
    exchange: { readonly sent: number; readonly received: number }
  ): readonly [Outcome, string] {
    const judged = judge(reply, nts?.packet.length ?? HEADER_BYTES, exchange)
    if (judged[0] === "refused") this.nts.renew()
    const problem = judged[0] === "good" ? nts?.problem(reply) : undefined
    return problem === undefined ? judged : ["wrong", problem]
  }

  #blame(why: string): void {
    tell({ type: "wrong", node: this.#plan.node, why })
  }

  #sliceAt(index: number): { readonly plain: Slice; readonly nts: Slice } {
    const known = this.#slices.get(index) ?? { plain: emptySlice(), nts: emptySlice() }
    this.#slices.set(index, known)
    return known
  }

  /** Gives up what has waited too long, and tells of slices that nothing waits for any more: those before `now`. */
  settle(now: number, isLast: boolean): void {
    let open = now
    for (const [number, { at, slice, index }] of this.#waiting) {
      if (!isLast && performance.now() - at < LOST_MS) {
        open = Math.min(open, index)
        break
      }
      slice.lost += 1
      this.#waiting.delete(number)
    }
    for (; this.#told < open; this.#told += 1) {
      const { plain, nts } = this.#sliceAt(this.#told)
      tell({ type: "slice", node: this.#plan.node, index: this.#told, plain, nts })
      this.#slices.delete(this.#told)
    }
  }

  close(): void {
    for (const socket of this.#sockets) socket.close()
  }
}

const tell = (message: FromLoad): void => void process.send?.(message)
const clocks = new Float64Array(3)
const wallSeconds = (): number => {
  systemClock().readClocks(clocks)
  return clocks[0]! + clocks[1]! / 1e9
}

const run = async ({ targets: plans, rate, ntsPercent, sliceMs }: LoadPlan): Promise<void> => {
  const targets = plans.map((plan) => new Target(plan))
  for (const target of targets) await target.open()
  await Promise.all(targets.map((it) => it.nts.begin()))
  const start = performance.now()
  tell({ type: "started", at: Date.now() })
  let sent = 0
  let last = start
  let heldUpMs = 0
  const sliceNow = (): number => Math.floor((performance.now() - start) / sliceMs)
  const timer = setInterval(() => {
    heldUpMs = Math.max(heldUpMs, performance.now() - last - TICK_MS)
    last = performance.now()
    const due = ((last - start) / 1_000) * rate
    for (let count = 0; sent < due && count < MOST_A_TICK; sent += 1, count += 1)
      targets[sent % targets.length]?.send(sliceNow(), Math.floor(sent / targets.length) % 100 < ntsPercent)
  }, TICK_MS)
  const settling = setInterval(() => targets.forEach((it) => it.settle(sliceNow(), false)), 500)
  process.once("message", () => {
    clearInterval(timer)
    setTimeout(() => {
      clearInterval(settling)
      const end = sliceNow()
      for (const target of targets) {
        target.settle(end, true)
        target.close()
        target.nts.end()
      }
      const exchanges = targets.reduce((sum, { nts }) => sum + nts.exchanges, 0)
      const failedExchanges = targets.reduce((sum, { nts }) => sum + nts.failures, 0)
      process.send?.({ type: "done", heldUpMs, exchanges, failedExchanges } satisfies FromLoad, () => process.exit(0))
    }, LOST_MS)
  })
}

process.once("disconnect", () => process.exit(1))
await run(JSON.parse(process.argv[2] ?? "") as LoadPlan)
