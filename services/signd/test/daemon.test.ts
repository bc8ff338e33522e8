/** The signing daemon as a program: what Samba answered is what it answers, and nobody else is let near. */
import { createHash } from "node:crypto"
import { existsSync, lstatSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ntHash } from "@meridian/auth/md4"
import { readSigndAnswer } from "@meridian/wire/signd-frames"
import { Asking, RunningDaemon, signRequest } from "./running-daemon.ts"

const digest = (password: string, packet: Uint8Array): string =>
  createHash("md5").update(ntHash(password)).update(packet).digest("hex")

describe("meridian signd", () => {
  let daemon: RunningDaemon
  beforeAll(async () => {
    daemon = await new RunningDaemon().started()
  })
  afterAll(() => daemon.stop())

  it("answers each recorded request with Samba's very octets", async () => {
    const fixtures = join(import.meta.dirname, "../../../libs/wire/test/fixtures")
    for (const name of ["chronyd", "classic-ntpd"]) {
      const { signd_frames: frames } = JSON.parse(readFileSync(join(fixtures, `mssntp-${name}.json`), "utf8")) as {
        signd_frames: { dir: string; hex: string }[]
      }
      // Samba's account had no previous password, and then the current one signs; a table without one does the same.
      await daemon.reload("1103 password Machine-Passw0rd-1\n1104 password Machine-Passw0rd-2\n")
      const asking = new Asking(daemon.socket)
      for (const { dir, hex } of frames) if (dir === "ntpd->signd") asking.send(Buffer.from(hex, "hex"))
      const recorded = frames.filter(({ dir }) => dir === "signd->ntpd").map(({ hex }) => hex.slice(8))
      const answered = (await asking.take(recorded.length)).map((frame) => Buffer.from(frame).toString("hex"))
      expect(answered).toEqual(recorded)
      asking.socket.destroy()
    }
  })

  it("leaves no image of its memory behind, in which the accounts' keys are", () => {
    const limits = readFileSync(`/proc/${daemon.pid}/limits`, "utf8")
    // Where the machine allows none, none it stays.
    expect(/^Max core file size\s+([01])\s/m.test(limits)).toBe(true)
  })

  it("signs with the previous password when asked to, and takes a new table on SIGHUP", async () => {
    await daemon.reload("1103 password new-1 password old-1\n")
    const asking = new Asking(daemon.socket)
    const packet = new Uint8Array(48).fill(7)
    asking.send(signRequest(1, 1103))
    asking.send(signRequest(2, 1103 + 2 ** 31))
    asking.send(signRequest(3, 1104))
    const answers = (await asking.take(3)).map(readSigndAnswer)
    const signed = answers.map((answer) =>
      answer.kind === "signed" ? Buffer.from(answer.packet.subarray(52)).toString("hex") : answer.kind
    )
    expect(signed).toEqual([digest("new-1", packet), digest("old-1", packet), "refused"])
    expect(answers.map((answer) => (answer.kind === "malformed" ? 0 : answer.packetId))).toEqual([1, 2, 3])
    for (const [text, mode, problem] of [
      [
        "1103 password a\n1104 hunter2 b\n",
        0o600,
        "keys:2: account 1104: expected 'nthash' or 'password' before each key"
      ],
      ["1103 password other\n", 0o644, `holds keys; mend it: chmod 0600 ${daemon.keys}`]
    ] as const) {
      await daemon.reload(text, mode)
      expect(daemon.said).toContain(problem)
      asking.send(signRequest(4, 1103))
      const [again] = (await asking.take(1)).map(readSigndAnswer)
      expect(again?.kind === "signed" && Buffer.from(again.packet.subarray(52)).toString("hex")).toBe(
        digest("new-1", packet)
      )
    }
    expect(daemon.said).not.toContain("hunter")
    asking.socket.destroy()
  })

  it("refuses every other operation and version by name, on a connection that lives on", async () => {
    await daemon.reload("1103 password x\n")
    const before = (await daemon.counters()).requests
    const asking = new Asking(daemon.socket)
    const asked = signRequest(9, 1103)
    for (const [at, value] of [
      [11, 1],
      [11, 2],
      [11, 3],
      [7, 1]
    ] as const)
      asking.send(asked.with(at, value))
    const short = new Uint8Array(4 + 63)
    short.set(asked.subarray(0, 67))
    short[3] = 63
    asking.send(short)
    asking.send(asked)
    expect((await asking.take(6)).map((frame) => readSigndAnswer(frame).kind)).toEqual([
      ...Array(5).fill("refused"),
      "signed"
    ])
    const { requests } = await daemon.counters()
    const more = Object.fromEntries(
      Object.entries(requests).map(([name, count]) => [name, count - (before[name] ?? 0)])
    )
    expect(more).toMatchObject({
      "ask-server-to-sign": 1,
      "check-server-signature": 1,
      "unknown-operation": 1,
      version: 1,
      length: 1,
      signed: 1
    })
    asking.socket.destroy()
  })

  it("keeps its socket to itself", () => {
    expect(lstatSync(daemon.socket).mode & 0o777).toBe(0o600)
    expect(lstatSync(join(daemon.folder, "signd")).mode & 0o777).toBe(0o750)
  })
})

describe("the command", () => {
  const group = String(process.getgid?.() ?? 0)

  it("reads its file, and takes over the socket of a daemon that was killed", async () => {
    const conf = (folder: string): void => {
      const lines = [`ntpsigndsocket = ${folder}/ntpsignd.socket`, `keys = ${folder}/keys`, `group = ${group}`]
      writeFileSync(join(folder, "signd.conf"), `${lines.join("\n")}\n`)
    }
    const killed = await new RunningDaemon(["--config", "{}/signd.conf"], conf).started()
    expect(killed.socket).toBe(join(killed.folder, "ntpsignd.socket"))
    expect(killed.said).toContain(`signs for 2 accounts on ${killed.socket}; group ${group} may ask`)
    await killed.kill()
    expect(lstatSync(killed.socket).isSocket()).toBe(true)
    const next = await new RunningDaemon(["--config", join(killed.folder, "signd.conf")]).started()
    const asking = new Asking(next.socket)
    asking.send(signRequest(1, 1104))
    expect(readSigndAnswer((await asking.take(1))[0]!).kind).toBe("signed")
    await next.stop()
    await killed.stop()
  })

  it("is reloaded as soon as its socket is there", async () => {
    const daemon = new RunningDaemon()
    const socket = join(daemon.folder, "signd", "socket")
    for (const end = performance.now() + PATIENCE_MS; !existsSync(socket) && performance.now() < end;)
      await setImmediate()
    await daemon.reload("1103 password x\n")
    expect(daemon.said).toContain("the key table was read: 1 account\n")
    await daemon.stop()
  })

  it.each([
    [["--keys", "{}/keys"], 2, "no socket is named; give --socket PATH"],
    [["--socket", "{}/signd"], 2, "no key table is named; give --keys FILE"],
    [["--config", "{}/none"], 2, "none cannot be read: it is not there"],
    [["--socket", "{}/keys", "--keys", "{}/keys"], 1, "is there and no socket; move it away, or choose another place"],
    [["--socket", "{}/signd", "--keys", "{}"], 1, "cannot be read: it is a directory"]
  ])("says what is wrong with %j", async (args, code, reason) => {
    const daemon = new RunningDaemon(args)
    expect(await daemon.ended()).toBe(code)
    expect(daemon.said).toContain(reason)
    await daemon.stop()
  })
})
