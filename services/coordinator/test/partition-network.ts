/**
 * Machines that can be cut off from each other: a network namespace each, joined by a bridge in one more. They belong to
 * processes of this test and end with them; no name and no device is left behind. As root or, where the kernel lets anybody
 * make user namespaces, without.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync, readlinkSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"

/** However the test ends, its namespaces end by then. */
const LIFE_S = "1200"
const START_LIMIT_MS = 120_000

export interface Machine {
  readonly address: string
  /** Words that begin the command line of a program that is to run there. */
  readonly how: ReadonlyArray<string>
  /** Nothing reaches it any more, or leaves it; connections stay as they are. */
  readonly cut: () => void
  readonly heal: () => void
}

interface PartitionNetwork {
  readonly machines: ReadonlyArray<Machine>
  readonly remove: () => Promise<void>
}

const enter = ({ pid }: ChildProcess): ReadonlyArray<string> => [
  "nsenter",
  "-t",
  String(pid),
  "-U",
  "-n",
  "--preserve-credentials",
  "--"
]

const run = ([command = "", ...args]: ReadonlyArray<string>): void =>
  void execFileSync(command, args, { stdio: ["ignore", "ignore", "pipe"] })

const ownNamespace = (pid: number | "self"): string => readlinkSync(`/proc/${pid}/ns/net`)

/** A process that sleeps in a network namespace of its own. */
const hold = async (words: ReadonlyArray<string>): Promise<ChildProcess> => {
  const [command, ...args] = [...words, "sleep", LIFE_S]
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "ignore"] })
  await once(child, "spawn")
  for (const end = performance.now() + START_LIMIT_MS; performance.now() < end;) {
    if (child.exitCode !== null || child.pid === undefined) throw new Error(`${command} ended with ${child.exitCode}`)
    const sleeps = readFileSync(`/proc/${child.pid}/comm`, "utf8").trim() === "sleep"
    if (sleeps && ownNamespace(child.pid) !== ownNamespace("self")) return child
    await sleep(10)
  }
  throw new Error("no network namespace was made")
}

/** The network, or why there can be none on this machine. */
export const makePartitionNetwork = async (size: number): Promise<PartitionNetwork | string> => {
  const held: Array<ChildProcess> = []
  const remove = async (): Promise<void> => {
    for (const child of held.toReversed())
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGKILL")
        await once(child, "exit")
      }
  }
  try {
    const hub = await hold(["unshare", "-rn"])
    held.push(hub)
    const ip = (...args: ReadonlyArray<string>): void => run([...enter(hub), "ip", ...args])
    ip("link", "add", "bridge", "type", "bridge")
    ip("link", "set", "bridge", "up")
    const machines: Array<Machine> = []
    for (let index = 0; index < size; index++) {
      const child = await hold(["nsenter", "-t", String(hub.pid), "-U", "--preserve-credentials", "unshare", "-n"])
      held.push(child)
      const how = enter(child)
      const [port, address] = [`port${index}`, `10.99.0.${index + 1}`]
      ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", String(child.pid))
      ip("link", "set", port, "master", "bridge", "up")
      run([...how, "ip", "link", "set", "lo", "up"])
      run([...how, "ip", "address", "add", `${address}/24`, "dev", "eth0"])
      run([...how, "ip", "link", "set", "eth0", "up"])
      machines.push({
        address,
        how,
        cut: () => ip("link", "set", port, "nomaster"),
        heal: () => ip("link", "set", port, "master", "bridge")
      })
    }
    return { machines, remove }
  } catch (error) {
    await remove()
    const { stderr, message } = error as Error & { readonly stderr?: Buffer }
    return `network namespaces cannot be made here: ${stderr?.toString().trim() || message}`
  }
}
