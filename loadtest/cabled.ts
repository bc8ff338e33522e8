/**
 * A server with a network of its own and a cable to another, where the generator is: packets go through a driver, which loopback has not. Each end of the
 * cable has a kernel thread for what it receives (threaded NAPI), so that what a packet costs before it reaches a process can be read.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import type { Command } from "./children.ts"
import { generate } from "./measure.ts"
import type { CoreLayout } from "./process-figures.ts"
import { type answers, checkout, type RunningServer, startCommands } from "./servers.ts"

export const SERVER = "192.0.2.1"
const CLIENT = "192.0.2.2"
const passProgram = join(checkout, "libs/xdp/test/pass-program.ts")

const run = (command: string, ...args: readonly string[]): void =>
  void execFileSync(command, args, { stdio: ["ignore", "ignore", "pipe"] })

/** The kernel's thread for a device; its name ends in the number of its queue. */
const threadOf = (device: string): number => {
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue
    try {
      if (readFileSync(`/proc/${entry}/comm`, "utf8").startsWith(`napi/${device}-`)) return Number(entry)
    } catch {
      // It has ended.
    }
  }
  throw new Error(`expected a thread napi/${device}-…, found none: threaded NAPI needs Linux 5.12 or newer`)
}

/** Why there can be no such network here; undefined where there can. */
export const missingCable = (): string | undefined => {
  if (process.getuid?.() !== 0) return "networks of its own need root"
  try {
    for (const [program, flag] of [
      ["ip", "-V"],
      ["ethtool", "--version"]
    ] as const)
      run(program, flag)
    return undefined
  } catch {
    return "iproute2 and ethtool are needed"
  }
}

let made = 0

/** Two networks with a cable between them; each end's device has its network's name. */
export interface Cable {
  readonly here: string
  readonly there: string
  readonly remove: () => void
}

/** @param clients addresses of the far end, beside its own */
export const layCable = (clients: readonly string[] = []): Cable => {
  const number = (made += 1)
  const [here, there] = [`mb${process.pid % 1000}s${number}`, `mb${process.pid % 1000}c${number}`]
  const removeBoth = (): void => {
    for (const network of [here, there])
      try {
        run("ip", "netns", "delete", network)
      } catch {
        // It was never made.
      }
  }
  process.once("exit", removeBoth)
  for (const network of [here, there]) {
    run("ip", "netns", "add", network)
    run("ip", "-n", network, "link", "set", "lo", "up")
  }
  run("ip", "link", "add", here, "netns", here, "type", "veth", "peer", "name", there, "netns", there)
  for (const [network, addresses] of [
    [here, [SERVER]],
    [there, [CLIENT, ...clients]]
  ] as const) {
    for (const address of addresses) run("ip", "-n", network, "address", "add", `${address}/24`, "dev", network)
    run("ip", "-n", network, "link", "set", network, "up")
  }
  const remove = (): void => {
    removeBoth()
    process.removeListener("exit", removeBoth)
  }
  return { here, there, remove }
}

/** Asks until the server's answers are right; some daemons need a minute until they believe their own clock. */
export const answersBehind =
  (within: readonly string[], core: number, ownPort?: number): typeof answers =>
  async (address, port, ended) => {
    for (let attempt = 0; attempt < 60 && !ended(); attempt += 1) {
      const flags = ["--mode", "open", "--rate", "20", "--seconds", "1"]
      const report = await generate(address, ownPort ?? port, flags, core, within)
      if (report.answered > 0 && report.wrong === 0) return true
    }
    return false
  }

/** A command in a network. */
export const inNetwork = (network: string, command: Command): Command => ({
  ...command,
  command: "ip",
  args: ["netns", "exec", network, command.command, ...command.args]
})

/** Puts a device's thread on a core, with the features it needs for one. */
const threaded = (network: string, device: string, core: number): number => {
  run("ip", "netns", "exec", network, "ethtool", "-K", device, "gro", "on")
  // The namespace's own /sys is mounted by `ip netns exec`.
  run("ip", "netns", "exec", network, "sh", "-c", `echo 1 > /sys/class/net/${device}/threaded`)
  const thread = threadOf(device)
  run("taskset", "-pc", String(core), String(thread))
  // It stands for an interrupt, which no process holds up.
  run("renice", "-n", "-20", "-p", String(thread))
  return thread
}

/** A veth delivers what a program sends back only to a peer that has a program itself. */
const holdPassProgram = async (network: string, device: string): Promise<ChildProcess> => {
  const child = spawn("ip", ["netns", "exec", network, process.execPath, passProgram, device], {
    stdio: ["pipe", "pipe", "ignore"]
  })
  await Promise.race([once(child.stdout, "data"), once(child, "exit")])
  return child
}

/**
 * Starts a server behind a cable. Its figures hold its processes and the thread of its device.
 * @param commands get the address, the port, a folder and the device's name
 */
export const startCabled = async (
  name: RunningServer["name"],
  label: string,
  layout: CoreLayout,
  commands: (address: string, port: number, folder: string, device: string) => readonly Command[]
): Promise<RunningServer> => {
  const { here, there, remove } = layCable()
  const holder = await holdPassProgram(there, there)
  const within = ["ip", "netns", "exec", there]
  const ready = answersBehind(within, layout.generator)
  const options = { address: SERVER, workers: 1, cores: layout.one }
  const begin = (port: number, folder: string): readonly Command[] =>
    commands(SERVER, port, folder, here).map((command) => inNetwork(here, command))
  const server = await startCommands(name, label, options, begin, ready)
  const threads = [threaded(here, here, layout.one[0] ?? 0)]
  threaded(there, there, layout.generator)
  return {
    ...server,
    within: () => within,
    pids: () => [...server.pids(), ...threads],
    stop: async () => {
      await server.stop()
      holder.stdin?.end()
      remove()
    }
  }
}
