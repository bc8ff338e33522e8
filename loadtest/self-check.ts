/**
 * Shows that the checks can fail: the generator runs against a server that answers well and then against the same server
 * with one fault after another, and must count just that fault. The statistics are checked on values known by hand.
 */
import { rejects, strictEqual, throws } from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { createSocket } from "node:dgram"
import { join } from "node:path"
import { AeadId } from "@meridian/auth/aead"
import { compiled, launchAndRead, removeFolder, temporaryFolder } from "./children.ts"
import { keyedPool, makeKeys } from "./keyed-requests.ts"
import { type NtsSession, ntsPool } from "./nts-session.ts"
import { readSample, type RequestPool } from "./request-pool.ts"
import { type GeneratorReport, generate } from "./measure.ts"
import { cpuTime, tickCpuSeconds } from "./process-figures.ts"
import { DelayedError, isKeptWaiting, takeRepeats, undisturbed } from "./repeats.ts"
import { growth, median, pairedRatio, sumOfIncreases } from "./statistics.ts"

/** Turns a good reply into the datagrams that a faulty server sends instead. */
type Fault = (reply: Buffer) => readonly Buffer[]

const changed = (reply: Buffer, change: (bytes: Buffer) => void): readonly Buffer[] => {
  const bytes = Buffer.from(reply)
  change(bytes)
  return [bytes]
}

const FAULTS: Readonly<Record<string, Fault>> = {
  short: (reply) => [reply.subarray(0, 47)],
  longer: (reply) => [Buffer.concat([reply, Buffer.alloc(20)])],
  mode: (reply) => changed(reply, (bytes) => bytes.writeUInt8((bytes[0] ?? 0) ^ 1, 0)),
  version: (reply) => changed(reply, (bytes) => bytes.writeUInt8((bytes[0] ?? 0) ^ 8, 0)),
  origin: (reply) => changed(reply, (bytes) => bytes.writeUInt8((bytes[31] ?? 0) ^ 1, 31)),
  unsynchronised: (reply) => changed(reply, (bytes) => bytes.writeUInt8((bytes[0] ?? 0) | 0xc0, 0)),
  time: (reply) => changed(reply, (bytes) => bytes.writeUInt32BE((bytes.readUInt32BE(32) + 100) >>> 0, 32)),
  duplicate: (reply) => [reply, reply]
}

const NTP_UNIX_OFFSET_SECONDS = 2_208_988_800
const REQUESTS = 200

/** A server's header, followed by what followed the request's; for NTS without the cookie. */
const goodReply = (request: Buffer): Buffer => {
  const header = goodHeader(request)
  if (request.length > 100) return withoutCookie(request, header)
  return Buffer.concat([header, request.subarray(48)])
}

const goodHeader = (request: Buffer): Buffer => {
  const reply = Buffer.alloc(48)
  const milliseconds = Date.now()
  reply[0] = ((request[0] ?? 0) & 0x38) | 4
  reply[1] = 10
  request.copy(reply, 24, 40, 48)
  for (const at of [32, 40]) {
    reply.writeUInt32BE((Math.floor(milliseconds / 1000) + NTP_UNIX_OFFSET_SECONDS) % 2 ** 32, at)
    reply.writeUInt32BE(Math.floor(((milliseconds % 1000) / 1000) * 2 ** 32), at + 4)
  }
  return reply
}

interface Behaviour {
  readonly fault: Fault
  /** Replies leave from another port than the one that was asked. */
  readonly elsewhere?: boolean
  readonly delayMilliseconds?: number
}

/** Runs the generator against a server with that behaviour on a free port of loopback. */
const load = async (
  { fault, elsewhere = false, delayMilliseconds = 0 }: Behaviour,
  core: number,
  more = ""
): Promise<GeneratorReport> => {
  const socket = createSocket("udp4")
  const other = createSocket("udp4")
  const timers: NodeJS.Timeout[] = []
  try {
    for (const each of [socket, other]) await new Promise<void>((resolve) => each.bind(0, "127.0.0.1", resolve))
    socket.on("message", (request, from) => {
      const reply = () => {
        for (const datagram of fault(goodReply(request)))
          (elsewhere ? other : socket).send(datagram, from.port, from.address)
      }
      if (delayMilliseconds === 0) reply()
      else timers.push(setTimeout(reply, delayMilliseconds))
    })
    const flags = `--mode open --rate 2000 --seconds 5 --count ${REQUESTS} --sockets 16 --timeout-ms 300 ${more}`
    return await generate("127.0.0.1", socket.address().port, flags.trim().split(" "), core)
  } finally {
    for (const timer of timers) clearTimeout(timer)
    socket.close()
    other.close()
  }
}

const checkGenerator = async (core: number): Promise<void> => {
  const good = await load({ fault: (reply) => [reply] }, core)
  strictEqual(good.answered, REQUESTS, "a good server's replies were not all accepted")
  strictEqual(good.wrong + good.lost, 0, "a good server's replies were called wrong or lost")
  console.log(`ok: a good server, ${good.answered} of ${good.sent} replies accepted`)
  for (const [name, fault] of Object.entries(FAULTS)) {
    const report = await load({ fault }, core)
    strictEqual(
      report.faults[name],
      REQUESTS,
      `fault "${name}" was not counted for each reply: ${JSON.stringify(report.faults)}`
    )
    strictEqual(
      report.wrong,
      REQUESTS,
      `fault "${name}" was counted as something else too: ${JSON.stringify(report.faults)}`
    )
    strictEqual(report.answered, name === "duplicate" ? REQUESTS : 0, `fault "${name}" was taken for a correct reply`)
    console.log(`ok: fault "${name}" counted ${REQUESTS} times`)
  }
  let number = 0
  const lossy = await load({ fault: (reply) => (number++ % 10 === 0 ? [] : [reply]) }, core)
  strictEqual(lossy.lost, REQUESTS / 10, "each tenth reply was kept back and should have been counted as lost")
  console.log(`ok: ${lossy.lost} replies kept back, ${lossy.lost} counted as lost`)
  const strange = await load({ fault: (reply) => [reply], elsewhere: true }, core, "--unconnected")
  strictEqual(strange.faults["source"], REQUESTS, "replies from another port were taken for replies of the server")
  console.log(`ok: replies from another port counted ${REQUESTS} times`)
  const late = await load({ fault: (reply) => [reply], delayMilliseconds: 60 }, core, "--timeout-ms 20")
  strictEqual(late.lost, REQUESTS, "replies after the timeout were not counted as lost")
  strictEqual((late.faults["late"] ?? 0) > 0 && late.wrong === 0, true, "no reply was recognised as late")
  console.log(`ok: replies after the timeout counted as lost, ${late.faults["late"]} of them seen as late`)
}

/** What a server does to a keyed or NTS reply, and the fault that must be counted for it. */
const TRAILER_FAULTS: readonly (readonly ["keyed" | "nts", string, string, Fault])[] = [
  ["keyed", "another key id", "trailer", (reply) => changed(reply, (bytes) => bytes.writeUInt32BE(9, 48))],
  ["keyed", "no MAC", "trailer", (reply) => [reply.subarray(0, 48)]],
  ["keyed", "a longer MAC", "longer", (reply) => [Buffer.concat([reply, Buffer.alloc(4)])]],
  ["nts", "no fields", "trailer", (reply) => [reply.subarray(0, 48)]],
  ["nts", "no authenticator", "trailer", (reply) => [reply.subarray(0, 84)]],
  [
    "nts",
    "another unique identifier",
    "trailer",
    (reply) => changed(reply, (bytes) => bytes.writeUInt8((bytes[60] ?? 0) ^ 1, 60))
  ],
  ["nts", "an authenticator that ends early", "trailer", (reply) => [reply.subarray(0, reply.length - 4)]],
  ["nts", "more than was asked", "longer", (reply) => [Buffer.concat([reply, Buffer.alloc(108)])]]
]

/** Sessions with made-up keys and cookies: the server here only copies what it got. */
const imaginedSessions = (): readonly NtsSession[] => [
  {
    aead: AeadId.sivCmac256,
    c2s: randomBytes(32),
    s2c: randomBytes(32),
    cookies: [randomBytes(100)]
  }
]

/** A reply that has the shape of NTS but proves nothing: the authenticator right after the unique identifier. */
const withoutCookie = (request: Buffer, reply: Buffer): Buffer =>
  Buffer.concat([reply, request.subarray(48, 84), request.subarray(84 + 104)])

/** Trailers are judged by the generator, and the proofs in a sample of them afterwards. */
const checkPools = async (core: number): Promise<void> => {
  const folder = temporaryFolder()
  try {
    const keys = makeKeys(folder)
    const pools = { keyed: keyedPool(folder, keys, "AES-128"), nts: ntsPool(folder, "nts", imaginedSessions()) }
    const recorded = join(folder, "replies")
    const flags = ({ kind, file }: RequestPool) => `--request ${kind} --pool ${file} --record ${recorded}`
    for (const pool of Object.values(pools)) {
      const good = await load({ fault: (reply) => [reply] }, core, flags(pool))
      strictEqual(good.answered, REQUESTS, `${pool.kind}: replies of the right shape were not all accepted`)
      throws(() => pool.verify(readSample(recorded)), /expected its/, `${pool.kind}: forged replies were verified`)
      console.log(`ok: ${pool.kind} replies of the right shape accepted, and seen to prove nothing`)
    }
    for (const [kind, what, counted, fault] of TRAILER_FAULTS) {
      const report = await load({ fault }, core, flags(pools[kind]))
      strictEqual(report.faults[counted], REQUESTS, `${kind}, ${what}: ${JSON.stringify(report.faults)}`)
      strictEqual(report.answered, 0, `${kind}, ${what}: taken for a correct reply`)
      console.log(`ok: ${kind} replies with ${what} counted as "${counted}"`)
    }
  } finally {
    removeFolder(folder)
  }
}

/** The generator must not be able to load another machine. 192.0.2.1 belongs to nobody (RFC 5737). */
const checkRefusal = async (core: number): Promise<void> => {
  for (const target of ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "0.0.0.0", "localhost"]) {
    const program = compiled("generator/udpload.c")
    const said = await launchAndRead(
      { command: program, args: ["--target", target, "--port", "123", "--count", "1"] },
      [core]
    ).then(
      () => "nothing",
      (error: unknown) => String(error)
    )
    strictEqual(
      /status 2: udpload: (refused|expected an IPv4)/.test(said),
      true,
      `${target} was not refused; it said ${said}`
    )
  }
  console.log("ok: targets off this machine are refused")
}

const checkStatistics = (): void => {
  strictEqual(median([3, 1, 2]), 2)
  strictEqual(median([4, 1, 3, 2]), 2.5)
  strictEqual(pairedRatio([2, 6, 4], [1, 2, 4]).median, 2)
  strictEqual(pairedRatio([2, 6, 4], [1, 2, 4]).max, 3)
  strictEqual(sumOfIncreases([5, 7, 3, 4]), 3)
  strictEqual(growth([1, 1, 5, 5, 5, 5, 9, 9]), 8)
  console.log("ok: statistics")
}

/** The scheduler's count and the one in clock ticks must be the same CPU time. */
const checkCpuTime = (): void => {
  const begin = performance.now()
  while (performance.now() - begin < 300);
  const difference = Math.abs(cpuTime([process.pid]).used - tickCpuSeconds(process.pid))
  strictEqual(difference < 0.1, true, `CPU time by schedstat and by stat differ by ${difference} s`)
  console.log(`ok: CPU time by schedstat and by stat agree to ${(difference * 1000).toFixed(0)} ms`)
}

/** What neighbours disturbed is measured again and counted; what is wrong is not, and they do not go on for ever. */
const checkRepeats = async (): Promise<void> => {
  takeRepeats()
  const waits = [0.5, undefined, 0.02]
  const measured = await undisturbed(() => {
    const disturbed = waits.shift()
    return disturbed === undefined ? Promise.reject(new DelayedError("late")) : Promise.resolve({ disturbed })
  }, isKeptWaiting)
  strictEqual(measured.disturbed, 0.02)
  strictEqual(takeRepeats(), 2)
  await rejects(
    undisturbed(() => Promise.reject(new Error("wrong"))),
    /wrong/
  )
  strictEqual(takeRepeats(), 0)
  await rejects(
    undisturbed(() => Promise.reject(new DelayedError("always late"))),
    /always late/
  )
  strictEqual(takeRepeats(), 5)
  strictEqual((await undisturbed(() => Promise.resolve({ disturbed: 1 }), isKeptWaiting)).disturbed, 1)
  strictEqual(takeRepeats(), 5)
  console.log("ok: disturbed rounds are measured again and counted, wrong answers are not")
}

/** Runs every check; throws at the first that fails. */
export const selfCheck = async (core: number): Promise<void> => {
  checkStatistics()
  checkCpuTime()
  await checkRepeats()
  await checkRefusal(core)
  await checkGenerator(core)
  await checkPools(core)
}
