/** Puts the addon's client sockets through everything that could touch memory wrongly: `node exercise-udp-client.ts ADDON`. */
import assert from "node:assert/strict"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import { loopbackAddresses } from "@meridian/testkit/address-families"
import { loadNativeFrom, type NativeUdpClientHandle } from "@meridian/system/native"

const path = isMainThread ? process.argv[2]! : (workerData as string)
const { addon, reason } = loadNativeFrom(path)
if (addon === undefined) throw new Error(reason)

const bytes = new Uint8Array(2048)
const numbers = new Float64Array(5)

const exchange = async (host: string, connected: boolean): Promise<NativeUdpClientHandle> => {
  const server = createSocket(host.includes(":") ? "udp6" : "udp4")
  server.on("message", (message, source) => server.send(message, source.port, source.address))
  server.bind(0, host)
  await once(server, "listening")
  const { port } = server.address()
  const client = connected ? new addon.UdpClientHandle("", 0, host, port) : new addon.UdpClientHandle(host, 0, "", 0)
  const found = [0, 0, 0, 0]
  client.onReadable(() => {
    for (let kind = client.receive(bytes, numbers); kind !== 0; kind = client.receive(bytes, numbers)) {
      found[kind]! += 1
      assert.equal(client.source().includes(host) || kind !== 1, true)
    }
  })
  const lengths = [0, 1, 48, 2048, 2049, 65_507]
  for (const length of lengths) client.send(new Uint8Array(length), connected ? "" : host, connected ? 0 : port)
  for (let wait = 0; wait < 12_000 && found[1]! < lengths.length; wait += 1) await sleep(5)
  assert.deepEqual(found, [0, 6, 6, 0])
  assert.throws(() => client.send(new Uint8Array(70_000), connected ? "" : host, connected ? 0 : port))
  server.close()
  return client
}

const wrong = [undefined, null, -1, 1e9, "x", {}, [], new Uint8Array(1), new Float64Array(1), () => 1, Symbol("x"), 1n]

const exerciseWrongArguments = (client: NativeUdpClientHandle): void => {
  const attempt = (call: () => unknown): void => {
    try {
      call()
    } catch {
      /** Refused, as it should be. What matters is that nothing worse happens. */
    }
  }
  const make = addon.UdpClientHandle as unknown as new (...values: readonly unknown[]) => NativeUdpClientHandle
  const methods = client as unknown as Record<string, (...values: readonly unknown[]) => unknown>
  for (const value of wrong) {
    attempt(() => new make(value, value, value, value).close())
    attempt(() => new make("127.0.0.1", value, "::1", 9).close())
    attempt(() => new make("", 0, "x".repeat(5000), 9).close())
    for (const name of ["send", "receive", "source", "onReadable", "close"]) {
      attempt(() => Reflect.apply(methods[name]!, value, [value, value, value]))
      if (name !== "onReadable" && name !== "close") attempt(() => methods[name]!(value, value, value))
    }
  }
}

/** The object may go while the loop still watches, and the other way round. */
const exerciseLifetimes = async (): Promise<void> => {
  for (let count = 0; count < 30; count += 1) {
    const forgotten = new addon.UdpClientHandle("", 0, "127.0.0.1", 9)
    if (count % 2 === 0) forgotten.onReadable(() => forgotten.close())
    if (count % 3 === 0) forgotten.onReadable(() => {})
    if (count % 2 === 0) forgotten.send(bytes, "", 0)
    if (count % 5 === 0) forgotten.close()
    if (count % 2 === 0 || count % 3 === 0) setTimeout(() => forgotten.close(), 20)
  }
  for (let round = 0; round < 5; round += 1) {
    await sleep(10)
    globalThis.gc?.()
  }
}

if (isMainThread) {
  for (const host of loopbackAddresses("client sockets under the sanitizers"))
    for (const connected of [true, false]) {
      const client = await exchange(host, connected)
      exerciseWrongArguments(client)
      client.close()
      client.close()
      assert.equal(client.receive(bytes, numbers), 0)
      assert.throws(() => client.onReadable(() => {}))
    }
  await exerciseLifetimes()
  const worker = new Worker(new URL(import.meta.url), { workerData: path })
  await once(worker, "message")
  await worker.terminate()
  /** Left open and watched: the end of the process closes it. */
  new addon.UdpClientHandle("", 0, "127.0.0.1", 9).onReadable(() => {})
  process.stdout.write("exercised\n", () => process.exit(0))
} else {
  await exchange("127.0.0.1", true)
  parentPort!.postMessage("watching")
}
