/** What people meet in their first week with a node. */
import { execFileSync, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout } from "node:timers/promises"
import { makeCertificate } from "@meridian/testkit/certificates"
import { afterAll, describe, expect, it } from "vitest"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { freePort, meridian, startNode } from "@meridian/testkit/running-node"

const cli = resolve(import.meta.dirname, "../../cli/bin/meridian.mjs")
const folder = mkdtempSync(join(tmpdir(), "meridian-first-week-"))
chmodSync(folder, 0o755)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const until = async (what: string, holds: () => boolean): Promise<void> => {
  for (const end = performance.now() + PATIENCE_MS; !holds(); await setTimeout(20))
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`)
}

/** One request with this poll exponent; the reply. */
const ask = async (port: number, poll: number): Promise<Buffer> => {
  const socket = createSocket("udp4")
  const request = Buffer.alloc(48)
  request[0] = 0x23
  request.writeInt8(poll, 2)
  request.writeUInt32BE(poll + 1000, 40)
  const answer = once(socket, "message") as Promise<[Buffer]>
  const again = setInterval(() => socket.send(request, port, "127.0.0.1"), 500)
  socket.send(request, port, "127.0.0.1")
  const [reply] = await answer
  clearInterval(again)
  socket.close()
  return reply
}

/** One request under key 7, `secret`, as SHA-1; the key id of the reply's MAC. */
const askKeyed = async (port: number): Promise<Buffer> => {
  const socket = createSocket("udp4")
  const request = Buffer.alloc(72)
  request[0] = 0x23
  request.writeUInt32BE(1, 40)
  request.writeUInt32BE(7, 48)
  createHash("sha1").update("secret").update(request.subarray(0, 48)).digest().copy(request, 52)
  const answer = once(socket, "message") as Promise<[Buffer]>
  const again = setInterval(() => socket.send(request, port, "127.0.0.1"), 500)
  socket.send(request, port, "127.0.0.1")
  try {
    const [reply] = await Promise.race([
      answer,
      setTimeout(PATIENCE_MS, undefined, { ref: false }).then(() => {
        throw new Error("no keyed reply")
      })
    ])
    return reply.subarray(48, 52)
  } finally {
    clearInterval(again)
    socket.close()
  }
}

const isRoot = process.getuid?.() === 0

describe("a node with a log file", () => {
  const logged = async (user: readonly string[]) => {
    const place = mkdtempSync(join(folder, "log-"))
    chmodSync(place, 0o777)
    const [log, configuration] = [join(place, "node.log"), join(place, "ntp.conf")]
    writeFileSync(configuration, `server 127.127.1.0\nlogfile ${log}\n`)
    const node = await startNode({ args: ["--config", configuration, "--workers", "1", ...user] })
    return { place, log, node }
  }

  it.runIf(isRoot)("that root opened goes on with a new one after logrotate, as its user", async () => {
    const { log, node } = await logged(["--user", "nobody"])
    expect(statSync(log).uid).not.toBe(0)
    renameSync(log, `${log}.1`)
    node.process.kill("SIGHUP")
    await until("lines in the new log", () => statSync(log, { throwIfNoEntry: false })?.size !== undefined)
    await until("the end of the reload", () => readFileSync(log, "utf8").includes("replaced"))
    await ask(node.port, 6)
    await node.stop()
  })

  it("whose folder went away keeps the old one, says so, and serves", async () => {
    const { place, log, node } = await logged([])
    const moved = `${place}-moved`
    renameSync(place, moved)
    node.process.kill("SIGHUP")
    const old = join(moved, "node.log")
    await until("the warning", () => readFileSync(old, "utf8").includes("cannot be opened again"))
    expect(readFileSync(old, "utf8")).toContain(`the log file ${log} cannot be opened again: its folder is gone`)
    await ask(node.port, 6)
    mkdirSync(place)
    node.process.kill("SIGHUP")
    await until("a new log", () => statSync(log, { throwIfNoEntry: false }) !== undefined)
    await node.stop()
  })
})

describe("a running node", () => {
  it("echoes every poll interval, opens no inspector on SIGUSR1, and serves on", async () => {
    const node = await startNode({ args: ["--workers", "1"] })
    for (const poll of [-7, -1, 0, 6, 17]) expect((await ask(node.port, poll)).readInt8(2)).toBe(poll)
    const children = execFileSync("pgrep", ["-P", String(node.process.pid)], { encoding: "utf8" })
      .trim()
      .split("\n")
    for (const pid of [node.process.pid!, ...children.map(Number)]) process.kill(pid, "SIGUSR1")
    await ask(node.port, 6)
    expect(node.stderr()).not.toMatch(/Debugger listening/)
    expect(node.process.exitCode).toBeNull()
    await node.stop()
  })
})

describe.runIf(isRoot)("a key file of root's alone, as ntpkeygen makes it", () => {
  it("serves keyed clients of a node that gives root up, and a reload keeps its keys", async () => {
    const place = mkdtempSync(join(folder, "keys-"))
    chmodSync(place, 0o755)
    const [keys, configuration] = [join(place, "ntp.keys"), join(place, "ntp.conf")]
    writeFileSync(keys, "7 SHA1 secret\n", { mode: 0o400 })
    writeFileSync(configuration, `keys ${keys}\ntrustedkey 7\nserver 127.127.1.0\n`)
    const node = await startNode({ args: ["--config", configuration, "--workers", "1", "--user", "nobody"] })
    const isServed = async (): Promise<boolean> => (await askKeyed(node.port)).equals(Buffer.from([0, 0, 0, 7]))
    expect(await isServed()).toBe(true)
    expect(node.stderr()).toContain("the key file was read by root, and a reload goes on with its keys")
    expect(node.stderr()).toContain(`nobody may not read ${keys} (0400, root:root); mend it by: chgrp nogroup`)
    node.process.kill("SIGHUP")
    await until("the end of the reload", () => node.stderr().includes("the workers are replaced"))
    expect(await isServed()).toBe(true)
    await node.stop()
  })

  it("that others can read is used, with a warning", async () => {
    const place = mkdtempSync(join(folder, "keys-"))
    const [keys, configuration] = [join(place, "ntp.keys"), join(place, "ntp.conf")]
    writeFileSync(keys, "7 SHA1 secret\n", { mode: 0o644 })
    writeFileSync(configuration, `keys ${keys}\ntrustedkey 7\nserver 127.127.1.0\n`)
    const node = await startNode({ args: ["--config", configuration, "--workers", "1"] })
    expect(node.stderr()).toContain("everybody can read it (0644); mend it by: chmod g-w,o= ")
    await node.stop()
  })
})

/** A kernel without IPv6, for the processes that load this before libc. */
const WITHOUT_IPV6 = `#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>
int socket(int domain, int type, int protocol) {
  int (*real)(int, int, int) = dlsym(RTLD_NEXT, "socket");
  return domain == AF_INET6 ? (errno = EAFNOSUPPORT, -1) : real(domain, type, protocol);
}
`

describe("a kernel without IPv6", () => {
  it("has the defaults serve IPv4 and say so", async () => {
    const [source, library] = [join(folder, "ipv6.c"), join(folder, "ipv6.so")]
    writeFileSync(source, WITHOUT_IPV6)
    execFileSync(process.env["CC"] ?? "cc", ["-shared", "-fPIC", "-o", library, source, "-ldl"])
    const node = await startNode({ args: ["--workers", "1"], env: { LD_PRELOAD: library } })
    await ask(node.port, 6)
    expect(node.stdout()).toContain("this kernel has no IPv6: IPv4 alone is served")
    expect(node.stdout()).not.toContain("[::]")
    await node.stop()
  })
})

describe("Ctrl-C while a node starts", () => {
  it.each([0, 50, 200])("%i ms after the command ends it with one line and 130", async (ms) => {
    const state = mkdtempSync(join(folder, "state-"))
    const port = await freePort()
    const node = spawn(
      process.execPath,
      [cli, "up", "--nts", "--state", state, "--port", String(port), "--nts-port", String(await freePort())],
      {
        stdio: ["ignore", "pipe", "pipe"],
        detached: true
      }
    )
    let text = ""
    for (const stream of [node.stdout, node.stderr])
      stream.setEncoding("utf8").on("data", (part: string) => (text += part))
    const ended = once(node, "close")
    // Before the command has come to handle signals at all, the signal ends it by itself.
    await until(
      "the state directory",
      () => statSync(join(state, "control.sock"), { throwIfNoEntry: false }) !== undefined
    )
    await setTimeout(ms)
    // The terminal tells the whole group.
    process.kill(-node.pid!, "SIGINT")
    const [code] = (await ended) as [number | null]
    // On a quick machine it may have started by then, and is drained.
    const last = text.includes("serves NTP")
      ? /drained and ended \(SIGINT\)/
      : /(?:^|\n)meridian: ended while starting \(SIGINT\)\n$/
    expect(text).toMatch(last)
    expect(text).not.toContain("did not start")
    expect(code).toBe(text.includes("serves NTP") ? 0 : 130)
  })
})

describe("Ctrl-C below npm, which hands on what the terminal has told already", () => {
  it("drains the node as one does, and ends it with 0", async () => {
    const node = await startNode({ args: ["--workers", "1"] })
    const ended = once(node.process, "close")
    node.process.kill("SIGINT")
    for (let times = 0; times < 3; times += 1) {
      await setTimeout(10)
      node.process.kill("SIGINT")
    }
    const [code] = (await ended) as [number | null]
    expect(code).toBe(0)
    expect(node.stderr()).toMatch(/drained and ended \(SIGINT\)/)
  })
})

describe.runIf(isRoot)("a node whose key its user may not read, as certbot leaves it", () => {
  it("serves time, says what is missing and the commands that mend it, and has NTS by itself after those", async () => {
    const place = mkdtempSync(join(folder, "certbot-"))
    chmodSync(place, 0o755)
    const closed = join(place, "live")
    mkdirSync(closed, { mode: 0o700 })
    const [certificate, key, configuration] = [
      join(closed, "cert.pem"),
      join(closed, "key.pem"),
      join(place, "ntp.conf")
    ]
    makeCertificate({ key, certificate, names: "DNS:localhost" })
    chmodSync(key, 0o600)
    const ntsPort = await freePort()
    writeFileSync(configuration, `nts cert ${certificate}\nnts key ${key}\nnts port ${ntsPort}\n`)
    const node = await startNode({ args: ["--config", configuration, "--user", "nobody", "--workers", "1"] })
    try {
      await ask(node.port, 6)
      const missing = async (): Promise<readonly string[]> => (await node.status())["missing"] as readonly string[]
      await expect
        .poll(async () => (await missing()).join(), { timeout: PATIENCE_MS, interval: 200 })
        .toContain("nts-ke 0 does not serve: NTS key establishment: no certificate can be used")
      const said = await missing()
      const commands = /permission denied: as root, (.*); it is looked for again/.exec(said.join())?.[1] ?? ""
      expect(commands.split(" && ")).toHaveLength(4)
      await until("the commands in the log", () => node.stderr().includes(commands))
      execFileSync("sh", ["-c", commands])
      for (const end = performance.now() + PATIENCE_MS; (await missing()).length > 0; await setTimeout(200))
        if (performance.now() > end) throw new Error(`still missing: ${(await missing()).join()}`)
      const asked = await meridian(["query", "--nts", "--ca", certificate, `localhost:${ntsPort}`])
      expect(asked).toMatchObject({ code: 0 })
    } finally {
      await node.stop()
    }
  })
})
