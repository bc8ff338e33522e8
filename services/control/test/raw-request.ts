import { connect } from "node:net"

/** What comes back for bytes that need not be HTTP. */
export const askRaw = (port: number, sent: Uint8Array | string): Promise<string> =>
  new Promise((done) => {
    const socket = connect(port, "127.0.0.1")
    let text = ""
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1")
      socket.end()
    })
    socket.on("error", () => {})
    socket.on("close", () => done(text))
    socket.end(sent)
  })
