/** Somebody who stands between a node and NATS and pretends that the servers have no TLS. */
import { once } from "node:events"
import { createServer, type Server, type Socket } from "node:net"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, expect, it } from "vitest"
import { createUser } from "@nats-io/nkeys"
import { makePlace, type Place, type RunningCoordinator, startCoordinator, until } from "./running-coordinator.ts"

let place: Place
let impostor: Server
let port = 0
const heard: Array<string> = []
const sockets = new Set<Socket>()
let node: RunningCoordinator | undefined

const INFO = {
  server_id: "X",
  server_name: "x",
  version: "2.15.1",
  headers: true,
  max_payload: 1_048_576,
  jetstream: true,
  auth_required: true,
  nonce: "AAAAAAAAAAAAAAAA"
}

beforeEach(async () => {
  place = makePlace()
  impostor = createServer((socket) => {
    sockets.add(socket)
    heard.push("")
    const index = heard.length - 1
    socket.on("data", (chunk) => (heard[index] = `${heard[index]}${chunk.toString("latin1")}`))
    socket.on("error", () => {})
    socket.write(`INFO ${JSON.stringify(INFO)} \r\n`)
  })
  impostor.listen(0, "127.0.0.1")
  await once(impostor, "listening")
  port = (impostor.address() as { port: number }).port
})
afterEach(async () => {
  await node?.kill()
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  heard.length = 0
  impostor.close()
  place.remove()
})

const start = (mode: number, ...more: ReadonlyArray<string>): RunningCoordinator => {
  const seed = join(place.path, "a.nkey")
  writeFileSync(seed, `${Buffer.from(createUser().getSeed()).toString("latin1")}\n`, { mode })
  const args = ["--nats", `127.0.0.1:${port}`, "--nats-nkey-seed", seed, "--cluster-key", place.clusterKey()]
  return (node = startCoordinator(join(place.path, "a"), "a", [...args, ...more]))
}

it("gets no signature from a node that was told the authority of the certificates", async () => {
  const authority = join(place.path, "ca.pem")
  writeFileSync(authority, "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
  const started = start(0o600, "--nats-ca", authority)
  expect(await started.warning(/no NATS at/)).toMatch(/tls/i)
  expect(heard.length).toBeGreaterThan(0)
  expect(heard.join("")).toBe("")
})

it("would get one otherwise, or its silence would show nothing", async () => {
  start(0o600)
  const sent = await until(
    () => heard.find((text) => text.includes('"sig":')),
    () => heard.join("|")
  )
  expect(sent).toContain('"nkey":"U')
})

it("never hears of a node whose nkey others can read: it ends and says so", async () => {
  const started = start(0o644)
  expect(await started.exited).toBe(1)
  expect(started.said()).toMatch(/a\.nkey has mode 0644, which lets others at the nkey: chmod 600/)
  expect(heard).toEqual([])
})
