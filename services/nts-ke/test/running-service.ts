/** Starts a real NTS-KE process the way the supervisor does: inherited listening sockets, keys over the message channel. */
import { type ChildProcess, spawn } from "node:child_process"
import { generateKeyPairSync } from "node:crypto"
import { once } from "node:events"
import { closeSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { COOKIE_AEAD, type SessionKeys } from "@meridian/auth/cookie"
import { type CookieRefusal, openCookie } from "@meridian/testkit/cookies"
import { type Generation, KeyRing } from "@meridian/auth/key-ring"
import { aeadProvider } from "@meridian/ciphers/aead"
import { tcpListen, TcpListenError } from "@meridian/tls/tcp-listen"
import { type FromNtsKe, type NtsKeReport, parseFromNtsKe, type ToNtsKe } from "@meridian/ipc/nts-ke-report"
import type { DrainedMessage, ReadyMessage } from "@meridian/ipc/service-messages"
import type { WarningMessage } from "@meridian/ipc/supervised"
import type { HoldsMessage, NtsKeSettings, PlanMessage } from "@meridian/ipc/serving-plan"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import type { CertificateFiles } from "../src/certificates.ts"
import { selfSigned } from "../src/development-certificate.ts"

const program = resolve(import.meta.dirname, "../src/main.ts")

export const generation = (id: number, changes: Partial<Generation> = {}): Generation => ({
  id,
  key: Uint8Array.from({ length: 32 }, (_, index) => (index * 31 + id * 7) & 0xff),
  activation: 0,
  retirement: 4e9,
  revoked: false,
  ...changes
})

/** A folder with certificates that is removed by {@link Folder.remove}. */
export interface Folder {
  readonly path: string
  /** Writes a fresh self-signed pair for these names over the one of that name. */
  readonly certificate: (name: string, names: readonly string[], now?: number) => CertificateFiles
  readonly remove: () => void
}

export const makeFolder = (): Folder => {
  const path = mkdtempSync(join(tmpdir(), "meridian-nts-ke-"))
  return {
    path,
    certificate: (name, names, now = Date.now() / 1000) => {
      const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
      const files = { certificate: join(path, `${name}.crt`), key: join(path, `${name}.key`) }
      writeFileSync(files.key, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 })
      writeFileSync(files.certificate, selfSigned(privateKey, names, now))
      return files
    },
    remove: () => rmSync(path, { recursive: true, force: true })
  }
}

export interface RunningService {
  readonly port: number
  readonly process: ChildProcess
  readonly stderr: () => string
  readonly warnings: readonly string[]
  readonly send: (message: ToNtsKe) => void
  /** Sends its plan again with these keys in it. */
  readonly useKeys: (generations: readonly Generation[]) => void
  /** The next report that satisfies the condition; fails after a while with the last one seen. */
  readonly report: (until?: (report: NtsKeReport) => boolean) => Promise<NtsKeReport>
  /** The next warning that matches. */
  readonly warning: (pattern: RegExp) => Promise<string>
  /** Asks it to drain; its last report. */
  readonly drained: () => Promise<NtsKeReport>
  /** Ends it if it still runs; its exit code. */
  readonly stop: () => Promise<number | null>
}

interface ServiceOptions {
  readonly certificates?: readonly CertificateFiles[]
  readonly settings?: Partial<NtsKeSettings>
  readonly addresses?: readonly string[]
  readonly generations?: readonly Generation[]
}

/** A TCP port that nobody uses at this moment. */
const freeTcpPort = async (): Promise<number> => {
  const probe = createServer().listen(0, "127.0.0.1")
  await once(probe, "listening")
  const address = probe.address()
  await new Promise((closed) => probe.close(closed))
  return typeof address === "object" && address !== null ? address.port : 0
}

/** Listens on one port of all these addresses. */
const listenOnFreePort = async (
  addresses: readonly string[],
  attempts = 20
): Promise<{ readonly port: number; readonly descriptors: readonly number[] }> => {
  const port = await freeTcpPort()
  const descriptors: number[] = []
  try {
    for (const address of addresses) descriptors.push(tcpListen({ address, port, exclusive: true }))
    return { port, descriptors }
  } catch (error) {
    for (const descriptor of descriptors) closeSync(descriptor)
    // Somebody took it meanwhile, or has it on the other address.
    if (error instanceof TcpListenError && error.code === "EADDRINUSE" && attempts > 1)
      return listenOnFreePort(addresses, attempts - 1)
    throw error
  }
}

/** Without what vitest needs for itself. */
export const childEnvironment = (): NodeJS.ProcessEnv => {
  const { NODE_OPTIONS: _options, VITEST: _vitest, NODE_ENV: _env, ...rest } = process.env
  return rest
}

/** A descriptor's child sees it under this number: after standard in, out, error and the message channel. */
const FIRST_PASSED_DESCRIPTOR = 4

const spawnService = (descriptors: readonly number[]): ChildProcess =>
  spawn(
    process.execPath,
    [program, "--sockets", descriptors.map((_, index) => FIRST_PASSED_DESCRIPTOR + index).join(",")],
    {
      stdio: ["ignore", "inherit", "pipe", "ipc", ...descriptors],
      serialization: "advanced",
      env: childEnvironment()
    }
  )

/** Limits as the service chooses them, and without any on how often one address may come. */
export const NO_CHOICE: NtsKeSettings["admission"] = {
  connections: null,
  connectionsPerAddress: null,
  rate: null,
  ratePerAddress: null
}
export const UNLIMITED: NtsKeSettings["admission"] = { ...NO_CHOICE, ratePerAddress: { perSecond: 0, burst: 0 } }

/** What a service works by that nobody configured further. */
export const settingsWith = (change: Partial<NtsKeSettings>): NtsKeSettings => ({
  certificates: [],
  developmentDirectory: "/nonexistent",
  tls: { minimum: null, maximum: null, cipherSuites: null, curves: null },
  // The client shares a busy machine with it; what these limits do is for tests that ask for shorter ones.
  handshakeSeconds: 60,
  exchangeSeconds: 60,
  reportSeconds: 0.1,
  aeads: [15, 16, 17, 30],
  timeServer: { host: null, port: null },
  admission: NO_CHOICE,
  ...change
})

export const startService = async (options: ServiceOptions): Promise<RunningService> => {
  const { certificates = [], settings = {}, addresses = ["127.0.0.1"], generations = [generation(1)] } = options
  const { port, descriptors } = await listenOnFreePort(addresses)
  const child = spawnService(descriptors)
  for (const descriptor of descriptors) closeSync(descriptor)
  const exited = once(child, "exit")
  const heard: FromNtsKe[] = []
  const warnings: string[] = []
  let errors = ""
  child.stderr?.on("data", (chunk: Buffer) => void (errors += chunk.toString()))
  child.on("message", (raw) => {
    if ((raw as HoldsMessage).type === "holds") return
    const message = parseFromNtsKe(raw)
    if (message === undefined) throw new Error(`not a message of ours: ${JSON.stringify(raw)}`)
    heard.push(message)
    if (message.type === "warning") warnings.push(message.message)
  })
  const hear = async <T extends FromNtsKe>(
    what: string,
    from: number,
    is: (message: FromNtsKe) => message is T
  ): Promise<T> => {
    for (let waited = 0; waited < PATIENCE_MS; waited += 20) {
      const found = heard.slice(from).find(is)
      if (found !== undefined) return found
      if (child.exitCode !== null) break
      await sleep(20)
    }
    const last = heard.findLast(({ type }) => type === "report")
    throw new Error(`no ${what}; ${errors}\n${JSON.stringify(last)}\n${warnings.join("\n")}`)
  }
  const send = (message: ToNtsKe): void => void child.send(message)
  const stop = async (): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM")
      await exited
    }
    return child.exitCode
  }
  let version = 0
  const useKeys = (held: readonly Generation[]): void => {
    version += 1
    const plan = { ...settingsWith({ certificates, ...settings }), accepts: true, generations: held }
    const sockets = addresses.map((address) => ({ address, port }))
    child.send({ type: "plan", version, sockets, plan } satisfies PlanMessage)
  }
  useKeys(generations)
  try {
    await hear("ready", 0, (message): message is ReadyMessage => message.type === "ready")
  } catch (error) {
    await stop()
    throw error
  }
  return {
    port,
    process: child,
    stderr: () => errors,
    warnings,
    send,
    useKeys,
    report: (until = () => true) =>
      hear("report", heard.length, (message): message is NtsKeReport => message.type === "report" && until(message)),
    warning: async (pattern) => {
      const matches = (message: FromNtsKe): message is WarningMessage =>
        message.type === "warning" && pattern.test(message.message)
      return (await hear("warning", 0, matches)).message
    },
    drained: async () => {
      const from = heard.length
      send({ type: "drain" })
      return (
        await hear("drained", from, (message): message is DrainedMessage<NtsKeReport> => message.type === "drained")
      ).report
    },
    stop
  }
}

/** Opens a cookie with a ring of these generations, as a worker does. */
export const opened = (cookie: Uint8Array, generations: readonly Generation[]): SessionKeys | CookieRefusal => {
  const sealing = aeadProvider().aeads.get(COOKIE_AEAD)
  if (sealing === undefined) throw new Error("no AEAD for cookies")
  return openCookie(sealing, KeyRing.of(generations), cookie, Date.now() / 1000)
}
