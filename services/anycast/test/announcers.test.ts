/** What routers are told and how they are understood: BIRD's socket, FRR's shell, scripts, and what happens when they fail. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type Server, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type Announcer, Announcers, AnnouncerTrouble } from "../src/announcer.ts"
import { BirdAnnouncer } from "../src/announcers/bird.ts"
import { BirdReader, refusalOf } from "../src/announcers/bird-protocol.ts"
import { frrCommands, FrrAnnouncer, ScriptAnnouncer } from "../src/announcers/command.ts"
import { ExabgpAnnouncer } from "../src/announcers/exabgp.ts"

let folder: string
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "meridian-anycast-"))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe("BIRD's protocol", () => {
  const session = [
    "0001 BIRD 2.0.12 ready.",
    "0009-ntp4: disabled",
    "0000 ",
    "+something nobody asked for",
    "2002-Name       Proto      Table      State  Since         Info",
    "1002-uplink     BGP        ---        up     12:00:00      Established",
    "1006-  Description: to the router",
    "   Local capabilities",
    "      Multiprotocol",
    "",
    "0000 ",
    "8003 No protocols match"
  ].join("\n")

  it("is understood wherever the stream is cut", () => {
    const whole = new BirdReader().take(`${session}\n`)
    expect(whole.map(({ code }) => code)).toEqual([1, 0, 0, 8003])
    expect(whole.map(refusalOf)).toEqual([undefined, undefined, undefined, "No protocols match"])
    expect(whole[2]?.lines[3]).toEqual({ code: 1006, text: "  Local capabilities" })
    fc.assert(
      fc.property(fc.integer({ min: 0, max: session.length }), (at) => {
        const reader = new BirdReader()
        expect([...reader.take(session.slice(0, at)), ...reader.take(`${session.slice(at)}\n`)]).toEqual(whole)
      })
    )
  })

  it("is not taken for what it is not", () => {
    expect(() => new BirdReader().take("HTTP/1.1 400 Bad Request\r\n")).toThrow("a line that is none of BIRD's")
    expect(() => new BirdReader().take("x".repeat(2_000_000))).toThrow("a line without an end")
    const messageOf = (noise: string): string => {
      try {
        new BirdReader().take(noise)
        return "a line"
      } catch (error) {
        return (error as Error).message
      }
    }
    fc.assert(fc.property(fc.string({ unit: "binary" }), (noise) => messageOf(noise).startsWith("a line")))
  })
})

/** Answers as BIRD does; keeps what it was asked. */
const standIn = async (path: string, answer: (command: string) => string) => {
  const asked: string[] = []
  const connections = new Set<Socket>()
  const server: Server = createServer((connection) => {
    connections.add(connection)
    connection.write("0001 BIRD 2.0.12 ready.\n")
    connection.on("data", (chunk) => {
      for (const command of String(chunk).trimEnd().split("\n")) {
        asked.push(command)
        connection.write(answer(command))
      }
    })
  })
  await new Promise<void>((listening) => server.listen(path, listening))
  const stop = (): Promise<void> =>
    new Promise((stopped) => {
      server.close(() => stopped())
      for (const connection of connections) connection.destroy()
    })
  return { asked, stop }
}

describe("BIRD", () => {
  it("is told of every protocol, told again when it is started anew, and its refusals are said", async () => {
    const socket = join(folder, "bird.ctl")
    let answer = "0011-done\n0000 \n"
    let bird = await standIn(socket, () => answer)
    let lost = 0
    const announcer = new BirdAnnouncer({ socket, protocols: ["ntp4", "ntp6"], onLost: () => (lost += 1) })
    await announcer.apply(true)
    await announcer.apply(false)
    expect(bird.asked).toEqual(['enable "ntp4"', 'enable "ntp6"', 'disable "ntp4"', 'disable "ntp6"'])
    answer = "8003 No protocols match\n"
    await expect(announcer.apply(true)).rejects.toThrow("BIRD does not enable ntp4: No protocols match")
    await bird.stop()
    await expect.poll(() => lost, { timeout: PATIENCE_MS }).toBe(1)
    await expect(announcer.apply(true)).rejects.toThrow(/there is no such socket: is BIRD running/)
    answer = "0000 \n"
    bird = await standIn(socket, () => answer)
    await announcer.apply(true)
    expect(bird.asked).toEqual(['enable "ntp4"', 'enable "ntp6"'])
    announcer.close()
    await bird.stop()
    expect(lost).toBe(1)
  })

  it("is warned about where graceful restart would keep the route of a dead node", async () => {
    const lines = (restart: string): string =>
      `1006-  Neighbor caps\n    Local capabilities\n      Graceful restart\n${restart}    Neighbor capabilities\n      Restart time: 120\n0000 \n`
    for (const [restart, count] of [
      ["      Restart time: 120\n", 1],
      ["", 0]
    ] as const) {
      const socket = join(folder, `bird${count}.ctl`)
      const bird = await standIn(socket, () => lines(restart))
      const announcer = new BirdAnnouncer({ socket, protocols: ["ntp4"], onLost: () => {} })
      expect(await announcer.advice()).toHaveLength(count)
      announcer.close()
      await bird.stop()
    }
  })
})

/** A program that writes down what it was given. */
const program = (name: string, body: string): string => {
  const path = join(folder, name)
  writeFileSync(path, `#!/bin/sh\nprintf '%s\\n' "$*" >> ${folder}/said\n${body}\n`)
  chmodSync(path, 0o755)
  return path
}
const said = (): string => readFileSync(join(folder, "said"), "utf8")

describe("programs", () => {
  it("a script gets what to do and the prefixes", async () => {
    const script = new ScriptAnnouncer(program("route", ""), ["192.0.2.0/24", "2001:db8::/48"])
    await script.apply(true)
    await script.apply(false)
    expect(said()).toBe("announce 192.0.2.0/24 2001:db8::/48\nwithdraw 192.0.2.0/24 2001:db8::/48\n")
    const failing = program("fails", "echo no router here >&2; exit 3")
    await expect(new ScriptAnnouncer(failing, []).apply(true)).rejects.toThrow(
      `${failing} ended with 3: no router here`
    )
    await expect(new ScriptAnnouncer(join(folder, "none"), []).apply(true)).rejects.toThrow(
      "cannot be run: it is not there"
    )
  })

  it("FRR's shell gets networks of both families", async () => {
    const prefixes = ["192.0.2.0/24", "2001:db8::/48"]
    expect(frrCommands({ as: 65_001, prefixes }, false)).toEqual([
      "configure terminal",
      "router bgp 65001",
      "address-family ipv4 unicast",
      "no network 192.0.2.0/24",
      "exit-address-family",
      "address-family ipv6 unicast",
      "no network 2001:db8::/48",
      "exit-address-family"
    ])
    const frr = new FrrAnnouncer({ as: 65_001, vtysh: program("vtysh", ""), prefixes: ["192.0.2.0/24"] })
    await frr.apply(true)
    expect(said()).toBe(
      "-c configure terminal -c router bgp 65001 -c address-family ipv4 unicast -c network 192.0.2.0/24 -c exit-address-family\n"
    )
    expect(await frr.advice()).toHaveLength(1)
    const refusing = program("refuses", "echo '% BGP instance is already running; AS is 65002'")
    await expect(new FrrAnnouncer({ as: 1, vtysh: refusing, prefixes: [] }).apply(true)).rejects.toThrow(
      "FRR: BGP instance is already running; AS is 65002"
    )
  })

  it("ExaBGP without a helper announces nothing, and that is said", async () => {
    const socket = join(folder, "exabgp.sock")
    const announcer = new ExabgpAnnouncer({ socket, prefixes: ["192.0.2.0/24"], onLost: () => {} })
    await announcer.apply(false)
    await expect(announcer.apply(true)).rejects.toThrow(`no helper asks at ${socket}`)
    announcer.close()
  })
})

it("keeps at it until every announcer has done as it was told, and ends with what is wanted last", async () => {
  const done: boolean[] = []
  let refusals = 1
  const stubborn: Announcer = {
    name: "stubborn",
    apply: async (announced) => {
      await Promise.resolve()
      if (refusals-- > 0) throw new AnnouncerTrouble("not now")
      done.push(announced)
    },
    close: () => {}
  }
  const seen: (string | null | undefined)[] = []
  const announcers = new Announcers([stubborn], () => seen.push(announcers.report[0]?.trouble))
  announcers.want(true)
  announcers.want(false)
  expect(announcers.settled).toBe(false)
  await announcers.whenSettled()
  announcers.want(true)
  await announcers.whenSettled()
  announcers.close()
  expect(done.at(-1)).toBe(true)
  expect(seen[0]).toBe("not now")
  expect(announcers.report).toEqual([{ name: "stubborn", trouble: null }])
})
