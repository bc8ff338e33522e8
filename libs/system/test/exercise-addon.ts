/**
 * Drives every function of an addon, rightly and wrongly, in the main thread and in a worker thread that is ended while
 * its socket is watched. Run under the sanitizers by native.test.ts. Arguments: path of the addon.
 */
import assert from "node:assert/strict"
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from "node:fs"
import { once } from "node:events"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { isMainThread, parentPort, Worker } from "node:worker_threads"
import type { DigestBinding } from "@meridian/ciphers/digests-native"
import type { MacBinding } from "@meridian/ciphers/macs-native"
import type { NativeAddon } from "../src/native.ts"
import { addon, path, wrong } from "./exercised-addon.ts"
import {
  addresses,
  burst,
  echo,
  echoAnswer,
  packetLoop,
  exerciseLifetimes,
  exercisePacketLoops,
  exerciseSockets,
  open
} from "./exercise-sockets.ts"

const exerciseWrongArguments = (): void => {
  const attempt = (call: () => unknown): void => {
    try {
      call()
    } catch {
      /** Refused, as it should be. What matters is that nothing worse happens. */
    }
  }
  const socket = open("127.0.0.1")
  const loose = addon as unknown as Record<keyof NativeAddon, (...values: ReadonlyArray<unknown>) => unknown>
  const methods = socket as unknown as Record<string, (...values: ReadonlyArray<unknown>) => unknown>
  for (const value of wrong) {
    attempt(() => loose.udpBind(value, value, value, value, value))
    attempt(() => loose.udpBind("127.0.0.1", value, false, 0, value))
    attempt(() => loose.readClocks(value))
    attempt(() => loose.duplicateDescriptor(typeof value === "number" ? undefined : value))
    attempt(() => new addon.UdpHandle(value as number, value as number))
    attempt(() => new addon.ClockPage(value as number, true))
    for (const name of ["receive", "send", "onReadable", "pause", "overflows"]) {
      attempt(() => Reflect.apply(methods[name]!, value, [value]))
      if (name !== "onReadable") attempt(() => methods[name]!(value))
    }
  }
  for (const address of ["", "fe80::1%nosuch0", "fe80::1%1", "x".repeat(2000), "::1%%", "1.2.3.4.5"])
    attempt(() => addon.udpBind(address, 0, true, -5, true))
  socket.close()
}

const exerciseClockPage = (): void => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-exercise-"))
  const descriptor = openSync(join(folder, "page"), "w+")
  assert.throws(() => new addon.ClockPage(descriptor, true))
  ftruncateSync(descriptor, 4096)
  const writer = new addon.ClockPage(descriptor, true)
  const reader = new addon.ClockPage(descriptor, false)
  closeSync(descriptor)
  const payload = Uint8Array.from({ length: 105 }, (_, index) => index)
  const copy = new Uint8Array(300)
  for (let count = 0; count < 1000; count++) {
    writer.write(payload.subarray(1))
    assert.equal(reader.read(copy.subarray(3)), true)
  }
  assert.deepEqual(copy.subarray(3, 107), payload.subarray(1))
  assert.throws(() => reader.write(payload))
  for (const value of wrong) assert.throws(() => reader.read(value as Uint8Array))
  reader.close()
  reader.close()
  assert.throws(() => reader.read(copy))
  rmSync(folder, { recursive: true })
}

/** Counts and watches that end as they should: closed, let go, closed from within their own call, and by the end of the environment. */
const exerciseTurns = async (): Promise<void> => {
  const descriptors = Array.from({ length: 5 }, () => addon.makeSharedMemory("exercise", 4))
  const [moving = -1, ...still] = descriptors
  addon.countTurns(moving, 3)
  const looks: number[] = []
  const watch = new addon.TurnWatch(5, 1, (now) => void looks.push(now))
  const places = [watch.add(moving, 1e6), ...still.map((descriptor) => watch.add(descriptor, 3))]
  for (const descriptor of descriptors) closeSync(descriptor)
  while (looks.length < 3) await sleep(5)
  assert.ok(watch.still(places[1]!) >= 3)
  for (const place of places.slice(1)) watch.drop(place)
  watch.drop(places[1]!)
  watch.closely(true)
  const before = looks.length
  while (looks.length < before + 3) await sleep(5)
  assert.ok(watch.looks() >= looks.length)
  const self = new addon.TurnWatch(1, 0, () => self.close())
  self.closely(true)
  while (self.looks() === 0) await sleep(5)
  watch.close()
  watch.close()
  const steps = new addon.ClockWatch(() => {})
  steps.close()
  steps.close()
  for (let round = 0; round < 50; round++) {
    const left = new addon.TurnWatch(1, 0, () => {})
    left.add(addon.makeSharedMemory("exercise", 4), 0)
    new addon.ClockWatch(() => {})
  }
  gc?.()
  await sleep(20)
  const loose = addon as unknown as Record<string, (...values: ReadonlyArray<unknown>) => unknown>
  for (const value of wrong) {
    assert.throws(() => loose["countTurns"]!(value, value))
    assert.throws(() => new addon.TurnWatch(value as number, value as number, value as () => void))
    if (typeof value !== "function") assert.throws(() => new addon.ClockWatch(value as () => void))
    assert.throws(() => watch.still(value as number))
    assert.throws(() => watch.add(value as number, value as number))
    assert.throws(() => watch.closely(value as boolean))
    watch.drop(value as number)
  }
  assert.throws(() => addon.countTurns(0, 0))
}

/** Reads alone: with `modes` 0 the machine's clock stays what it is, and no capability is touched. */
const exerciseKernelClock = (): void => {
  const record = new Float64Array(12)
  for (let count = 0; count < 100; count++) addon.clockAdjtime(record.fill(0))
  assert.ok(record[7]! >= 9_000 && record[7]! <= 11_000)
  for (const value of [NaN, Infinity, -Infinity, 1e300])
    for (let field = 0; field < 12; field++) {
      record.fill(0)[field] = value
      assert.throws(() => addon.clockAdjtime(record))
    }
  const loose = addon as unknown as Record<keyof NativeAddon, (...values: ReadonlyArray<unknown>) => unknown>
  for (const value of [...wrong.filter((it) => typeof it !== "number"), -1, NaN, 1e300]) {
    assert.throws(() => loose.clockAdjtime(value))
    assert.throws(() => loose.setCapabilities(value, value, value))
    assert.throws(() => loose.keepCapabilities(value))
    assert.throws(() => loose.dropBoundingCapability(value))
    assert.throws(() => loose.setAmbientCapability(value, 0))
    assert.throws(() => loose.setAmbientCapability(0, value))
  }
  assert.throws(() => loose.setCapabilities())
  assert.throws(() => addon.dropBoundingCapability(1_000))
  assert.throws(() => addon.setAmbientCapability(1_000, 1))
}

/** No program is attached, and where bpf(2) may not be used there is nothing to exercise but the wrong arguments. */
const exerciseBpf = (): void => {
  const loose = addon as unknown as Record<keyof NativeAddon, (...values: ReadonlyArray<unknown>) => unknown>
  const calls = [
    ["bpfMapCreate", 6],
    ["bpfProgramLoad", 4],
    ["bpfLinkXdp", 3],
    ["bpfLinkInterface", 1],
    ["bpfMapUpdate", 3],
    ["bpfMapLookup", 3],
    ["bpfMapDelete", 2],
    ["bpfMapFirstKey", 2],
    ["bpfMapRead", 4],
    ["bpfTestRun", 4]
  ] as const
  for (const [name, count] of calls) {
    assert.throws(() => loose[name]())
    for (const value of [...wrong, -1, NaN, 1e300])
      assert.throws(() => loose[name](...Array.from({ length: count }, () => value)))
  }
  for (const name of ["", "x".repeat(16), "x".repeat(1_000), "no/such device"])
    assert.equal(addon.interfaceNumber(name), 0)
  assert.ok(addon.interfaceNumber("lo") > 0)
  const HASH = 1
  let map: number
  try {
    map = addon.bpfMapCreate(HASH, 4, 8, 16, 0, "exercise")
  } catch {
    return
  }
  const [key, value, short] = [new Uint8Array(4), new Uint8Array(8), new Uint8Array(3)]
  for (const call of [
    () => addon.bpfMapUpdate(map, short, value),
    () => addon.bpfMapUpdate(map, key, value.subarray(1)),
    () => addon.bpfMapLookup(map, short, value),
    () => addon.bpfMapDelete(map, short),
    () => addon.bpfMapFirstKey(map, short),
    () => addon.bpfMapRead(map, key, value, 2),
    () => addon.bpfLinkInterface(map),
    () => addon.bpfTestRun(map, key, value, 1),
    () => addon.bpfProgramLoad(new Uint8Array(64), "x", 0, short)
  ])
    assert.throws(call)
  for (let entry = 0; entry < 16; entry += 1) addon.bpfMapUpdate(map, key.fill(entry), value.fill(entry))
  assert.equal(addon.bpfMapLookup(map, key, value), true)
  assert.equal(addon.bpfMapRead(map, new Uint8Array(400), new Uint8Array(800), 100), 16)
  while (addon.bpfMapFirstKey(map, key)) assert.equal(addon.bpfMapDelete(map, key), true)
  assert.equal(addon.bpfMapLookup(map, key, value), false)
  closeSync(map)
}

const exerciseDigests = (): void => {
  const { openDigest } = addon as NativeAddon & DigestBinding
  const bytes = new Uint8Array(300)
  const out = new Uint8Array(64)
  for (let round = 0; round < 100; round++) {
    const digest = openDigest(round % 2 === 0 ? "md5" : "sha3-512")!
    for (const length of [0, 1, 48, 300]) assert.ok(digest(bytes.subarray(0, round % 33), bytes, 0, length, out) > 0)
    assert.equal(digest(bytes, bytes, 253, 48, out), 0)
    assert.equal(digest(bytes, bytes, 0, 48, out.subarray(0, 15)), 0)
    assert.equal(digest(new Uint8Array(0), bytes, 300, 0, out) > 0, true)
    for (const value of wrong)
      if (!(value instanceof Uint8Array)) assert.throws(() => digest(bytes, value as Uint8Array, 0, 48, out))
  }
  for (const name of ["", "no-such-digest", "x".repeat(1000)]) assert.equal(openDigest(name), undefined)
  for (const value of wrong) if (typeof value !== "string") assert.throws(() => openDigest(value as string))
}

const exerciseMacKeys = (): void => {
  const { MacKeys } = addon as NativeAddon & MacBinding
  for (let round = 0; round < 20; round++) {
    const keys = new MacKeys()
    const packets = new Uint8Array(300)
    const many = Array.from({ length: 40 }, (_, at) =>
      keys.add(at % 3 === 0 ? "sha1" : "md5", packets.subarray(0, 1 + (at % 32)))
    )
    assert.deepEqual(
      many,
      many.map(() => true)
    )
    const hasCmac = keys.add("cmac", new Uint8Array(16))
    for (let length = 0; length <= 280; length++) {
      const jobs = 20
      const list = new Int32Array(jobs * 8)
      for (let job = 0; job < jobs; job++)
        list.set(
          [1, hasCmac && job === 7 ? 40 : job, 300 - length, length, 0, 16, length >= 8 ? 300 - length : 0, 0],
          job * 8
        )
      assert.equal(keys.run(list, jobs, packets, 0), -1)
    }
    assert.equal(keys.run(Int32Array.of(0, 0, 253, 48, 0, 16, 0, 0), 1, packets, 0) >= 0, true)
    for (const length of [0, 33]) assert.equal(keys.add("md5", new Uint8Array(length)), false)
    assert.equal(keys.add("cmac", new Uint8Array(17)), false)
    for (const name of ["", "no-such-digest", "x".repeat(1000)])
      assert.equal(keys.add(name, packets.subarray(0, 8)), false)
    if (round % 2 === 0) keys.wipe()
    for (const value of wrong) {
      if (!(value instanceof Uint8Array)) assert.throws(() => keys.add("md5", value as Uint8Array))
      if (!(value instanceof Uint8Array)) assert.throws(() => keys.run(new Int32Array(8), 0, value as Uint8Array, 0))
      assert.throws(() => keys.run(value as Int32Array, 0, packets, 0))
    }
    keys.wipe()
    keys.wipe()
  }
}

/** No segment is made here: where the key is free, there is nothing to exercise but the wrong arguments. */
const exerciseReferenceClocks = (): void => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-exercise-"))
  const socketPath = join(folder, "clock.sock")
  const wrong = <A>(value: unknown): A => value as A
  for (const call of [
    () => new addon.ShmSegment(256, true),
    () => new addon.ShmSegment(wrong("x"), true),
    () => addon.unixDatagramBind("", 0o600),
    () => addon.unixDatagramBind("x".repeat(4_000), 0o600),
    () => addon.unixDatagramBind(socketPath, 0o1000),
    () => addon.unixDatagramBind(wrong(7), 0o600),
    () => addon.unixDatagramHasReceiver(wrong(undefined)),
    () => addon.datagramReceive(-1, new Uint8Array(8)),
    () => addon.datagramReceive(0, new Uint8Array(0)),
    () => addon.ppsCapture(-1, false),
    () => addon.ppsFetch(-1, new Float64Array(6)),
    () => addon.ppsFetch(0, new Float64Array(5)),
    () => addon.phcRead(-1, new Float64Array(48)),
    () => addon.phcRead(0, new Float64Array(47))
  ])
    assert.throws(call)
  assert.equal(addon.unixDatagramHasReceiver(socketPath), false)
  const descriptor = addon.unixDatagramBind(socketPath, 0o600)
  assert.equal(addon.unixDatagramHasReceiver(socketPath), true)
  assert.equal(addon.datagramReceive(descriptor, new Uint8Array(8)), -1)
  assert.throws(() => addon.unixDatagramBind(socketPath, 0o600))
  closeSync(descriptor)
  rmSync(folder, { recursive: true })
}

if (isMainThread) {
  exerciseReferenceClocks()
  exerciseBpf()
  await exerciseTurns()
  await exerciseSockets()
  await exercisePacketLoops()
  exerciseDigests()
  exerciseMacKeys()
  await exerciseLifetimes()
  exerciseWrongArguments()
  exerciseClockPage()
  exerciseKernelClock()
  addon.readClocks(new Float64Array(3))
  assert.ok(addon.smallestClockStep() > 0)
  for (let round = 0; round < 3; round++) {
    const worker = new Worker(new URL(import.meta.url), { workerData: path })
    await once(worker, "message")
    await worker.terminate()
  }
  /** Left open and watched: the end of the process closes it. */
  echo(open("127.0.0.1"))
  process.stdout.write("exercised\n", () => process.exit(0))
} else {
  const sockets = addresses.map(open)
  addon.countTurns(addon.makeSharedMemory("exercise", 4), 1)
  const turns = new addon.TurnWatch(1, 0, () => {})
  turns.closely(true)
  exerciseDigests()
  exerciseMacKeys()
  packetLoop(sockets, echoAnswer(sockets), 200_000)
  assert.equal(await burst(sockets[0]!, "127.0.0.1", [48, 48]), 2)
  const watched = open("127.0.0.1")
  echo(watched)
  assert.equal(await burst(watched, "127.0.0.1", [48, 48]), 2)
  parentPort!.postMessage("watching")
}
