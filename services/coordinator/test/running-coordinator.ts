/** Starts a real coordinator the way the supervisor does, with the message channel, and asks its socket as the CLI does. */
import { type ChildProcess, type Serializable, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import {
  type CoordinatorReport,
  type FromCoordinator,
  parseFromCoordinator,
  type ToCoordinator
} from "@meridian/ipc/coordinator-report"
import type { ClusterState } from "@meridian/ipc"
import { isRecord } from "@meridian/ipc/message"
import type { PlanMessage } from "@meridian/ipc/serving-plan"
import { planOf } from "./plan-of.ts"

const program = resolve(import.meta.dirname, "../src/main.ts")
/** What is waited for comes within moments; on a machine with much else to do it may take minutes. */
const PATIENCE_MS = 180_000

/** A directory for states and key files, removed by `remove`. */
export interface Place {
  readonly path: string
  readonly clusterKey: (name?: string, mode?: number) => string
  readonly remove: () => void
}

export const makePlace = (): Place => {
  const path = mkdtempSync(join(tmpdir(), "meridian-co-"))
  return {
    path,
    clusterKey: (name = "cluster-key", mode = 0o600) => {
      const file = join(path, name)
      writeFileSync(file, `${randomBytes(32).toString("hex")}\n`, { mode })
      return file
    },
    remove: () => rmSync(path, { recursive: true, force: true })
  }
}

export interface Answer {
  readonly status: number
  readonly text: string
}

export interface RunningCoordinator {
  readonly process: ChildProcess
  readonly directory: string
  readonly warnings: ReadonlyArray<string>
  readonly allKeys: ReadonlyArray<ServingKeys>
  readonly messages: ReadonlyArray<string>
  /** What it told its supervisor to show, and what it wrote to standard error itself. */
  readonly said: () => string
  readonly send: (message: ToCoordinator) => void
  /** The first keys, from now on or before, that satisfy the condition and are the newest. */
  readonly keys: (until?: (keys: ServingKeys) => boolean) => Promise<ServingKeys>
  /** The first keys that satisfy the condition, others may have followed by now. */
  readonly keysOnce: (until: (keys: ServingKeys) => boolean) => Promise<ServingKeys>
  readonly report: (until?: (report: CoordinatorReport) => boolean) => Promise<CoordinatorReport>
  readonly warning: (pattern: RegExp) => Promise<string>
  readonly ask: (method: "GET" | "POST", path: string, body?: unknown) => Promise<Answer>
  /** Gives a command again and again while the answer is to try again (503); the first other answer. */
  readonly command: (path: string, body: unknown) => Promise<Answer>
  readonly state: () => Promise<ClusterState>
  /** The state once it satisfies the condition. */
  readonly stateWhen: (until: (state: ClusterState) => boolean) => Promise<ClusterState>
  readonly kill: () => Promise<void>
  /** Drains and ends it; its exit code. */
  readonly drain: () => Promise<number | null>
  readonly exited: Promise<number | null>
}

/** Waits until something is found; fails with what was seen last. */
export const until = async <A>(look: () => A | undefined | Promise<A | undefined>, what: () => string): Promise<A> => {
  for (const end = performance.now() + PATIENCE_MS; ;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error(`waited in vain: ${what()}`)
    await sleep(20)
  }
}

/** Asks the socket of the coordinator that has this state directory. */
export const askSocket = (directory: string, method: "GET" | "POST", path: string, body?: unknown): Promise<Answer> =>
  new Promise((done, failed) => {
    // A connection of its own: one that was kept may belong to a process that has ended since.
    const options = { socketPath: join(directory, "coordinator.sock"), path, method, agent: false } as const
    const asking = request(options, (response) => {
      let text = ""
      response.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")))
      response.on("end", () => done({ status: response.statusCode ?? 0, text }))
    })
    asking.on("error", failed)
    asking.end(body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body))
  })

/** `how`: words that begin the command line, of a program that becomes the one that follows. */
export const startCoordinator = (
  directory: string,
  node: string,
  args: ReadonlyArray<string> = [],
  how: ReadonlyArray<string> = []
): RunningCoordinator => {
  mkdirSync(directory, { recursive: true })
  const own = ["--max-semi-space-size=4", program]
  const [command = process.execPath, ...words] = [...how, process.execPath, ...own]
  const child = spawn(command, words, { serialization: "advanced", stdio: ["ignore", "ignore", "pipe", "ipc"] })
  const plan: PlanMessage = { type: "plan", version: 1, sockets: [], plan: planOf(directory, node, args) }
  child.send(plan as unknown as Serializable, () => {})
  const allKeys: Array<ServingKeys> = []
  const warnings: Array<string> = []
  const messages: Array<string> = []
  let report: CoordinatorReport | undefined
  let stderr = ""
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString("utf8")))
  child.on("message", (raw) => {
    if (isRecord(raw) && raw["type"] === "holds") return
    const message: FromCoordinator | undefined = parseFromCoordinator(raw)
    messages.push(message?.type ?? "keys")
    if (message?.type === "keys") allKeys.push(message)
    if (message?.type === "report") report = message
    if (message?.type === "warning") warnings.push(message.message)
  })
  const exited = once(child, "close").then(([code]) => code as number | null)
  const ask: RunningCoordinator["ask"] = (method, path, body) => askSocket(directory, method, path, body)
  const state = async (): Promise<ClusterState> => JSON.parse((await ask("GET", "/state")).text) as ClusterState
  const seen = (): string => JSON.stringify({ report, warnings, stderr })
  return {
    process: child,
    directory,
    warnings,
    allKeys,
    messages,
    said: () => [...warnings, stderr].join("\n"),
    send: (message) => void (child.connected && child.send(message)),
    keys: (good = () => true) =>
      until(() => {
        const last = allKeys.at(-1)
        return last !== undefined && good(last) ? last : undefined
      }, seen),
    keysOnce: (good) => until(() => allKeys.find(good), seen),
    report: (good = () => true) => until(() => (report !== undefined && good(report) ? report : undefined), seen),
    warning: (pattern) => until(() => warnings.find((it) => pattern.test(it)), seen),
    ask,
    command: (path, body) => {
      let last: Answer | undefined
      return until(
        async () => {
          last = await ask("POST", path, body)
          return last.status === 503 ? undefined : last
        },
        () => `${path} ${JSON.stringify(last)} ${seen()}`
      )
    },
    state,
    stateWhen: (good) => {
      let last: ClusterState | undefined
      return until(
        async () => {
          last = await state().catch(() => undefined)
          return last !== undefined && good(last) ? last : undefined
        },
        () => `${JSON.stringify(last)} ${seen()}`
      )
    },
    kill: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL")
      await exited
    },
    drain: async () => {
      if (child.connected) child.send({ type: "drain" } satisfies ToCoordinator)
      return exited
    },
    exited
  }
}

export const ids = ({ generations }: ServingKeys): ReadonlyArray<number> => generations.map(({ id }) => id)
