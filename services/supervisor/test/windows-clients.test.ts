/** Windows clients ask a whole node, which has its replies signed by real Samba, or by `meridian signd` in its place. */
import { writeFileSync } from "node:fs"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { SigndStatus } from "@meridian/ipc"
import { startLoad } from "@meridian/testkit/ntp-load"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { type RunningNode, startNode } from "@meridian/testkit/running-node"
import { Samba, SAMBA_PASSWORDS, sambaAvailable } from "@meridian/testkit/samba"
import {
  askAsWindows,
  type WindowsAnswer,
  type WindowsQuestion,
  windowsRequest
} from "@meridian/testkit/windows-client"

/** Longer than a signature may take, so that silence is an answer. */
const ANSWER_MS = 2_000

describe.runIf(sambaAvailable("Windows clients of a node"))("Windows clients of a node beside Samba", () => {
  let samba: Samba
  let node: RunningNode
  beforeAll(async () => {
    samba = await new Samba().start()
    node = await startNode({ args: ["--workers", "2", "--config", configuration("ntp.conf", samba.directory)] })
  })
  afterAll(async () => {
    await node.stop()
    await samba.stop()
  })

  const configuration = (name: string, socket: string): string => {
    const file = join(samba.directory, "..", name)
    const lines = [
      `ntpsigndsocket ${socket}`,
      "restrict default mssntp",
      "restrict 127.0.0.2",
      // Everybody here has one address.
      "unrestrict default limited"
    ]
    writeFileSync(file, `${lines.join("\n")}\n`)
    return file
  }
  const ask = (question: WindowsQuestion, address = "127.0.0.1"): Promise<WindowsAnswer> =>
    askAsWindows(address, node.port, question, ANSWER_MS)
  const one = (change: Partial<WindowsQuestion> = {}): WindowsQuestion => ({
    rid: samba.accounts.testpc1,
    password: SAMBA_PASSWORDS.testpc1,
    ...change
  })
  const two = (): WindowsQuestion => ({ rid: samba.accounts.testpc2, password: SAMBA_PASSWORDS.testpc2 })
  /** Samba on a busy machine may be late with one; who is never signed for is not with another. */
  const signed = async (question: WindowsQuestion, address = "127.0.0.1"): Promise<void> => {
    for (let waited = 0; (await ask(question, address)).verdict !== "signed"; waited += ANSWER_MS)
      if (waited > PATIENCE_MS) throw new Error(`never signed: ${node.stderr()}`)
  }
  const signdStatus = async (): Promise<SigndStatus> => {
    const { signd } = (await node.status()) as { readonly signd?: SigndStatus | null }
    if (signd === undefined || signd === null) throw new Error("no process for Windows clients")
    return signd
  }
  const until = async (holds: (status: SigndStatus) => boolean): Promise<SigndStatus> => {
    for (let waited = 0; waited < PATIENCE_MS; waited += 200) {
      const status = await signdStatus()
      if (holds(status)) return status
      await sleep(200)
    }
    throw new Error(JSON.stringify(await signdStatus()))
  }
  const flood = async (questions: readonly WindowsQuestion[]): Promise<void> => {
    const socket = createSocket("udp4")
    socket.connect(node.port, "127.0.0.1")
    await once(socket, "connect")
    questions.forEach((question, index) => socket.send(windowsRequest(question, BigInt(index + 1))))
    await sleep(50)
    socket.close()
  }
  const ended = ({ replied, unsent, dropped }: SigndStatus): number =>
    replied + unsent + Object.values(dropped).reduce((sum, count) => sum + count, 0)

  it("get signed time: both machines, versions 3 and 4, mode 1, over IPv4 and IPv6; others none", async () => {
    await signed(one())
    for (const question of [two(), one({ version: 4 }), one({ mode: 1 }), one({ previous: true })])
      await signed(question)
    await signed(one(), "::1")
    expect((await ask({ rid: 99_999, password: "x" })).verdict).toBe("no-answer")
    expect((await ask(one({ extended: true }))).verdict).toBe("no-answer")
    const status = await until((now) => now.received === ended(now) && now.replied >= 6)
    expect(status.dropped).toMatchObject({ refused: 1, extended: 1 })
    expect(status.socket).toBe(samba.directory)
    expect(status.trouble).toBeNull()
  })

  it("get none where no restrict line says so", async () => {
    const before = (await signdStatus()).dropped["mssntp-not-allowed"] ?? 0
    const socket = createSocket("udp4")
    socket.bind(0, "127.0.0.2")
    await once(socket, "listening")
    socket.send(windowsRequest(one(), 1n), node.port, "127.0.0.1")
    const { dropped } = await until((now) => (now.dropped["mssntp-not-allowed"] ?? 0) > before)
    expect(dropped["mssntp-not-allowed"]).toBe(before + 1)
    socket.close()
  })

  it("cost plain time nothing while Samba hangs, ends and comes back; each of their requests is counted", async () => {
    await signed(one())
    samba.signal("SIGSTOP")
    const plain = await startLoad({ port: node.port, sources: 8, rate: 2_000 })
    await flood(Array.from({ length: 400 }, () => one()))
    const unsigned = ({ dropped }: SigndStatus): number => (dropped["late"] ?? 0) + (dropped["queue-full"] ?? 0)
    await until((now) => unsigned(now) === 400 && now.received === ended(now))
    samba.signal("SIGCONT")
    await signed(two())
    const { lost, wrong, answered } = await plain.finish()
    expect({ lost, wrong }).toEqual({ lost: [], wrong: 0 })
    expect(answered).toBeGreaterThan(1_000)
    await samba.end()
    await flood(Array.from({ length: 50 }, () => two()))
    await until(({ trouble, dropped }) => trouble !== null && (dropped["signd-away"] ?? 0) > 0)
    expect(node.stderr()).toContain("Windows clients get no signed time")
    await samba.start()
    await signed(one())
    await until(({ trouble }) => trouble === null)
  })
})
