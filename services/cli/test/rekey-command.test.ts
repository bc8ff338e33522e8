/** `meridian cluster rekey FILE`: what it asks of the coordinator, and what it tells the operator to do next. */
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer, type Server } from "node:http"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { meridian } from "@meridian/testkit/running-node"
import { afterEach, beforeEach, expect, it } from "vitest"

let folder = ""
let server: Server
let answer: { readonly status: number; readonly body: unknown }
const asked: string[] = []
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "meridian-rekey-"))
  asked.length = 0
  server = createServer((request, response) => {
    let body = ""
    request.on("data", (chunk: Buffer) => (body += chunk.toString()))
    request.on("end", () => {
      asked.push(`${request.method} ${request.url} ${body}`)
      response.writeHead(answer.status, { "content-type": "application/json" })
      response.end(JSON.stringify(answer.body))
    })
  })
  server.listen(join(folder, "coordinator.sock"))
  await once(server, "listening")
})
afterEach(() => {
  server.close()
  server.closeAllConnections()
  rmSync(folder, { recursive: true, force: true })
})

const begun = { id: "e.1", type: "ClusterKeyChangeStarted", subject: "keys.cluster", version: 2 }

it("names the file as the coordinator finds it, and says what is to be done on the other nodes", async () => {
  answer = { status: 200, body: { events: [begun], key: "0123456789abcdef" } }
  const first = await meridian(["cluster", "rekey", "next.key", "--state", folder])
  expect(first).toMatchObject({ code: 0, stderr: "" })
  expect(first.stdout).toMatch(/0123456789abcdef\nthe change to it has begun\n.*every other node/)
  expect(asked).toEqual([expect.stringContaining(`"newKeyFile":${JSON.stringify(resolve("next.key"))}`)])
  answer = { status: 200, body: { events: [], key: "0123456789abcdef" } }
  expect((await meridian(["cluster", "rekey", "next.key", "--state", folder])).stdout).toContain("under way or done")
})

it("passes on why not", async () => {
  answer = { status: 409, body: { error: { tag: "FormerKey", message: "key x was the cluster's before" } } }
  expect(await meridian(["cluster", "rekey", "old.key", "--state", folder])).toMatchObject({
    code: 1,
    stderr: "meridian cluster rekey: key x was the cluster's before\n"
  })
  expect((await meridian(["cluster", "rekey", "--state", folder])).code).toBe(2)
})
