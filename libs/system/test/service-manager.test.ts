import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { closeSync } from "node:fs"
import { afterAll, describe, expect, it } from "vitest"
import { loadNative } from "../src/native.ts"
import { serviceManager } from "../src/service-manager.ts"

const folder = mkdtempSync(join(tmpdir(), "meridian-notify-"))
const path = join(folder, "notify")
const addon = loadNative().addon!
const descriptor = addon.unixDatagramBind(path, 0o600)
afterAll(() => {
  closeSync(descriptor)
  rmSync(folder, { recursive: true })
})
const heard = (): string => {
  const bytes = new Uint8Array(4096)
  const length = addon.datagramReceive(descriptor, bytes)
  return length < 0 ? "" : new TextDecoder().decode(bytes.subarray(0, length))
}

describe("the service manager", () => {
  it("hears that the node is ready, reloads, lives and stops", () => {
    const manager = serviceManager({ NOTIFY_SOCKET: path }, 1)
    manager.ready("synchronised\nor not")
    expect(heard()).toBe("READY=1\nSTATUS=synchronised or not")
    manager.reloading()
    expect(heard()).toMatch(/^RELOADING=1\nMONOTONIC_USEC=\d+$/)
    manager.alive(() => "well")
    expect(heard()).toBe("WATCHDOG=1\nSTATUS=well")
    manager.stopping()
    expect(heard()).toMatch(/^STOPPING=1/)
  })

  it.each([
    [{ WATCHDOG_USEC: "30000000" }, 15_000],
    [{ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "7" }, 15_000],
    [{ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "8" }, undefined],
    [{ WATCHDOG_USEC: "never" }, undefined],
    [{}, undefined]
  ])("is told that the process lives at half of what it bears: %o", (environment, expected) => {
    expect(serviceManager({ NOTIFY_SOCKET: path, ...environment }, 7).watchdogMs).toBe(expected)
  })

  it("that is gone, or none, is no fault", () => {
    serviceManager({ NOTIFY_SOCKET: join(folder, "nobody") }, 1).ready("x")
    serviceManager({ NOTIFY_SOCKET: "@" }, 1).ready("x")
    serviceManager({}, 1).ready("x")
    expect(heard()).toBe("")
  })
})
