import { execFileSync } from "node:child_process"
import { closeSync, readFileSync } from "node:fs"
import { connect, createServer, type Server } from "node:net"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { loopbackAddresses } from "@meridian/testkit/address-families"
import { afterEach, describe, expect, it } from "vitest"
import { loadNative } from "@meridian/system/native"
import { tcpAdmit, tcpListen, TcpListenError, type TcpListenOptions } from "../src/tcp-listen.ts"

const cleanups: Array<() => void> = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

/** The descriptor, closed after the test. */
const opened = (options: TcpListenOptions): number => {
  const descriptor = tcpListen(options)
  cleanups.push(() => closeSync(descriptor))
  return descriptor
}

/** A server on the descriptor, which it owns from now on. */
const serving = async (options: TcpListenOptions): Promise<{ server: Server; port: number }> => {
  const server = createServer((socket) => void socket.resume().end("hello")).listen({ fd: tcpListen(options) })
  cleanups.push(() => server.close())
  await once(server, "listening")
  const address = server.address()
  return { server, port: typeof address === "object" && address !== null ? address.port : 0 }
}

const failure = (options: TcpListenOptions): TcpListenError => {
  try {
    closeSync(tcpListen(options))
  } catch (error) {
    if (error instanceof TcpListenError) return error
    throw error
  }
  throw new Error("it listens")
}

const answer = async (host: string, port: number): Promise<string> => {
  const socket = connect(port, host)
  socket.write("x")
  let text = ""
  socket.on("data", (chunk: Buffer) => void (text += chunk.toString()))
  await once(socket, "close")
  return text
}

const addresses = loopbackAddresses("TCP listeners")

describe("tcpAdmit", () => {
  it.each(addresses)(
    "has the kernel refuse connections on %s while the socket is held, and take them again",
    async (address) => {
      const probe = await serving({ address, port: 0 })
      const { port } = probe
      await new Promise((closed) => probe.server.close(closed))
      const descriptor = opened({ address, port })
      // One that shares the port keeps it for the node, and is refused for as well.
      const second = opened({ address, port })
      const knock = async (): Promise<string> => {
        const socket = connect(port, address)
        try {
          await once(socket, "connect")
          return "taken"
        } catch (error) {
          return (error as NodeJS.ErrnoException).code ?? ""
        } finally {
          socket.destroy()
        }
      }
      expect(await knock()).toBe("taken")
      for (let round = 0; round < 2; round++) {
        // Twice is no more than once.
        for (const each of [descriptor, second, descriptor]) tcpAdmit(each, false)
        expect(await knock()).toBe("ECONNREFUSED")
        expect(failure({ address, port, exclusive: true }).code).toBe("EADDRINUSE")
        for (const each of [descriptor, second, second]) tcpAdmit(each, true)
        expect(await knock()).toBe("taken")
      }
    }
  )
})

describe("tcpListen", () => {
  it.each(addresses)("gives a descriptor on %s that node:net serves", async (address) => {
    const { port } = await serving({ address, port: 0 })
    expect(port).toBeGreaterThan(0)
    expect(await answer(address, port)).toBe("hello")
  })

  it("opens it non-blocking and closed on exec", () => {
    const descriptor = opened({ address: "127.0.0.1", port: 0 })
    const flags = Number.parseInt(
      /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8"))![1]!,
      8
    )
    expect(flags & 0o4000).toBe(0o4000)
    expect(flags & 0o2000000).toBe(0o2000000)
    const seen = execFileSync("/bin/sh", ["-c", `[ -e /proc/self/fd/${descriptor} ] && echo open || echo closed`])
    expect(seen.toString().trim()).toBe("closed")
  })

  it.runIf(addresses.includes("::1"))(
    "keeps IPv4 out of an IPv6 wildcard, so that each family has a socket of its own",
    async () => {
      const { port } = await serving({ address: "::", port: 0 })
      expect(await answer("::1", port)).toBe("hello")
      await expect(answer("127.0.0.1", port)).rejects.toMatchObject({ code: "ECONNREFUSED" })
      opened({ address: "0.0.0.0", port })
    }
  )

  it("shares a port among sockets that agree to it, and not with one that is the first of a group", async () => {
    const { port } = await serving({ address: "127.0.0.1", port: 0, exclusive: true })
    opened({ address: "127.0.0.1", port })
    expect(failure({ address: "127.0.0.1", port, exclusive: true })).toMatchObject({ code: "EADDRINUSE", port })
    expect(failure({ address: "127.0.0.1", port, reusePort: false })).toMatchObject({ code: "EADDRINUSE" })
    const alone = await serving({ address: "127.0.0.1", port: 0, reusePort: false })
    expect(failure({ address: "127.0.0.1", port: alone.port })).toMatchObject({ code: "EADDRINUSE" })
  })

  it("listens again at once where connections were closed a moment ago", async () => {
    const { server, port } = await serving({ address: "127.0.0.1", port: 0 })
    await answer("127.0.0.1", port)
    await new Promise((closed) => server.close(closed))
    expect(opened({ address: "127.0.0.1", port, exclusive: true })).toBeGreaterThan(2)
  })

  it("does not accept a connection before its first byte", async () => {
    const { server, port } = await serving({ address: "127.0.0.1", port: 0 })
    let accepted = 0
    server.on("connection", () => accepted++)
    const silent = connect(port, "127.0.0.1")
    cleanups.push(() => silent.destroy())
    await once(silent, "connect")
    await answer("127.0.0.1", port)
    await sleep(50)
    expect(accepted).toBe(1)
    silent.write("x")
    await once(silent, "data")
    expect(accepted).toBe(2)
  })

  it.each([
    ["a name", { address: "localhost", port: 0 }, "EINVAL"],
    ["an empty address", { address: "", port: 0 }, "EINVAL"],
    ["a port beyond the last", { address: "127.0.0.1", port: 65_536 }, "EINVAL"],
    ["a fraction of a port", { address: "127.0.0.1", port: 4460.5 }, "EINVAL"],
    ["no backlog", { address: "127.0.0.1", port: 0, backlog: 0 }, "EINVAL"],
    ["an address of another machine", { address: "192.0.2.1", port: 0 }, "EADDRNOTAVAIL"],
    ["an interface that is not there", { address: "fe80::1%nowhere0", port: 0 }, "ENODEV"]
  ])("refuses %s and says what to do", (_, options, code) => {
    const error = failure(options)
    expect(error).toMatchObject({ _tag: "TcpListenError", code, address: options.address })
    expect(error.message).toMatch(/^TCP .* cannot be listened on: \S+ \S+/)
    expect(error.message).not.toContain("see the code")
  })

  it("refuses arguments of wrong types in C", () => {
    const raw = (loadNative().addon as unknown as { tcpListen: (...given: readonly unknown[]) => number }).tcpListen
    for (const given of [
      [],
      ["127.0.0.1"],
      [1, 2, 3, 4, 5, 6],
      ["127.0.0.1", 70_000, true, true, 1, false],
      ["::1", 0, true, true, 0, false]
    ])
      expect(() => raw(...given)).toThrow(TypeError)
    expect(() => raw("1".repeat(500), 0, true, false, 8, false)).toThrow(/listen/)
  })
})
