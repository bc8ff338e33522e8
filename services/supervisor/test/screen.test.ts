/** The first screen, and what it says to try next. */
import { describe, expect, it } from "vitest"
import { firstScreen, type Screen } from "../src/screen.ts"

const screen = (changes: Partial<Screen> = {}): Screen => ({
  version: "1.2.3",
  listening: ["0.0.0.0:11123", "[::]:11123"],
  workers: 2,
  io: "native",
  ioReason: undefined,
  localStratum: 10,
  sources: [],
  ipv6: true,
  access: "everybody is served, without a limit; queries (mode 6) are answered to this host alone",
  stateDirectory: ".meridian/node",
  command: "npx meridian",
  stateFlag: "",
  port: 11123,
  ntpPortDenied: false,
  xdp: undefined,
  nts: { port: 4460, developmentCertificate: true },
  user: undefined,
  root: true,
  columns: undefined,
  ...changes
})

describe("the first screen", () => {
  it("fits a terminal of 80 columns, its commands as well", () => {
    const without = { io: "fallback", ioReason: "the addon is not built; run `node libs/system/build.mjs`" } as const
    for (const changes of [{}, without, { ipv6: false }, { root: false, ntpPortDenied: true }]) {
      const lines = firstScreen(screen({ columns: 80, ...changes })).split("\n")
      expect(lines.filter(({ length }) => length > 80)).toEqual([])
    }
  })

  it("breaks a command so that it can be copied whole", () => {
    const text = firstScreen(screen({ columns: 80 }))
    const whole = firstScreen(screen())
    expect(text).toContain("--ca .meridian/node/nts-development-certificate.pem \\\n    127.0.0.1:4460\n")
    expect(text).toContain("ntsport 4460 iburst' \\\n    'ntstrustedcerts .meridian")
    const tail = (shown: string): string => shown.slice(shown.indexOf("Try next"))
    expect(tail(text).replaceAll("\\\n    ", "")).toBe(tail(whole))
  })
})
