/** Networks of a test's own, for daemons that open port 123 and no other. They need root, and iproute2. */
import { execFileSync } from "node:child_process"
import { readlinkSync, statSync } from "node:fs"

let made = 0

/** Whether this process may make them; otherwise says on standard error which suite is skipped and why. */
export const canMakeNamespaces = (suite: string): boolean => {
  try {
    if (process.getuid?.() !== 0) throw new Error("not root")
    // Root in a container may have iproute2 and not the right to make one.
    const probe = `meridian-probe-${process.pid}-${(made += 1)}`
    ip("netns", "add", probe)
    ip("netns", "delete", probe)
    execFileSync("unshare", ["--net", "true"], { stdio: "ignore" })
    return true
  } catch {
    process.stderr.write(
      `${suite}: skipped, a network namespace of its own needs root, the right to make one, unshare and iproute2\n`
    )
    return false
  }
}

/** One network, alone but for what it is connected to. */
export class NetworkNamespace {
  /** Unlike any other of this machine. */
  readonly name = `meridian-${process.pid}-${(made += 1)}`
  /** Put before a command and its arguments, it runs in here. */
  readonly within: readonly string[] = ["ip", "netns", "exec", this.name]

  /** @param addresses IPv4, of its loopback beside 127.0.0.1; 192.0.2.0/24 is free for tests */
  constructor(addresses: readonly string[] = []) {
    ip("netns", "add", this.name)
    ip("-n", this.name, "link", "set", "lo", "up")
    for (const address of addresses) ip("-n", this.name, "address", "add", `${address}/32`, "dev", "lo")
  }

  /** Whether a process is in here now. @throws Error ENOENT where there is no such process */
  holds(pid: number): boolean {
    return readlinkSync(`/proc/${pid}/ns/net`) === `net:[${statSync(`/run/netns/${this.name}`).ino}]`
  }

  /** A cable to another network: the names of its ends. @param addresses on this side and on the other, each with its prefix length */
  connect(
    other: NetworkNamespace,
    addresses: readonly string[],
    others: readonly string[]
  ): { readonly here: string; readonly there: string } {
    const [here, there] = [`v${(made += 1)}`, `v${(made += 1)}`]
    ip("link", "add", here, "netns", this.name, "type", "veth", "peer", "name", there, "netns", other.name)
    const sides = [
      [this.name, here, addresses],
      [other.name, there, others]
    ] as const
    for (const [name, device, own] of sides) {
      // An IPv6 address is in use at once, without asking whether somebody else has it; IPv4's networks have their broadcast address.
      for (const address of own)
        ip(
          "-n",
          name,
          "address",
          "add",
          address,
          "dev",
          device,
          ...(address.includes(":") ? ["nodad"] : ["broadcast", "+"])
        )
      ip("-n", name, "link", "set", device, "up")
      if (own.some((address) => !address.includes(":")))
        ip("-n", name, "route", "replace", "224.0.0.0/4", "dev", device)
    }
    return { here, there }
  }

  /** `ip …` in here. */
  ip(...args: readonly string[]): void {
    ip("-n", this.name, ...args)
  }

  /** What `ip …` says in here. */
  show(...args: readonly string[]): string {
    return execFileSync("ip", ["-n", this.name, ...args], { encoding: "utf8" })
  }

  /** Passes packets on between its cables. */
  route(): void {
    const forward = (family: string): string => `net.${family}.conf.all.forwarding=1`
    const [program = "", ...before] = this.within
    for (const family of ["ipv4", "ipv6"])
      execFileSync(program, [...before, "sysctl", "-qw", forward(family)], { stdio: "ignore" })
  }

  /** Removes it, and every cable to it. What runs in there must have ended. */
  remove(): void {
    ip("netns", "delete", this.name)
  }
}

const ip = (...args: readonly string[]): void =>
  void execFileSync("ip", args, { stdio: ["ignore", "ignore", "inherit"] })
