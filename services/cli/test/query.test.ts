import { once } from "node:events"
import { Worker } from "node:worker_threads"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { describe, expect, it } from "vitest"
import { askOnce, parseTarget, QueryFailed } from "../src/query.ts"

describe("a target", () => {
  it.each([
    ["time.example", { host: "time.example", port: 123 }],
    ["time.example:11123", { host: "time.example", port: 11123 }],
    ["127.0.0.1:1", { host: "127.0.0.1", port: 1 }],
    ["[::1]:11123", { host: "::1", port: 11123 }],
    ["[::1]", { host: "::1", port: 123 }],
    ["::1", { host: "::1", port: 123 }],
    ["fe80::1%eth0", { host: "fe80::1%eth0", port: 123 }]
  ])("%s", (text, expected) => expect(parseTarget(text, 123)).toEqual(expected))

  it.each(["time.example:0", "time.example:70000", "time.example:ntp", "[::1]:", "[::1", ""])("%s is refused", (text) =>
    expect(parseTarget(text, 123)).toBeUndefined()
  )
})

/** A server in a thread of its own: tells its port, answers whatever it is asked, and counts answers where others can wait for them. */
const answering = `
  const { parentPort, workerData } = require("node:worker_threads")
  const socket = require("node:dgram").createSocket("udp4")
  socket.on("message", (message, { port, address }) =>
    socket.send(message, port, address, () => {
      Atomics.add(workerData, 0, 1)
      Atomics.notify(workerData, 0)
    })
  )
  socket.bind(0, "127.0.0.1", () => parentPort.postMessage(socket.address().port))`

it("an answer that came while the program could not run is no silence", async () => {
  const answers = new Int32Array(new SharedArrayBuffer(8))
  const server = new Worker(answering, { eval: true, workerData: answers })
  try {
    const [port] = (await once(server, "message")) as [number]
    /** Nothing of this thread runs until the answer is there, and a little longer. */
    const stall = (): void => {
      Atomics.wait(answers, 0, 0, PATIENCE_MS)
      Atomics.wait(answers, 1, 0, 50)
    }
    const result = await askOnce(
      { address: "127.0.0.1", port },
      {
        get request() {
          queueMicrotask(stall)
          return Buffer.alloc(48)
        },
        judge: () => new QueryFailed("kiss", "an answer"),
        silence: () => new QueryFailed("silence", "none")
      },
      1
    )
    expect(result).toMatchObject({ reason: "kiss", message: "an answer" })
  } finally {
    await server.terminate()
  }
})
