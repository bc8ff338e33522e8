import { spawnSync } from "node:child_process"
import { resolve } from "node:path"
import { describe, expect, it } from "vitest"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { defaultAdmissionLimits } from "../src/admission.ts"
import { parseArguments } from "../src/arguments.ts"
import { defaultTlsSettings } from "../src/tls-settings.ts"
import { childEnvironment, makeFolder } from "./running-service.ts"

const needed = ["--descriptors", "4,5", "--certificate", "a,b.crt,a.key"]
const parsed = (...args: readonly string[]) => parseArguments([...needed, ...args])

describe("parseArguments", () => {
  it("has defaults for all but the place and the certificate", () => {
    expect(parsed()).toEqual({
      doors: [
        { _tag: "descriptor", descriptor: 4 },
        { _tag: "descriptor", descriptor: 5 }
      ],
      certificates: [{ certificate: "a,b.crt", key: "a.key" }],
      tls: defaultTlsSettings,
      exchangeSeconds: 2,
      reportSeconds: 1,
      aeads: new Set([15, 16, 17, 30]),
      timeServer: {},
      admission: defaultAdmissionLimits
    })
  })

  it("reads everything else", () => {
    const tls = ["--tls-min", "TLS1.2", "--tls-max", "TLSv1.3", "--tls-ciphersuites", "X", "--tls-curves", "P-256"]
    const limits = [
      "--connections",
      "9",
      "--connections-per-address",
      "3",
      "--rate",
      "5,6",
      "--rate-per-address",
      "0,0"
    ]
    const others = ["--handshake-limit", "1.5", "--exchange-limit", "0.5", "--aeads", "30,15"]
    const server = ["--ntp-server", "ntp.example", "--ntp-port", "1123", "--bind", "::1,4460"]
    expect(parsed(...tls, ...limits, ...others, ...server)).toMatchObject({
      doors: [{}, {}, { _tag: "bind", address: "::1", port: 4460 }],
      tls: { minimum: "TLSv1.2", maximum: "TLSv1.3", cipherSuites: "X", curves: "P-256", handshakeSeconds: 1.5 },
      exchangeSeconds: 0.5,
      aeads: new Set([15, 30]),
      timeServer: { host: "ntp.example", port: 1123 },
      admission: {
        connections: 9,
        connectionsPerAddress: 3,
        rate: { perSecond: 5, burst: 6 },
        ratePerAddress: { perSecond: 0, burst: 0 }
      }
    })
  })

  it("asks for help", () => {
    expect(parseArguments(["--help"])).toBeUndefined()
  })

  it.each([
    ["--bogus"],
    ["--ntp-port", "0"],
    ["--ntp-port", "70000"],
    ["--ntp-port", "1e3"],
    ["--ntp-server", "two words"],
    ["--ntp-server", ""],
    ["--aeads", "15,99"],
    ["--aeads", ""],
    ["--tls-min", "SSL3"],
    ["--tls-min", "TLS1.1"],
    ["--tls-max", "TLS1.2"],
    ["--bind", "4460"],
    ["--bind", "::1,"],
    ["--certificate", "alone"],
    ["--rate", "5"],
    ["--rate", "5,0"],
    ["--rate", "-1,5"],
    ["--connections", "0"],
    ["--handshake-limit", "0"],
    ["--exchange-limit", "61"],
    ["--descriptors", "x"],
    ["--descriptors", "1"]
  ])("refuses %s %s", (...args) => {
    expect(() => parsed(...args)).toThrow(expect.objectContaining({ _tag: "ArgumentError" }))
  })

  it("needs a place and a certificate", () => {
    expect(() => parseArguments(["--certificate", "a,b"])).toThrow(/--descriptors or --bind/)
    expect(() => parseArguments(["--descriptors", "4"])).toThrow(/--certificate or --development-certificate/)
  })
})

describe("main.ts", () => {
  const run = (...args: readonly string[]) =>
    spawnSync(process.execPath, [resolve(import.meta.dirname, "../src/main.ts"), ...args], {
      encoding: "utf8",
      timeout: PATIENCE_MS,
      env: childEnvironment()
    })

  it("explains itself and exits 2 for help and for what cannot be meant", () => {
    expect(run("--help")).toMatchObject({ status: 2, stderr: expect.stringContaining("--descriptors FD") })
    const wrong = run("--bind", "127.0.0.1,0")
    expect(wrong).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/^meridian nts-ke: expected --certificate/)
    })
  })

  it("exits 1 with the reason when no certificate can be used or TLS cannot be set up", () => {
    const folder = makeFolder()
    try {
      const { certificate, key } = folder.certificate("a", ["localhost"])
      const missing = run("--bind", "127.0.0.1,0", "--certificate", `/nonexistent.crt,${key}`)
      expect(missing.status).toBe(1)
      expect(missing.stderr).toMatch(/found ENOENT[^]*no certificate can be used/)
      const curves = run("--bind", "127.0.0.1,0", "--certificate", `${certificate},${key}`, "--tls-curves", "P-0")
      expect(curves.status).toBe(1)
      expect(curves.stderr).toMatch(/TLS cannot be set up/)
      const place = run("--bind", "192.0.2.1,4460", "--certificate", `${certificate},${key}`)
      expect(place.status).toBe(1)
      expect(place.stderr).toMatch(/cannot listen: .*EADDRNOTAVAIL/)
    } finally {
      folder.remove()
    }
  })
})
