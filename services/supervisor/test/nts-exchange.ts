/** One NTS key exchange with a node under test. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { connect } from "node:tls"

/** Next protocol NTPv4, AEAD 15, End of Message. */
const REQUEST = Uint8Array.of(0x80, 1, 0, 2, 0, 0, 0x80, 4, 0, 2, 0, 15, 0x80, 0, 0, 0)

/** Bytes that came back, or the code of the error for which the connection was not taken. @param state the node's directory */
export const exchange = async (state: string, port: number): Promise<number | string> => {
  const certificate = readdirSync(state).find((name) => name.endsWith(".pem") && !name.includes("key"))
  const socket = connect({
    port,
    host: "127.0.0.1",
    ca: readFileSync(join(state, certificate ?? "missing")),
    servername: "localhost",
    ALPNProtocols: ["ntske/1"]
  })
  let length = 0
  let failure: string | undefined
  socket.on("error", ({ code }: NodeJS.ErrnoException) => (failure = code))
  socket.on("data", (bytes: Buffer) => (length += bytes.length))
  socket.write(REQUEST)
  await new Promise((closed) => socket.once("close", closed))
  return failure ?? length
}
