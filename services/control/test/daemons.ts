/** Real daemons beside the node of stage.ts, each in a network of its own, with the same upstream servers. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { NetworkNamespace } from "@meridian/testkit/network-namespace"
import { peer, type PeerName } from "@meridian/testkit/real-peers"
import type { Stage } from "./stage.ts"

export interface Daemon {
  readonly network: NetworkNamespace
  readonly stop: () => Promise<void>
}

const networks = new Map<Stage, number>()

/** A network that reaches the stage's servers. */
const joined = (stage: Stage): NetworkNamespace => {
  const number = (networks.get(stage) ?? 0) + 1
  networks.set(stage, number)
  const network = new NetworkNamespace()
  stage.network.connect(network, [`198.51.100.${4 * number + 1}/30`], [`198.51.100.${4 * number + 2}/30`])
  network.ip("route", "add", "192.0.2.0/29", "via", `198.51.100.${4 * number + 1}`)
  return network
}

/** In a network that is somebody else's. */
const launchIn = (network: NetworkNamespace, name: PeerName, args: readonly string[]): Daemon => {
  const command = peer(name)
  if (command === undefined) throw new Error(`${name} is not here`)
  const [program = "", ...rest] = [...network.within, command.command, ...command.args, ...args]
  const child: ChildProcess = spawn(program, rest, { env: command.env, stdio: "ignore" })
  return {
    network,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill("SIGKILL")
      await once(child, "exit")
    }
  }
}

/** In a network that goes with it. */
const launch = (network: NetworkNamespace, name: PeerName, args: readonly string[]): Daemon => {
  const daemon = launchIn(network, name, args)
  return {
    network,
    stop: async () => {
      await daemon.stop()
      network.remove()
    }
  }
}

/** An ntpd with the node's servers and its reference clock, controlled by the same key. NTS where the daemon has it. */
export const startNtpd = (
  stage: Stage,
  name: "classic-ntpd" | "ntpsec-ntpd" | "ntpsec-ntpd-1.2.3",
  controlKey: number
): Daemon => {
  const file = stage.file(`${name}.conf`)
  const nts = name === "classic-ntpd" ? "" : " nts noval"
  const lines = [
    "restrict default",
    "restrict 127.0.0.1",
    // NTPsec's ends where it may not set the clock.
    ...(name === "classic-ntpd" ? [] : ["disable ntp"]),
    `keys ${stage.file("ntp.keys")}`,
    "trustedkey 1 5",
    `controlkey ${controlKey}`,
    "server 192.0.2.2 iburst minpoll 3 maxpoll 4",
    "server 192.0.2.3 iburst key 1 minpoll 3 maxpoll 4",
    `server 192.0.2.4 iburst${nts} minpoll 3 maxpoll 4`,
    ...(name === "classic-ntpd"
      ? [
          `server 127.127.28.${stage.unit} minpoll 3 maxpoll 3`,
          `fudge 127.127.28.${stage.unit} refid GPS stratum 0 time1 0.0005`
        ]
      : [`refclock shm unit ${stage.unit} refid GPS stratum 0 time1 0.0005 minpoll 3 maxpoll 3`])
  ]
  writeFileSync(file, `${lines.join("\n")}\n`)
  return launch(joined(stage), name, ["-n", "-g", "-c", file, "-l", stage.file(`${name}.log`)])
}

/** A chronyd with the node's servers, asked by its Unix socket. */
export const startChronydBeside = (
  stage: Stage,
  name: "chronyd-4.3" | "chronyd-newest"
): Daemon & { readonly socket: string } => {
  const socket = stage.file(`${name}.sock`)
  const file = stage.file(`${name}-beside.conf`)
  const lines = [
    `keyfile ${stage.file("ntp.keys")}`,
    "server 192.0.2.2 iburst minpoll 3 maxpoll 4",
    "server 192.0.2.3 iburst key 1 minpoll 3 maxpoll 4",
    "server 192.0.2.4 iburst minpoll 3 maxpoll 4",
    `bindcmdaddress ${socket}`,
    `pidfile ${stage.file(`${name}-beside.pid`)}`,
    "allow"
  ]
  writeFileSync(file, `${lines.join("\n")}\n`)
  return { ...launch(joined(stage), name, ["-x", "-d", "-f", file]), socket }
}

/** A chronyd in the stage's network that asks its node by NTS, and nobody else; asked by its Unix socket. */
export const startNtsChronyd = (
  stage: Stage,
  name: "chronyd-4.3" | "chronyd-newest",
  certificate: string
): Daemon & { readonly socket: string } => {
  const socket = stage.file(`${name}-nts.sock`)
  const file = stage.file(`${name}-nts.conf`)
  const lines = [
    "server 127.0.0.1 nts iburst minpoll 3 maxpoll 3",
    `ntstrustedcerts ${certificate}`,
    "port 0",
    "cmdport 0",
    `bindcmdaddress ${socket}`,
    `pidfile ${stage.file(`${name}-nts.pid`)}`
  ]
  writeFileSync(file, `${lines.join("\n")}\n`)
  return { ...launchIn(stage.network, name, ["-x", "-d", "-f", file]), socket }
}

/** NTPsec's ntpd, which asks the stage's node by NTS, and nobody else. */
export const startNtsNtpd = (stage: Stage, controlKey: number): Daemon => {
  const file = stage.file("ntpsec-nts.conf")
  const lines = [
    "restrict default",
    "restrict 127.0.0.1",
    "disable ntp",
    `keys ${stage.keys}`,
    `trustedkey ${controlKey}`,
    `controlkey ${controlKey}`,
    "server 192.0.2.1 nts noval iburst minpoll 3 maxpoll 3"
  ]
  writeFileSync(file, `${lines.join("\n")}\n`)
  return launch(joined(stage), "ntpsec-ntpd", ["-n", "-g", "-c", file, "-l", stage.file("ntpsec-nts.log")])
}
