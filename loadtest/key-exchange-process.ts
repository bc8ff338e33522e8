/**
 * Starts Meridian's NTS-KE process as the supervisor does (nts-ke-slot.ts), with a master key made for the run and without
 * limits on how often one address may connect. Arguments: ADDRESS PORT CERTIFICATE KEY
 */
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { MASTER_KEY_BYTES } from "@meridian/auth/key-ring"
import { noKeys, type ServingKeys } from "@meridian/auth/serving-keys"

const [address, port, certificate, key] = process.argv.slice(2)
if (key === undefined) throw new Error("expected ADDRESS PORT CERTIFICATE KEY")

const program = join(import.meta.dirname, "../services/nts-ke/src/main.ts")
const where = ["--bind", `${address},${port}`, "--certificate", `${certificate},${key}`]
const unlimited = ["--rate", "0,0", "--rate-per-address", "0,0"]
const flags = ["--max-semi-space-size=4", "--v8-pool-size=1", "--disable-warning=ExperimentalWarning"]
const child = spawn(process.execPath, [...flags, program, ...where, ...unlimited], {
  stdio: ["ignore", "ignore", "inherit", "ipc"],
  serialization: "advanced"
})
child.once("exit", (code) => process.exit(code ?? 1))
process.once("SIGTERM", () => {
  child.kill()
})

const now = Date.now() / 1000
const DAY = 86_400
const keys: ServingKeys = {
  ...noKeys,
  generations: [
    { id: 1, key: randomBytes(MASTER_KEY_BYTES), activation: now - DAY, retirement: now + DAY, revoked: false }
  ]
}
child.send(keys)
