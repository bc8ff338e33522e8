/** The TLS server of the addon without Node: under AddressSanitizer with its leak check and UBSan, and without OpenSSL. */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, it } from "vitest"
import { SANITIZED } from "../../../infra/workspace/build-addon.ts"

const native = fileURLToPath(new URL("../native/", import.meta.url))
const driver = fileURLToPath(new URL("vectors/tls-driver.c", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "meridian-tls-"))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The addon takes its OpenSSL from Node; a program of its own needs the system's, where a developer installed it. */
const program = join(folder, "tls-driver")
const flags = "-std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -fno-omit-frame-pointer"
const sanitizers = "-fsanitize=address,undefined -fno-sanitize-recover=all"
const sources = ["tls-server.c", "tls-connection.c", "tls-context.c"].map((file) => join(native, file))
const built = spawnSync(
  process.env["CC"] ?? "cc",
  [...`${flags} ${sanitizers} -o`.split(" "), program, driver, ...sources, "-lssl", "-lcrypto"],
  { encoding: "utf8" }
)
const hasOpenssl = existsSync("/usr/include/openssl/ssl.h")

describe.runIf(hasOpenssl)("the TLS server", SANITIZED, () => {
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

describe("a program without OpenSSL", () => {
  it("loads all the same, and is told which function is missing", () => {
    const main = join(folder, "main.c")
    const without = join(folder, "without-openssl")
    writeFileSync(
      main,
      '#include "tls-openssl.h"\n#include <stdio.h>\nint main(void) { puts(tls_openssl_problem()); return 0; }\n'
    )
    const headers = join(dirname(dirname(process.execPath)), "include/node")
    const compiled = spawnSync(
      process.env["CC"] ?? "cc",
      ["-std=gnu11", "-fPIC", "-Wall", "-Werror", "-isystem", headers, "-I", native, "-o", without, main].concat(
        join(native, "tls-openssl.c")
      ),
      { encoding: "utf8" }
    )
    expect(compiled.stderr).toBe("")
    expect(spawnSync(without, { encoding: "utf8" }).stdout).toBe(
      "expected OpenSSL's BIO_clear_flags in this Node, found none\n"
    )
  })
})
