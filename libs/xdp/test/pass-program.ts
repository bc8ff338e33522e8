/** Holds a BPF program that passes every packet on an interface, until its input ends: a veth delivers what XDP sends back only to a peer with a program. */
import { XdpAnswering } from "../src/xdp-answering.ts"

const [interfaceName = ""] = process.argv.slice(2)
// It answers nothing before it is told to.
const answering = XdpAnswering.open({ interfaceName, mode: undefined, clients: 1_024 })
process.stdout.write(`${answering.mode}\n`)
process.stdin.resume().on("end", () => process.exit(0))
