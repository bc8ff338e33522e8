/**
 * Has replies signed: a few connections with one request outstanding each, a bounded queue before them, and a deadline for every
 * request. Whoever asks never waits; what became of a request is told when it is known.
 */
import { backoff } from "@meridian/time/backoff"
import { type ConnectionEvents, SigndConnection } from "./signd-connection.ts"
import { RefusedAccounts } from "./refused-accounts.ts"
import type { SigningJob, SigningOutcome } from "./signing-job.ts"

export interface PoolLimits {
  readonly connections: number
  readonly queue: number
  /** From a request's arrival to its signature, milliseconds. */
  readonly deadlineMs: number
}

export const DEFAULT_POOL: PoolLimits = { connections: 4, queue: 256, deadlineMs: 1_000 }

/** How often deadlines are looked at while something waits. */
const SWEEP_MS = 50
/** After a connection that could not be made, and again after each next one, doubled up to the longest. */
/** Milliseconds. */
const PAUSES = { first: 100, longest: 2_000 }
/** Its listener's queue is full: it is there, and slow. */
const BUSY = "EAGAIN"

interface PoolEvents {
  /** Called right before a job is handed to signd: the reply's header is to be written now. */
  readonly prepare: (job: SigningJob) => void
  /** Called once for each job; its memory is the caller's again. */
  readonly finished: (job: SigningJob, outcome: SigningOutcome) => void
  /** The socket cannot be reached, for this reason; undefined once it can be again. Told when it changes. */
  readonly reachable: (errno: string | undefined) => void
}

export class SigningPool {
  private readonly path: string
  private readonly limits: PoolLimits
  private readonly events: PoolEvents
  private readonly refused = new RefusedAccounts()
  private readonly idle: SigndConnection[] = []
  private readonly connections = new Set<SigndConnection>()
  private waiting: SigningJob[] = []
  private sweep: NodeJS.Timeout | undefined
  private failures = 0
  private pausedUntil = 0
  private errno: string | undefined
  private isClosed = false

  constructor(path: string, limits: PoolLimits, events: PoolEvents) {
    this.path = path
    this.limits = limits
    this.events = events
  }

  get queued(): number {
    return this.waiting.length
  }
  get open(): number {
    return this.connections.size
  }

  /** Takes a request in. May finish it before it returns. */
  submit(job: SigningJob): void {
    const now = performance.now()
    if (this.refused.isRefused(job.keyId, now)) return this.events.finished(job, "refused-before")
    const free = this.idle.pop()
    if (free !== undefined) return this.hand(free, job)
    if (this.errno !== undefined && this.errno !== BUSY && now < this.pausedUntil)
      return this.events.finished(job, "signd-away")
    if (this.waiting.length >= this.limits.queue) return this.events.finished(job, "queue-full")
    this.waiting.push(job)
    this.startSweep()
    this.connect(now)
  }

  /** Looks whether signd can be reached where there is no connection to it. To be called now and then. */
  look(): void {
    const now = performance.now()
    if (this.connections.size === 0 && now >= this.pausedUntil && !this.isClosed) this.add()
  }

  /** Ends all connections; what was not signed is late. */
  close(): void {
    this.isClosed = true
    clearInterval(this.sweep)
    const jobs = [...this.waiting, ...[...this.connections].flatMap(({ outstanding }) => outstanding ?? [])]
    for (const connection of this.connections) connection.destroy()
    this.connections.clear()
    this.waiting = []
    for (const job of jobs) this.events.finished(job, "late")
  }

  private readonly connectionEvents: ConnectionEvents = {
    connected: (connection) => {
      this.failures = 0
      this.pausedUntil = 0
      // Another signd may know other accounts.
      if (this.errno !== undefined) this.refused.clear()
      this.tell(undefined)
      this.release(connection)
    },
    answered: (connection, job, answer) => {
      if (answer === "refused") this.refused.refuse(job.keyId, performance.now())
      if (answer !== "wrong-answer") this.release(connection)
      this.events.finished(job, answer)
    },
    closed: (connection, job, errno) => {
      if (!this.connections.delete(connection)) return
      const index = this.idle.indexOf(connection)
      if (index >= 0) this.idle.splice(index, 1)
      if (job !== undefined) this.closedOn(job)
      if (errno !== undefined) this.notConnected(errno)
      else if (this.waiting.length > 0) this.connect(performance.now())
    }
  }

  private hand(connection: SigndConnection, job: SigningJob): void {
    this.startSweep()
    this.events.prepare(job)
    connection.ask(job)
  }

  /** A connection that is free takes the next job that waits. */
  private release(connection: SigndConnection): void {
    const next = this.waiting.shift()
    if (next === undefined) this.idle.push(connection)
    else this.hand(connection, next)
  }

  private connect(now: number): void {
    const connecting = [...this.connections].filter(({ isConnected }) => !isConnected).length
    if (now < this.pausedUntil || this.isClosed) return
    if (this.connections.size >= this.limits.connections || connecting >= this.waiting.length) return
    this.add()
  }

  private add(): void {
    this.connections.add(new SigndConnection(this.path, this.connectionEvents))
  }

  /**
   * A connection was closed on a request. Once may be Samba's restart, and it is asked again; twice is what Samba does for accounts that
   * are no machines.
   */
  private closedOn(job: SigningJob): void {
    job.closedOn += 1
    if (job.closedOn === 1 && !this.isClosed) {
      this.waiting.unshift(job)
      this.connect(performance.now())
      return
    }
    this.refused.refuse(job.keyId, performance.now())
    this.events.finished(job, "closed-on")
  }

  private notConnected(errno: string): void {
    this.tell(errno)
    if (this.connections.size > 0) return
    if (errno !== BUSY) this.failures += 1
    this.pausedUntil = performance.now() + (errno === BUSY ? SWEEP_MS : backoff(PAUSES, this.failures))
    if (errno === BUSY) return
    const jobs = this.waiting
    this.waiting = []
    for (const job of jobs) this.events.finished(job, "signd-away")
  }

  private tell(errno: string | undefined): void {
    if (errno === this.errno) return
    this.errno = errno
    this.events.reachable(errno)
  }

  private startSweep(): void {
    this.sweep ??= setInterval(() => this.endLate(), SWEEP_MS)
  }

  private endLate(): void {
    const now = performance.now()
    const limit = now - this.limits.deadlineMs
    const late = this.waiting.filter(({ since }) => since < limit)
    if (late.length > 0) this.waiting = this.waiting.filter(({ since }) => since >= limit)
    for (const connection of this.connections) {
      const job = connection.outstanding
      if (job === undefined || job.since >= limit) continue
      // Its answer may still come, and would be taken for the next one's.
      this.connections.delete(connection)
      connection.destroy()
      late.push(job)
    }
    for (const job of late) this.events.finished(job, "late")
    if (this.waiting.length > 0) this.connect(now)
    else if (![...this.connections].some(({ outstanding }) => outstanding !== undefined)) {
      clearInterval(this.sweep)
      this.sweep = undefined
    }
  }
}
