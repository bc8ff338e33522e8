/**
 * Machines that can be cut off from each other: network namespaces on one bridge, and a disk each of a bounded size. All of it
 * belongs to namespaces of this process (faults.ts makes them) and ends with it.
 */
import { execFileSync } from "node:child_process"
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"

const NETWORK = "10.77.0"
/** This process's own address, where clients come from. */
const CLIENT_ADDRESS = `${NETWORK}.254`
const MIB = 1_048_576

const run = (command: string, ...args: readonly string[]): void =>
  void execFileSync(command, args, { stdio: ["ignore", "ignore", "pipe"] })
const ip = (...args: readonly string[]): void => run("ip", ...args)

/** The bridge, and a place for the names of networks. To be called once, first. */
export const makeNetwork = (): void => {
  ip("link", "set", "lo", "up")
  mkdirSync("/run/netns", { recursive: true })
  run("mount", "-t", "tmpfs", "none", "/run/netns")
  ip("link", "add", "lan", "type", "bridge")
  ip("address", "add", `${CLIENT_ADDRESS}/24`, "dev", "lan")
  ip("link", "set", "lan", "up")
}

export class Machine {
  readonly name: string
  readonly address: string
  /** Words that begin the command line of a program that is to run there; it cannot set the machine's clock. */
  readonly how: readonly string[]

  /** @param host the last octets of its addresses, the first one its own */
  constructor(name: string, hosts: readonly number[]) {
    this.name = name
    this.address = `${NETWORK}.${hosts[0]}`
    const powerless = ["setpriv", "--bounding-set", "-sys_time", "--inh-caps", "-sys_time"]
    this.how = ["ip", "netns", "exec", name, ...powerless]
    ip("netns", "add", name)
    ip("link", "add", this.#port, "type", "veth", "peer", "name", "eth0", "netns", name)
    ip("link", "set", this.#port, "master", "lan", "up")
    ip("-n", name, "link", "set", "lo", "up")
    for (const host of hosts) ip("-n", name, "address", "add", `${NETWORK}.${host}/24`, "dev", "eth0")
    ip("-n", name, "link", "set", "eth0", "up")
  }

  get #port(): string {
    return `port-${this.name}`
  }

  /** Nothing reaches it any more, or leaves it; connections stay as they are. */
  cut(): void {
    ip("link", "set", this.#port, "nomaster")
  }

  heal(): void {
    ip("link", "set", this.#port, "master", "lan")
  }

  /** What is sent to it comes late by up to twice so many milliseconds, and some of it never. */
  disturb(delayMs: number, lossPercent: number): void {
    const [delay, loss] = [`${delayMs}ms`, `${lossPercent}%`]
    run("tc", "qdisc", "replace", "dev", this.#port, "root", "netem", "delay", delay, delay, "loss", loss)
  }

  calm(): void {
    run("tc", "qdisc", "delete", "dev", this.#port, "root")
  }
}

/** Whether this kernel can delay packets. */
export const canDisturb = (machine: Machine): boolean => {
  try {
    machine.disturb(1, 0)
    machine.calm()
    return true
  } catch {
    return false
  }
}

/** A folder on a disk of its own. */
export class Disk {
  readonly folder: string

  constructor(folder: string, mebibytes: number) {
    this.folder = folder
    mkdirSync(folder, { recursive: true })
    run("mount", "-t", "tmpfs", "-o", `size=${mebibytes}m,mode=750`, "none", folder)
  }

  get #filler(): string {
    return join(this.folder, "filler")
  }

  /** Takes every byte that is left. */
  fill(): void {
    const descriptor = openSync(this.#filler, "a")
    try {
      for (const size of [MIB, 4_096, 1]) writeUntilFull(descriptor, Buffer.alloc(size))
    } finally {
      closeSync(descriptor)
    }
  }

  empty(): void {
    rmSync(this.#filler, { force: true })
  }
}

const writeUntilFull = (descriptor: number, bytes: Buffer): void => {
  try {
    while (writeSync(descriptor, bytes) === bytes.length);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error
  }
}
