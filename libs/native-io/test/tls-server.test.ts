/** The TLS server of the addon without Node, under AddressSanitizer with its leak check and UBSan. */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, it } from "vitest"

const native = fileURLToPath(new URL("../native/", import.meta.url))
const driver = fileURLToPath(new URL("vectors/tls-driver.c", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "meridian-tls-"))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The addon takes its OpenSSL from Node; a program of its own needs the system's, where a developer installed it. */
const program = join(folder, "tls-driver")
const built = spawnSync(
  process.env["CC"] ?? "cc",
  [
    ...["-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fno-omit-frame-pointer"],
    ...["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-o", program, driver],
    ...["tls-server.c", "tls-connection.c", "tls-context.c"].map((file) => join(native, file)),
    ...["-lssl", "-lcrypto"]
  ],
  { encoding: "utf8" }
)
const hasOpenssl = existsSync("/usr/include/openssl/ssl.h")

describe.runIf(hasOpenssl)("the TLS server", { timeout: 120_000 }, () => {
  it("serves honest clients among broken and hostile ones, and loses nothing", () => {
    expect(built.stderr).toBe("")
    const seed = String(Date.now())
    const result = spawnSync(program, ["1500", seed], { encoding: "utf8" })
    expect(result.stderr, `seed ${seed}`).toBe("")
    const [, answered, served, honest] =
      /^1\d{3} connections, (\d+) answered, (\d+) of (\d+) honest clients served\n$/.exec(result.stdout)?.map(Number) ??
      []
    expect(served).toBe(honest)
    expect(honest).toBeGreaterThan(100)
    expect(answered).toBeGreaterThan(honest!)
  })
})
