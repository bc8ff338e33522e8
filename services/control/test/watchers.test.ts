/** Programs that look at an ntpd by mode 6, at a node: NTPsec's ntpmon on a terminal, and the checks of monitoring-plugins. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peer, peersAvailable } from "@meridian/testkit/real-peers"
import { meridian } from "@meridian/testkit/running-node"
import { hasTerminals, onTerminal } from "@meridian/testkit/terminal"
import { type Daemon, startNtpd } from "./daemons.ts"
import { isSynchronised } from "./ntpq.ts"
import { CONTROL_KEY, eventually, type Stage, startStage } from "./stage.ts"

const suite = "ntpmon and monitoring-plugins"
const isAvailable =
  peersAvailable(suite, [
    "chronyd-4.3",
    "classic-ntpd",
    "classic-ntpq",
    "check_ntp_peer",
    "check_ntp_time",
    "ntpsec-ntpmon"
  ]) && canMakeNamespaces(suite)

let stage: Stage
let daemon: Daemon
beforeAll(async () => {
  if (!isAvailable) return
  stage = await startStage()
  daemon = startNtpd(stage, "classic-ntpd", CONTROL_KEY)
  await eventually(() => isSynchronised(stage, "classic-ntpq", stage.network), Boolean)
  await eventually(() => isSynchronised(stage, "classic-ntpq", daemon.network), Boolean)
})
afterAll(async () => {
  await daemon?.stop()
  await stage?.stop()
})

const ESCAPE = "\u001B"
const drawn = (parts: readonly string[]): string =>
  parts.join("").replaceAll(new RegExp(`${ESCAPE}(\\[[?\\d;]*[A-Za-z]|\\([A-Z]|[=>])`, "g"), " ")

describe.runIf(isAvailable && hasTerminals())("ntpmon", () => {
  it("shows sources and clients of a node until q", async () => {
    expect((await meridian(["query", "--count", "3", "192.0.2.1"], {}, stage.network.within)).code).toBe(0)
    const { command, args, env } = peer("ntpsec-ntpmon")!
    const program = [...stage.network.within, command, ...args, "-n", "127.0.0.1"]
    const show = () => {
      const { parts, code } = onTerminal(
        program,
        [
          { wait: "192.0.2.4", resize: [100, 40] },
          { wait: "lstint", type: "q" }
        ],
        { ...env, TERM: "xterm" }
      )
      return { screen: drawn(parts), code }
    }
    // The picture's list of clients is read every ten seconds.
    const { screen, code } = await eventually(
      async () => show(),
      ({ screen: text }) => /lstint[^]*192\.0\.2\.1\b/.test(text)
    )
    expect(code).toBe(0)
    expect(screen).toMatch(/remote +refid +st t when poll reach +delay +offset +jitter/)
    for (const server of ["192.0.2.2", "192.0.2.3", "192.0.2.4", "SHM("]) expect(screen).toContain(server)
    expect(screen).toMatch(/lstint avgint rstr r m v +count[^]*192\.0\.2\.1\b/)
    expect(screen).toMatch(/ntpd|meridian/)
  })
})

describe.runIf(isAvailable)("monitoring-plugins", () => {
  it("check_ntp_peer judges a node as it judges an ntpd", async () => {
    const check = async (...args: readonly string[]) => {
      const asked = ["-H", "127.0.0.1", "-t", "30", ...args]
      return [
        await stage.run("check_ntp_peer", asked),
        await stage.run("check_ntp_peer", asked, daemon.network)
      ] as const
    }
    for (const { code, stdout } of await check(
      "-w",
      "5",
      "-c",
      "10",
      "-j",
      "1000",
      "-k",
      "2000",
      "-m",
      "@0:0",
      "-n",
      "@0:0"
    )) {
      expect([code, stdout]).toEqual([0, expect.stringMatching(/^NTP OK: Offset -?[\d.e-]+ secs, jitter=[\d.]+/)])
    }
    // Of the source that is followed.
    const levels = [
      { args: ["-W", "@0:15", "-C", "15"], code: 1, word: "WARNING" },
      { args: ["-W", "@0:15", "-C", "@0:15"], code: 2, word: "CRITICAL" }
    ]
    for (const { args, code, word } of levels)
      for (const judged of await check("-w", "5", "-c", "10", ...args))
        expect([judged.code, judged.stdout]).toEqual([code, expect.stringMatching(`^NTP ${word}: .*stratum=[0-4] `)])
    const [few] = await check("-w", "5", "-c", "10", "-m", "1:", "-n", "9:")
    expect([few.code, few.stdout]).toEqual([2, expect.stringMatching(/truechimers=[1-4]/)])
  })

  it("check_ntp_peer is not answered elsewhere, and check_ntp_time is", async () => {
    const time = await stage.run("check_ntp_time", ["-H", "192.0.2.1", "-w", "5", "-c", "10"], daemon.network)
    expect([time.code, time.stdout]).toEqual([0, expect.stringMatching(/^NTP OK: Offset -?[\d.e-]+ secs/)])
    const here = await stage.run("check_ntp_time", ["-H", "127.0.0.1", "-w", "5", "-c", "10"])
    expect(here.code).toBe(0)
    const refused = await stage.run("check_ntp_peer", ["-H", "192.0.2.1", "-t", "2"], daemon.network)
    expect([refused.code, refused.stdout]).toEqual([2, expect.stringContaining("CRITICAL")])
  })
})
