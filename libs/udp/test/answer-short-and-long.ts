/** Run in a network of a test's own: asks a socket of ours with as many octets as each argument says, and prints how long the answers are. */
import { adoptUdp, bindUdpDescriptor } from "../src/udp-native.ts"
import { echo, openClient, until } from "./udp-client.ts"

const lengths = process.argv.slice(3).map(Number)
const socket = adoptUdp(bindUdpDescriptor({ address: process.argv[2]!, port: 0 }))
const peer = await openClient(4)
echo(socket)
for (const [sent, length] of lengths.entries()) {
  await peer.send(new Uint8Array(length), socket.port, "127.0.0.1")
  await until(() => peer.answers.length > sent, 2000)
}
process.stdout.write(JSON.stringify(peer.answers.map(({ bytes }) => bytes.length)))
peer.close()
socket.close()
