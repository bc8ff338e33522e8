/** `node lying-server.ts ADDRESS PORT SECONDS`: a server whose clock is ahead, as a process of its own. */
import { startFakeServer } from "./fake-server.ts"

const [address = "127.0.0.1", port = "0", seconds = "0"] = process.argv.slice(2)
// It says that it follows 198.51.100.1.
const answer = { offset: Number(seconds), header: { referenceId: 0xc6336401 } }
const server = await startFakeServer(address, () => answer, Number(port))
process.stdout.write(`${server.port}\n`)
