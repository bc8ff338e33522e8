/** The pool of connections to signd: every request ends under one name and in time, whatever the other side does. */
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { readSignRequest, signdAnswer } from "@meridian/wire/signd-frames"
import { RefusedAccounts } from "../src/client/refused-accounts.ts"
import { SigningJob, type SigningOutcome } from "../src/client/signing-job.ts"
import { DEFAULT_POOL, type PoolLimits, SigningPool } from "../src/client/signing-pool.ts"
import { troubleWith } from "../src/client/socket-rights.ts"
import { type Behaviour, FakeSignd, refuses, signsAll } from "./fake-signd.ts"

let signd: FakeSignd
let pool: SigningPool
let prepared = 0
let finished: { readonly job: SigningJob; readonly outcome: SigningOutcome }[] = []
let reached: (string | undefined)[] = []

const open = (limits: Partial<PoolLimits> = {}, path = signd.path): void => {
  pool = new SigningPool(
    path,
    // Nothing is late on a machine with much else to do, unless a test asks for that.
    { ...DEFAULT_POOL, deadlineMs: PATIENCE_MS, ...limits },
    {
      prepare: (job) => {
        prepared += 1
        job.bytes.set(job.request)
        job.bytes.fill(0x24, 0, 48)
      },
      finished: (job, outcome) => void finished.push({ job, outcome }),
      reachable: (errno) => void reached.push(errno)
    }
  )
}
const submit = (...rids: readonly number[]): void => {
  for (const rid of rids) {
    const job = new SigningJob()
    new DataView(job.request.buffer).setUint32(48, rid, true)
    job.since = performance.now()
    pool.submit(job)
  }
}
const outcomes = async (count: number): Promise<readonly SigningOutcome[]> => {
  for (let waited = 0; finished.length < count; waited += 5) {
    if (waited > PATIENCE_MS) throw new Error(`only ${finished.length} of ${count} ended: ${JSON.stringify(reached)}`)
    await new Promise((done) => setTimeout(done, 5))
  }
  return finished.map(({ outcome }) => outcome)
}
const until = async (holds: () => boolean): Promise<void> => {
  for (let waited = 0; !holds(); waited += 5) {
    if (waited > PATIENCE_MS) throw new Error(JSON.stringify(reached))
    await new Promise((done) => setTimeout(done, 5))
  }
}
const tally = (all: readonly SigningOutcome[]): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const outcome of all) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}

beforeEach(async () => {
  signd = await new FakeSignd().listen()
  prepared = 0
  finished = []
  reached = []
})
afterEach(async () => {
  pool?.close()
  await signd.stop()
})

describe("requests to signd", () => {
  it("are signed, one at a time on each of a few connections that stay", async () => {
    open()
    submit(...Array.from({ length: 100 }, (_, index) => index + 1))
    expect(tally(await outcomes(100))).toEqual({ signed: 100 })
    expect([signd.connections, signd.mostOutstanding, prepared]).toEqual([4, 1, 100])
    expect(new Set(finished.map(({ job }) => job.keyId)).size).toBe(100)
    submit(1)
    await outcomes(101)
    expect(signd.connections).toBe(4)
  })

  it("are refused by signd once, and then not asked for a while", async () => {
    signd.behaviour = refuses
    open()
    submit(7)
    await outcomes(1)
    submit(7, 8)
    expect(tally(await outcomes(3))).toEqual({ refused: 2, "refused-before": 1 })
    expect(signd.asked).toEqual([7, 8])
  })

  it("on which the connection is closed take nobody else's down", async () => {
    signd.behaviour = (frame, connection) =>
      readSignRequest(frame)!.keyId === 666 ? "close" : signsAll(frame, connection)
    open()
    submit(1, 666, 2, 3, 666, 4, 5, 6)
    expect(tally(await outcomes(8))).toEqual({ signed: 6, "closed-on": 2 })
    submit(666)
    expect((await outcomes(9)).at(-1)).toBe("refused-before")
  })

  it("that were outstanding when signd was started again are asked once more", async () => {
    let closed = 0
    signd.behaviour = (frame, connection) =>
      connection <= 2 && (closed += 1) <= 2 ? "close" : signsAll(frame, connection)
    open({ connections: 2 })
    submit(1, 2)
    expect(tally(await outcomes(2))).toEqual({ signed: 2 })
  })

  it("end in time where nothing is answered, and the rest goes on over new connections", async () => {
    signd.behaviour = () => undefined
    open({ deadlineMs: 150, connections: 2, queue: 10 })
    submit(...Array.from({ length: 20 }, (_, index) => index + 1))
    expect(tally(finished.map(({ outcome }) => outcome))).toEqual({ "queue-full": 10 })
    expect(tally(await outcomes(20))).toEqual({ "queue-full": 10, late: 10 })
    signd.behaviour = signsAll
    // Each in its turn, since one may be late by chance.
    const ends: (SigningOutcome | undefined)[] = []
    while (ends.at(-1) !== "signed" && ends.length < 100) {
      submit(50)
      ends.push((await outcomes(21 + ends.length)).at(-1))
    }
    expect(ends.at(-1)).toBe("signed")
  })

  it("end at once where nobody is, and are signed again after signd has come", async () => {
    await signd.end()
    rmSync(signd.path, { force: true })
    open()
    submit(1)
    expect(await outcomes(1)).toEqual(["signd-away"])
    submit(2)
    expect(finished.map(({ outcome }) => outcome)).toEqual(["signd-away", "signd-away"])
    expect(reached).toEqual(["ENOENT"])
    await signd.listen()
    let asked = 2
    for (; !finished.some(({ outcome }) => outcome === "signed"); asked += 1) {
      submit(3)
      await outcomes(asked + 1)
      await new Promise((done) => setTimeout(done, 20))
    }
    expect(reached).toEqual(["ENOENT", undefined])
    await signd.end()
    await until(() => pool.open === 0)
    pool.look()
    await until(() => reached.length === 3)
    submit(4)
    expect((await outcomes(asked + 1)).at(-1)).toBe("signd-away")
    expect(["ENOENT", "ECONNREFUSED"]).toContain(reached.at(-1))
  })

  const other = signsAll(signRequestFrame(9, 3), 0) as Uint8Array
  it.each<readonly [string, Behaviour]>([
    ["another account's signature", () => other],
    ["another request's", (frame, connection) => (signsAll(frame, connection) as Uint8Array).with(15, 0xee)],
    ["a changed packet", (frame, connection) => (signsAll(frame, connection) as Uint8Array).with(30, 0xee)],
    ["another version", (frame, connection) => (signsAll(frame, connection) as Uint8Array).with(7, 1)],
    ["a frame that is too long", () => Uint8Array.of(0, 0, 1, 0)],
    ["a frame that is too short", () => new Uint8Array(4)],
    ["a signature without a packet", (frame) => signdAnswer(readSignRequest(frame)!.packetId, new Uint8Array(0))]
  ])("that get %s back are not answered, and the connection is not used again", async (_name, behaviour) => {
    signd.behaviour = (frame, connection) =>
      connection === 1 ? behaviour(frame, connection) : signsAll(frame, connection)
    open({ connections: 1 })
    submit(1, 2)
    expect(await outcomes(2)).toEqual(["wrong-answer", "signed"])
    expect(signd.connections).toBe(2)
  })

  it("that get the half of an answer end in time", async () => {
    signd.behaviour = (frame, connection) => (signsAll(frame, connection) as Uint8Array).subarray(0, 50)
    open({ deadlineMs: 100 })
    submit(1)
    expect(await outcomes(1)).toEqual(["late"])
  })

  it("each end once under one name, whatever comes back", async () => {
    const answer = fc.oneof(
      { weight: 3, arbitrary: fc.constant(signsAll) },
      fc.constant(refuses),
      fc.constant<Behaviour>(() => "close"),
      fc.constant<Behaviour>(() => undefined),
      fc.uint8Array({ maxLength: 200 }).map(
        (bytes): Behaviour =>
          () =>
            bytes
      ),
      fc.nat(83).map(
        (cut): Behaviour =>
          (frame, at) =>
            (signsAll(frame, at) as Uint8Array).subarray(0, cut)
      )
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(answer, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 30 }),
        async (all, jobs) => {
          let turn = 0
          signd.behaviour = (frame, connection) => all[(turn += 1) % all.length]!(frame, connection)
          finished = []
          open({ deadlineMs: 60, queue: 20 })
          submit(...Array.from({ length: jobs }, (_, index) => index + 1))
          await outcomes(jobs)
          await new Promise((done) => setTimeout(done, 5))
          expect(finished).toHaveLength(jobs)
          expect(new Set(finished.map(({ job }) => job)).size).toBe(jobs)
          expect(pool.queued).toBe(0)
          pool.close()
        }
      ),
      { numRuns: 30 }
    )
  })
})

describe("refusals", () => {
  it("are forgotten after a while, and the oldest when there are too many", () => {
    const refused = new RefusedAccounts()
    refused.refuse(5, 0)
    expect([refused.isRefused(5, 29_999), refused.isRefused(6, 1), refused.isRefused(5, 30_000)]).toEqual([
      true,
      false,
      false
    ])
    for (let rid = 10; rid < 5_000; rid += 1) refused.refuse(rid, 1)
    expect([refused.size, refused.isRefused(5, 2), refused.isRefused(4_999, 2)]).toEqual([4_096, false, true])
  })
})

describe("a socket that cannot be used", () => {
  const nobody = { user: 65534, groups: [65534] }
  it.each([
    [
      "a directory that only its group may enter",
      0o750,
      0o777,
      /may not enter \S+\/dir \(mode 0750.*; mend it: chgrp \w+ \S+\/dir && chmod 0750 \S+\/dir$/
    ],
    [
      "a socket that only its group may write to",
      0o755,
      0o660,
      /may not write to \S+\/dir\/socket \(mode 0660.*; mend it: give `meridian signd` group = \w+/
    ],
    ["neither", 0o755, 0o777, /AppArmor/]
  ])("is said to be so by owner, group and mode: %s", (_name, directory, socket, words) => {
    const dir = join(signd.folder, "dir")
    mkdirSync(dir)
    writeFileSync(join(dir, "socket"), "")
    chmodSync(signd.folder, 0o755)
    chmodSync(join(dir, "socket"), socket)
    chmodSync(dir, directory)
    expect(troubleWith(join(dir, "socket"), "EACCES", nobody)).toMatch(words)
  })

  it.each([
    ["ENOENT", "socket", /socket is not there; start Samba with ntp_signd among its `server services`/],
    ["ENOENT", "no/such/socket", /\/no is not there; let ntpsigndsocket name what `testparm/],
    ["ECONNREFUSED", "socket", /nobody listens on/],
    ["ENOTSOCK", "socket", /is no stream socket/],
    ["EMFILE", "socket", /cannot be connected to: this process has too many open files/]
  ])("is said to be so: %s at %s", async (errno, path, words) => {
    await signd.end()
    expect(troubleWith(join(signd.folder, path), errno)).toMatch(words)
  })
})

function signRequestFrame(id: number, keyId: number): Uint8Array {
  const frame = new Uint8Array(64)
  const view = new DataView(frame.buffer)
  view.setUint16(8, id)
  view.setUint32(12, keyId, true)
  return frame
}
