/** The time servers that ask Samba to sign ask `meridian signd` in its place, and none of them sees a difference. */
import { describe, expect, it } from "vitest"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peersAvailable, type PeerName } from "@meridian/testkit/real-peers"
import { RealTimeServer } from "./real-time-server.ts"
import { RunningDaemon } from "./running-daemon.ts"

const names = [
  "classic-ntpd",
  "ntpsec-ntpd-1.2.3",
  "chronyd-4.3",
  "chronyd-newest"
] as const satisfies readonly PeerName[]
const suite = "time servers that have their replies signed"
const available = peersAvailable(suite, names) && canMakeNamespaces(suite)

const PASSWORD = "Machine-Passw0rd-2"
const ACCOUNTS = `1103 password current-1103 password before-1103\n1104 password ${PASSWORD}\n`

describe.runIf(available)("have their replies signed by meridian signd", () => {
  it.concurrent.each(names)("%s", async (name) => {
    const daemon = await new RunningDaemon().started()
    const server = new RealTimeServer(name, daemon.socket)
    try {
      await daemon.reload(ACCOUNTS)
      await server.signs({ rid: 1104, password: PASSWORD })
      const answers = await server.ask(
        { rid: 1103, password: "current-1103" },
        { rid: 1103, password: "before-1103", previous: true },
        { rid: 1104, password: PASSWORD, previous: true },
        { rid: 1104, password: PASSWORD, mode: 1 },
        { rid: 1104, password: "another" },
        { rid: 9999, password: PASSWORD },
        { rid: 1104, password: PASSWORD }
      )
      // NTPsec's takes no symmetric packets from strangers, signed or not.
      const toMode1 = name === "ntpsec-ntpd-1.2.3" ? "no-answer" : "signed"
      const verdicts = ["signed", "signed", "signed", toMode1, "badly-signed", "no-answer", "signed"]
      expect(answers.map(({ verdict }) => verdict)).toEqual(verdicts)
      expect(answers[3]?.mode).toBe(toMode1 === "signed" ? 2 : 0)
      // Version 4 is not MS-SNTP to chronyd.
      const [four] = await server.ask({ rid: 1104, password: PASSWORD, version: 4 })
      expect(four?.verdict).toBe(name.startsWith("chronyd") ? "no-answer" : "signed")
      const { requests } = await daemon.counters()
      expect(requests["unknown-account"]).toBe(1)
      expect(requests["signed-previous"]).toBe(1)
    } finally {
      await server.stop()
      await daemon.stop()
    }
  })
})
