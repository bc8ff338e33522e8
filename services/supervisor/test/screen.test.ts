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
  starting: null,
  ipv6: true,
  access: "everybody is served, without a limit; queries (mode 6) are answered to this host alone",
  stateDirectory: ".meridian/node",
  stateKept: true,
  command: "npx meridian",
  stateFlag: "",
  port: 11123,
  ntpPortDenied: false,
  mayBindNtpPort: true,
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

  it("has a first question that is answered, where nobody is before a source has told the time", () => {
    const starting = "answers nobody until it has time, for at most 30 s more (silentstart)"
    const text = firstScreen(
      screen({ sources: ["ntp.example"], localStratum: undefined, starting, stateFlag: " --state /x" })
    )
    expect(text).toContain(`asking ntp.example; ${starting}`)
    expect(text).toContain("npx meridian waitsync 60 --state /x && npx meridian query 127.0.0.1:11123\n")
  })

  it("names a configuration to try that this user can start", () => {
    const tried = "--config infra/packaging/ntp.conf"
    expect(firstScreen(screen())).toContain(`${tried} follows those of the NTP pool`)
    expect(firstScreen(screen({ mayBindNtpPort: false }))).toContain(
      `${tried} --port 11123 follows those of the NTP pool`
    )
  })

  it("names no command that would find no node, where the state directory is somebody else's", () => {
    const text = firstScreen(screen({ stateKept: false }))
    expect(text).not.toContain("status")
    expect(text).not.toContain("ntstrustedcerts")
    expect(text).toContain("npx meridian query 127.0.0.1:11123")
  })

  it("says in one note why another port is served than the file means", () => {
    const text = firstScreen(screen({ ntpPortDenied: true, root: false }))
    expect(
      text.match(/^ {2}note .*may not bind 123.*start as root with --user NAME, or give CAP_NET_BIND_SERVICE$/m)
    ).not.toBeNull()
  })
})
