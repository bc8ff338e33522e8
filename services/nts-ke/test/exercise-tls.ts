/**
 * Drives the TLS listener of an addon, rightly and wrongly: handlers that throw, close it or answer nonsense, listeners that
 * are forgotten, a worker thread that is ended while it listens. Run under the sanitizers by tls-native.test.ts.
 * Arguments: path of the addon, of a PEM certificate and of its key.
 */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { once } from "node:events"
import { connect as connectTcp, createServer } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { connect } from "node:tls"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import { loadNativeFrom, type NativeAddon } from "@meridian/system/native"
import type {
  NativeTlsListener,
  NativeTlsListenerClass,
  TlsCertificate,
  TlsListenerHandlers,
  TlsListenerSettings
} from "@meridian/tls/tls-listener"

const [path, certificateFile, keyFile] = isMainThread ? process.argv.slice(2) : (workerData as readonly string[])
const certificate: TlsCertificate = {
  chain: readFileSync(certificateFile!, "utf8"),
  key: readFileSync(keyFile!, "utf8")
}
const addon = loadNativeFrom(path!).addon as NativeAddon & {
  readonly TlsListener: NativeTlsListenerClass
  readonly tcpListen: (
    address: string,
    port: number,
    reuse: boolean,
    exclusive: boolean,
    backlog: number,
    beforehand: boolean
  ) => number
  readonly ntsKeMessageEnds: (bytes: unknown) => boolean
}

const settings: TlsListenerSettings = {
  protocol: "ntske/1",
  minimum: 3,
  maximum: 3,
  cipherList: "",
  cipherSuites: "",
  groups: "X25519",
  exporterLabel: "EXPORTER-network-time-security",
  handshakeMilliseconds: 60_000,
  exchangeMilliseconds: 60_000
}
const REQUEST = Uint8Array.of(0x80, 0, 0, 0)

let ends = 0
const handlers: TlsListenerHandlers = {
  admit: (address) => address === "127.0.0.1",
  serverName: (name) => (name === "known" ? 0 : -1),
  request: (bytes) => bytes.slice(),
  ended: () => void ends++
}

/** Waits for what happens soon, for a bounded time; what is still false then is the assertion's to find. */
const until = async (condition: () => boolean): Promise<void> => {
  for (let waited = 0; !condition() && waited < 60_000; waited += 5) await sleep(5)
}

const port = async (): Promise<number> => {
  const probe = createServer().listen(0, "127.0.0.1")
  await once(probe, "listening")
  const address = probe.address()
  await new Promise((closed) => probe.close(closed))
  return typeof address === "object" && address !== null ? address.port : 0
}

/** A free port, and a listening descriptor on it; another one where somebody took that port meanwhile. */
const listening = async (attempts = 20): Promise<readonly [number, number]> => {
  const at = await port()
  try {
    return [addon.tcpListen("127.0.0.1", at, true, true, 16, false), at]
  } catch (error) {
    if (attempts > 1) return listening(attempts - 1)
    throw error
  }
}

const opened = async (changes: Partial<TlsListenerHandlers> = {}): Promise<readonly [NativeTlsListener, number]> => {
  const listener = new addon.TlsListener(settings, { ...handlers, ...changes })
  listener.useCertificates([certificate, certificate])
  const [descriptor, at] = await listening()
  listener.listen(descriptor)
  return [listener, at]
}

/** Bytes of the reply; however the connection ends. */
const asked = (at: number, request = REQUEST, servername = "known"): Promise<number> =>
  new Promise((done) => {
    const socket = connect({
      port: at,
      host: "127.0.0.1",
      servername,
      ALPNProtocols: ["ntske/1"],
      rejectUnauthorized: false
    })
    let length = 0
    socket.on("secureConnect", () => socket.write(request))
    socket.on("data", (bytes: Buffer) => (length += bytes.length))
    socket.on("error", () => {})
    socket.once("close", () => done(length))
  })

const aborted = (at: number): Promise<void> =>
  new Promise((done) => {
    // Not before the first bytes are on their way: without them the listener never hears of the connection.
    const leave = () => void setTimeout(() => socket.destroy(), 5)
    const socket = connectTcp(at, "127.0.0.1", () => socket.write(Uint8Array.of(0x16, 3, 1, 0), leave))
    socket.on("error", () => {})
    socket.once("close", () => done())
  })

const wrong = [undefined, null, -1, 1e9, "x", {}, [], new Uint8Array(1), new Float64Array(1), () => 1, Symbol("x"), 1n]

const exerciseWrongArguments = async (): Promise<void> => {
  const attempt = (call: () => unknown): void => {
    try {
      call()
    } catch {
      /** Refused, as it should be. What matters is that nothing worse happens. */
    }
  }
  const TlsListener = addon.TlsListener as unknown as new (...values: readonly unknown[]) => unknown
  const [listener] = await opened()
  const methods = listener as unknown as Record<string, (...values: readonly unknown[]) => unknown>
  for (const value of wrong) {
    assert.throws(() => new TlsListener(value, value))
    assert.throws(() => new TlsListener(settings, value))
    for (const name of Object.keys(settings))
      if (!(name.startsWith("cipher") || name === "groups" || name === "exporterLabel") || typeof value !== "string")
        attempt(() => new TlsListener({ ...settings, [name]: value }, handlers))
    for (const name of Object.keys(handlers))
      if (typeof value !== "function") assert.throws(() => new TlsListener(settings, { ...handlers, [name]: value }))
    for (const name of ["useCertificates", "listen", "stopListening", "exportKeys", "open", "close"]) {
      attempt(() => Reflect.apply(methods[name]!, value, [value]))
      if (name !== "close" && name !== "stopListening") attempt(() => methods[name]!(value, value))
    }
    assert.throws(() => listener.useCertificates(value as never))
    assert.throws(() => listener.useCertificates([certificate, value as never]))
    if (!(value instanceof Uint8Array)) assert.throws(() => addon.ntsKeMessageEnds(value))
  }
  assert.throws(() => listener.useCertificates([{ ...certificate, key: certificate.chain }]))
  assert.throws(() => listener.useCertificates([{ ...certificate, chain: "" }]))
  assert.throws(() => listener.useCertificates(Array.from({ length: 257 }, () => certificate)))
  assert.equal(listener.exportKeys(new Uint8Array(5), new Uint8Array(32)), false)
  assert.throws(() => listener.exportKeys(new Uint8Array(5), new Uint8Array(256)))
  listener.close()
  listener.close()
  listener.stopListening()
  assert.equal(listener.open(), 0)
  assert.throws(() => listener.listen(0))
  assert.throws(() => listener.useCertificates([certificate]))
}

const exerciseConnections = async (): Promise<void> => {
  const [listener, at] = await opened()
  const before = ends
  for (let round = 0; round < 6; round++) {
    const lengths = await Promise.all(
      Array.from({ length: 8 }, () => asked(at, REQUEST, round % 2 ? "known" : "other"))
    )
    assert.deepEqual(new Set(lengths), new Set([REQUEST.length]))
    listener.useCertificates(round % 2 ? [certificate] : [certificate, certificate])
    await Promise.all(Array.from({ length: 8 }, () => aborted(at)))
  }
  await until(() => ends - before >= 96 && listener.open() === 0)
  assert.equal(ends - before, 96)
  listener.close()
}

/** What a handler does wrong costs its own connection, and a thrown error is an uncaught one. */
const exerciseHandlers = async (): Promise<void> => {
  const caught: unknown[] = []
  const keep = (error: unknown): void => void caught.push(error)
  process.on("uncaughtException", keep)
  const fault = new Error("thrown by a handler")
  const throwing = (): never => {
    throw fault
  }
  for (const [name, calls] of Object.entries({ admit: 1, serverName: 1, request: 1, ended: 1 })) {
    const [listener, at] = await opened({ [name]: throwing })
    caught.length = 0
    await asked(at)
    await until(() => caught.length >= calls)
    assert.deepEqual(caught.slice(0, calls), [fault], name)
    listener.close()
  }
  process.off("uncaughtException", keep)
  for (const value of wrong) {
    const [listener, at] = await opened({ request: () => value as Uint8Array })
    const expected = value instanceof Uint8Array ? value.length : 0
    assert.equal(await asked(at), expected)
    listener.close()
  }
  for (const name of ["admit", "serverName", "request", "ended"] as const) {
    const [listener, at]: readonly [NativeTlsListener, number] = await opened({
      [name]: () => {
        listener.stopListening()
        listener.close()
        listener.close()
        return name === "request" ? REQUEST : name === "admit"
      }
    })
    await Promise.all([asked(at), asked(at), aborted(at)])
    await until(() => listener.open() === 0)
    assert.equal(listener.open(), 0)
  }
}

const exerciseLifetimes = async (): Promise<void> => {
  for (let count = 0; count < 10; count++) {
    const forgotten = new addon.TlsListener(settings, handlers)
    if (count % 2 === 0) forgotten.useCertificates([certificate])
    forgotten.close()
  }
  const [listener, at] = await opened()
  const open = Array.from({ length: 4 }, () => connectTcp(at, "127.0.0.1"))
  for (const socket of open) socket.on("error", () => {}).write(Uint8Array.of(0x16))
  await until(() => listener.open() === 4)
  assert.equal(listener.open(), 4)
  listener.close()
  for (const socket of open) socket.destroy()
  for (let round = 0; round < 5; round++) {
    await sleep(10)
    globalThis.gc?.()
  }
}

if (isMainThread) {
  await exerciseWrongArguments()
  await exerciseConnections()
  await exerciseHandlers()
  await exerciseLifetimes()
  for (let round = 0; round < 3; round++) {
    const worker = new Worker(new URL(import.meta.url), { workerData: [path, certificateFile, keyFile] })
    const at = (await once(worker, "message")).at(0) as number
    assert.equal(await asked(at), REQUEST.length)
    const socket = connectTcp(at, "127.0.0.1").on("error", () => {})
    socket.write(Uint8Array.of(0x16))
    await sleep(10)
    await worker.terminate()
    socket.destroy()
  }
  /** Left open and watched: the end of the process closes it. */
  await opened()
  process.stdout.write("exercised\n", () => process.exit(0))
} else {
  const [, at] = await opened()
  parentPort!.postMessage(at)
}
