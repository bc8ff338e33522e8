import { spawnSync } from "node:child_process"
import { join, resolve } from "node:path"
import { describe, expect, it } from "vitest"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { defaultAdmissionLimits } from "../src/admission.ts"
import { endpointsOf, settingsOf } from "../src/settings.ts"
import { defaultTlsSettings } from "../src/tls-settings.ts"
import { childEnvironment, makeFolder, settingsWith, startService } from "./running-service.ts"

const files = { certificate: "a,b.crt", key: "a.key" }
const NOW = 1_795_000_000
const plan = (change: Parameters<typeof settingsWith>[0] = {}) => ({
  ...settingsWith({ certificates: [files], handshakeSeconds: null, exchangeSeconds: null, ...change }),
  accepts: true,
  generations: []
})

describe("the settings of an NTS-KE process", () => {
  it("are this service's own where the plan leaves the choice", () => {
    expect(settingsOf(plan({ reportSeconds: 1 }), NOW)).toEqual({
      certificates: [files],
      tls: defaultTlsSettings,
      exchangeSeconds: 2,
      reportSeconds: 1,
      aeads: new Set([15, 16, 17, 30]),
      timeServer: {},
      admission: defaultAdmissionLimits
    })
  })

  it("are the plan's where it says something", () => {
    const rate = { perSecond: 5, burst: 6 }
    const tls = { minimum: "TLSv1.2", maximum: "TLSv1.3", cipherSuites: "X", curves: "P-256" } as const
    const admission = { connections: 9, connectionsPerAddress: 3, rate, ratePerAddress: { perSecond: 0, burst: 0 } }
    const timeServer = { host: "ntp.example", port: 1123 }
    expect(
      settingsOf(
        plan({ tls, admission, timeServer, handshakeSeconds: 1.5, exchangeSeconds: 0.5, aeads: [30, 15] }),
        NOW
      )
    ).toMatchObject({
      tls: { ...tls, handshakeSeconds: 1.5 },
      exchangeSeconds: 0.5,
      aeads: new Set([15, 30]),
      timeServer,
      admission
    })
  })

  it("that cannot be meant are refused", () => {
    for (const change of [{ aeads: [15, 99] }, { timeServer: { host: "two words", port: null } }])
      expect(() => settingsOf(plan(change), NOW)).toThrow(expect.objectContaining({ _tag: "SettingsError" }))
  })

  it("name the places to listen where no descriptor is inherited", () => {
    const places = [{ address: "::1", port: 4460 }]
    expect(endpointsOf([], places)).toEqual([{ _tag: "bind", ...places[0] }])
    expect(endpointsOf([4, 5], places)).toEqual([
      { _tag: "descriptor", descriptor: 4 },
      { _tag: "descriptor", descriptor: 5 }
    ])
  })
})

describe("main.ts", () => {
  it("explains itself and exits 2 without a supervisor", () => {
    const program = resolve(import.meta.dirname, "../src/main.ts")
    const run = spawnSync(process.execPath, [program], {
      encoding: "utf8",
      timeout: PATIENCE_MS,
      env: childEnvironment()
    })
    expect(run).toMatchObject({ status: 2, stderr: expect.stringContaining("started by the supervisor") })
  })

  it("waits for a certificate that can be used, says what is missing, and serves when it is there", async () => {
    const folder = makeFolder()
    try {
      const later = { certificate: join(folder.path, "a.crt"), key: join(folder.path, "a.key") }
      const service = await startService({ certificates: [later] })
      expect(await service.warning(/no certificate can be used/)).toContain(
        "found that it is not there: check the path"
      )
      expect((await service.report()).troubles).toEqual([expect.stringContaining("no certificate can be used")])
      folder.certificate("a", ["localhost"])
      expect((await service.report(({ certificates }) => certificates.length === 1)).troubles).toEqual([])
      await service.stop()
    } finally {
      folder.remove()
    }
  })

  it("exits with the reason when TLS cannot be set up", async () => {
    const folder = makeFolder()
    try {
      const made = folder.certificate("a", ["localhost"])
      const tls = { minimum: null, maximum: null, cipherSuites: null, curves: "P-0" }
      await expect(startService({ certificates: [made], settings: { tls } })).rejects.toThrow(/TLS cannot be set up/)
    } finally {
      folder.remove()
    }
  })

  it("says a plan that cannot be read aloud, keeps the one before, and ends where there is none", async () => {
    const folder = makeFolder()
    try {
      const certificates = [folder.certificate("a", ["localhost"])]
      const service = await startService({ certificates })
      service.process.send({ type: "plan", version: 2, sockets: [], plan: { aeads: "all" } })
      expect(await service.warning(/cannot read its new plan/)).toMatch(
        /goes on by the one before: plan\.\w+: expected/
      )
      service.process.send({ type: "nonsense" })
      expect(await service.warning(/does not know/)).toContain('"nonsense"')
      expect(service.process.exitCode).toBeNull()
      await service.stop()
      const settings = { aeads: [] }
      await expect(startService({ certificates, settings })).rejects.toThrow(/its plan cannot be read: plan\.aeads/)
    } finally {
      folder.remove()
    }
  })
})
