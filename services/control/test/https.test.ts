/** HTTPS at the listener: who reads by a certificate, who does not, and a certificate that is renewed. */
import { once } from "node:events"
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { request } from "node:https"
import { type AddressInfo, connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeCertificate } from "@meridian/testkit/certificates"
import { afterAll, afterEach, beforeAll, expect, it } from "vitest"
import type { HttpListener } from "../src/http/http-server.ts"
import { openHttp } from "../src/http/open-http.ts"
import { Outcomes } from "../src/outcomes.ts"
import { snapshotOf } from "./snapshots.ts"

const TOKEN = "0123456789abcdef0123456789abcdef"
const folder = mkdtempSync(join(tmpdir(), "meridian-https-"))
const file = (name: string): string => join(folder, name)

beforeAll(() => {
  for (const name of ["server", "client", "stranger"])
    makeCertificate({
      key: file(`${name}.key`),
      certificate: file(`${name}.pem`),
      subject: `/CN=${name}`,
      names: "DNS:localhost"
    })
  writeFileSync(file("token"), TOKEN)
  chmodSync(file("token"), 0o600)
})
afterAll(() => rmSync(folder, { recursive: true }))

let listener: HttpListener | undefined
afterEach(() => listener?.close())

const open = async (tokenFile: string | null) => {
  const outcomes = new Outcomes()
  const warnings: string[] = []
  listener = await openHttp(
    {
      stateDirectory: folder,
      http: {
        address: "127.0.0.1",
        port: 0,
        asked: true,
        tokenFile,
        operatorsFile: null,
        certificateFile: file("server.pem"),
        keyFile: file("server.key"),
        clientsFile: file("client.pem")
      }
    },
    {
      outcomes,
      current: () => snapshotOf({}),
      fresh: () => Promise.resolve(),
      look: () => {},
      monotonic: () => performance.now() / 1e3,
      memory: () => 1,
      warn: (message) => warnings.push(message)
    }
  )
  if (listener === undefined) return { warnings, outcomes, port: 0 }
  await once(listener.server, "listening")
  return { warnings, outcomes, port: (listener.server.address() as AddressInfo).port }
}

/** The status of an answer. */
const ask = (
  port: number,
  path: string,
  { as, token }: { readonly as?: string; readonly token?: string } = {}
): Promise<number | undefined> =>
  new Promise((done, failed) => {
    const identity =
      as === undefined ? {} : { cert: readFileSync(file(`${as}.pem`)), key: readFileSync(file(`${as}.key`)) }
    const asking = request(
      {
        host: "127.0.0.1",
        servername: "localhost",
        port,
        path,
        agent: false,
        ca: readFileSync(file("server.pem")),
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        ...identity
      },
      (response) => {
        response.resume()
        response.on("end", () => done(response.statusCode))
      }
    )
    asking.on("error", failed)
    asking.end()
  })

it("lets those read whose certificate an authority of the file has signed", async () => {
  const { port } = await open(null)
  expect(await ask(port, "/metrics", { as: "client" })).toBe(200)
  expect(await ask(port, "/metrics", { as: "stranger" })).toBe(401)
  expect(await ask(port, "/metrics")).toBe(401)
  expect(await ask(port, "/readyz")).toBe(503)
})

it("takes the token as well, where there is one", async () => {
  const { port } = await open(file("token"))
  expect(await ask(port, "/metrics", { as: "client" })).toBe(200)
  expect(await ask(port, "/metrics", { token: TOKEN })).toBe(200)
  expect(await ask(port, "/metrics", { token: `${TOKEN}0` })).toBe(401)
})

it("counts what is no TLS, and goes on", async () => {
  const { port, outcomes } = await open(null)
  const socket = connect(port, "127.0.0.1")
  socket.on("error", () => {})
  socket.end("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
  socket.resume()
  await once(socket, "close")
  expect(outcomes.all["http-tls-failed"]).toBe(1)
  expect(await ask(port, "/healthz")).toBe(200)
})

it("is not served with a key that does not belong to the certificate, and says so", async () => {
  const key = readFileSync(file("server.key"))
  writeFileSync(file("server.key"), readFileSync(file("client.key")))
  const { warnings } = await open(null)
  writeFileSync(file("server.key"), key)
  expect(listener).toBeUndefined()
  expect(warnings).toEqual([expect.stringMatching(/^HTTP is not served: .* are no certificate and the key/)])
  expect(warnings[0]).not.toContain("PRIVATE")
})
