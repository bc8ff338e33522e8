/** Real servers on loopback, each without the right to touch this machine's clock. */
import { type ChildProcess, spawn } from "node:child_process"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { peer, type PeerName } from "@meridian/testkit/real-peers"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { freePort } from "@meridian/testkit/running-node"
import type { Folder } from "./running-discipline.ts"

export interface RunningServer {
  readonly address: string
  readonly port: number
  readonly stop: () => Promise<void>
}

interface Launch {
  readonly name: PeerName
  readonly args: readonly string[]
  readonly address: string
  readonly port: number
  readonly namespace?: string
}

const start = async ({ name, args, address, port, namespace }: Launch): Promise<RunningServer> => {
  const command = peer(name)
  if (command === undefined) throw new Error(`${name} is not here`)
  const within = namespace === undefined ? [] : ["ip", "netns", "exec", namespace]
  const [program = "", ...rest] = [...within, command.command, ...command.args, ...args]
  const child: ChildProcess = spawn(program, rest, { env: command.env, stdio: ["ignore", "pipe", "pipe"] })
  let said = ""
  child.stdout?.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")))
  child.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")))
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill("SIGKILL")
    await once(child, "exit")
  }
  for (let waited = 0; waited < PATIENCE_MS; waited += 50) {
    if (child.exitCode !== null) throw new Error(`${name} ended: ${said}`)
    // From outside a namespace nobody can ask; its clients wait for it anyway.
    if (namespace !== undefined || (await answers(address, port))) return { address, port, stop }
    await sleep(50)
  }
  await stop()
  throw new Error(`${name} does not answer on ${address} port ${port}: ${said}`)
}

/** Whether somebody answers a mode 3 request there. */
const answers = (address: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createSocket("udp4")
    const done = (answer: boolean): void => {
      clearTimeout(limit)
      socket.close()
      resolve(answer)
    }
    const limit = setTimeout(() => done(false), 1_000)
    socket.on("message", () => done(true))
    socket.on("error", () => done(false))
    const request = new Uint8Array(48)
    request[0] = 0x23
    request[47] = 1
    socket.connect(port, address, () => socket.send(request))
  })

/**
 * @param lines of chrony.conf besides what every one of these servers needs
 * @param place a network namespace and a port that is free there; otherwise any free port of this machine
 */
export const startChronyd = async (
  folder: Folder,
  address: string,
  lines: readonly string[] = [],
  stratum = 2,
  place?: { readonly namespace: string; readonly port: number },
  program: "chronyd-4.3" | "chronyd-newest" = "chronyd-4.3"
): Promise<RunningServer> => {
  const port = place?.port ?? (await freePort())
  const name = `chronyd-${address}-${port}`
  const configuration = [
    `port ${port}`,
    `bindaddress ${address}`,
    "cmdport 0",
    "bindcmdaddress /",
    `pidfile ${folder.file(name)}.pid`,
    `local stratum ${stratum}`,
    "allow",
    ...lines
  ]
  writeFileSync(folder.file(`${name}.conf`), `${configuration.join("\n")}\n`)
  const args = ["-x", "-d", "-f", folder.file(`${name}.conf`)]
  return start({ name: program, args, address, port, ...(place && { namespace: place.namespace }) })
}

/** Serves its own clock at stratum 6 on 127.0.0.1 port 123 of a network namespace. */
export const startNtpsec = async (
  folder: Folder,
  namespace: string,
  lines: readonly string[]
): Promise<RunningServer> => {
  const path = folder.file("ntpsec.conf")
  const configuration = [
    "refclock local stratum 5 prefer minpoll 3 maxpoll 3",
    "tos minsane 1 orphan 6 orphanwait 1",
    ...lines
  ]
  writeFileSync(path, `${configuration.join("\n")}\n`)
  const args = ["-n", "-g", "-c", path, "-l", folder.file("ntpsec.log")]
  return start({ name: "ntpsec-ntpd", args, address: "127.0.0.1", port: 123, namespace })
}

/** Classic ntpd on port 123 of every address of a network namespace. */
export const startClassicNtpd = async (
  folder: Folder,
  namespace: string,
  lines: readonly string[]
): Promise<RunningServer> => {
  const path = folder.file(`${namespace}.conf`)
  writeFileSync(path, `${lines.join("\n")}\n`)
  const args = ["-n", "-g", "-c", path, "-l", folder.file(`${namespace}.log`)]
  return start({ name: "classic-ntpd", args, address: "127.0.0.1", port: 123, namespace })
}
