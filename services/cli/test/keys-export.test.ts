/** The key file of `keys export` as chronyd takes it: for that it is made. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, it } from "vitest"
import { NetworkNamespace } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, peersAvailable } from "@meridian/testkit/real-peers"
import { meridian, startNode } from "@meridian/testkit/running-node"

const folder = mkdtempSync(join(tmpdir(), "meridian-keys-export-"))
const available = process.getuid?.() === 0 && peersAvailable("the exported key file", ["chronyd-4.3"])
let network: NetworkNamespace | undefined
afterAll(() => {
  network?.remove()
  rmSync(folder, { recursive: true, force: true })
})

it.runIf(available)("chronyd is authenticated under an exported key", async () => {
  network = new NetworkNamespace()
  const { within } = network
  const file = join(folder, "ntp.conf")
  writeFileSync(file, "cluster mint nts,symmetric\n")
  const node = await startNode({ args: ["--config", file, "--workers", "1"], within, port: 123 })
  try {
    const out = join(folder, "keys")
    let exported = await meridian(["keys", "export", "--state", node.state, "--out", out])
    for (const end = performance.now() + PATIENCE_MS; exported.code !== 0 && performance.now() < end;)
      exported = await meridian(["keys", "export", "--state", node.state, "--out", out])
    expect(exported).toMatchObject({ code: 0, stderr: "" })
    expect(statSync(out).mode & 0o777).toBe(0o600)
    const key = /^ ?(\d+) AES /m.exec(execFileSync("cat", [out], { encoding: "utf8" }))![1]!
    const lines = (id: string) => [
      `server 127.0.0.1 key ${id} iburst minpoll 0`,
      `keyfile ${out}`,
      `bindcmdaddress ${join(folder, "c.sock")}`,
      `pidfile ${join(folder, "pid")}`
    ]
    const { command, args, env } = peer("chronyd-4.3")!
    const [program = "", ...rest] = [...within, command, ...args]
    writeFileSync(join(folder, "conf"), `${lines(key).join("\n")}\n`)
    // -Q ends with 0 only when the server was believed.
    execFileSync(program, [...rest, "-Q", "-x", "-t", "60", "-f", join(folder, "conf")], { env, stdio: "ignore" })
  } finally {
    await node.stop()
  }
})
