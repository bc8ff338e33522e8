/**
 * Starts Meridian's NTS-KE process as the supervisor does (service.ts), with a master key made for the run and without
 * limits on how often one address may connect. Arguments: ADDRESS PORT CERTIFICATE KEY
 */
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { MASTER_KEY_BYTES } from "@meridian/auth/key-ring"
import type { NtsKePlan, PlanMessage } from "@meridian/ipc/serving-plan"

const [address, port, certificate, key] = process.argv.slice(2)
if (key === undefined) throw new Error("expected ADDRESS PORT CERTIFICATE KEY")

const program = join(import.meta.dirname, "../services/nts-ke/src/main.ts")
const unlimited = { perSecond: 0, burst: 0 }
const flags = ["--max-semi-space-size=4", "--v8-pool-size=1", "--disable-warning=ExperimentalWarning"]
const child = spawn(process.execPath, [...flags, program], {
  stdio: ["ignore", "ignore", "inherit", "ipc"],
  serialization: "advanced"
})
child.once("exit", (code) => process.exit(code ?? 1))
process.once("SIGTERM", () => {
  child.kill()
})

const now = Date.now() / 1000
const DAY = 86_400
const plan: NtsKePlan = {
  certificates: [{ certificate: certificate!, key }],
  developmentDirectory: "/nonexistent",
  tls: { minimum: null, maximum: null, cipherSuites: null, curves: null },
  handshakeSeconds: null,
  exchangeSeconds: null,
  reportSeconds: 1,
  aeads: [15, 16, 17, 30],
  timeServer: { host: null, port: null },
  admission: { connections: null, connectionsPerAddress: null, rate: unlimited, ratePerAddress: unlimited },
  accepts: true,
  generations: [
    { id: 1, key: randomBytes(MASTER_KEY_BYTES), activation: now - DAY, retirement: now + DAY, revoked: false }
  ]
}
const message: PlanMessage = { type: "plan", version: 1, sockets: [{ address: address!, port: Number(port) }], plan }
child.send(message)
