/** The time servers that ask Samba to sign ask `meridian signd` in its place, and none of them sees a difference. */
import { describe, expect, it } from "vitest"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peersAvailable, type PeerName } from "@meridian/testkit/real-peers"
import type { WindowsAnswer, WindowsQuestion } from "@meridian/testkit/windows-client"
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

const ATTEMPTS = 5
const PASSWORD = "Machine-Passw0rd-2"
const ACCOUNTS = `1103 password current-1103 password before-1103\n1104 password ${PASSWORD}\n`

describe.runIf(available)("have their replies signed by meridian signd", () => {
  it.concurrent.each(names)("%s", async (name) => {
    const daemon = await new RunningDaemon().started()
    const server = new RealTimeServer(name, daemon.socket)
    try {
      await daemon.reload(ACCOUNTS)
      await server.signs({ rid: 1104, password: PASSWORD })
      // A datagram may get lost on a busy machine: what is to be answered is asked until it is.
      const answered = async (question: WindowsQuestion) => {
        for (let attempt = 1; ; attempt += 1) {
          const [answer] = await server.ask(question)
          if (answer === undefined) throw new Error("no answer and no verdict")
          if (answer.verdict !== "no-answer" || attempt === ATTEMPTS) return answer
        }
      }
      // NTPsec's takes no symmetric packets from strangers, signed or not.
      const toMode1 = name === "ntpsec-ntpd-1.2.3" ? "no-answer" : "signed"
      const cases: readonly (readonly [WindowsQuestion, WindowsAnswer["verdict"]])[] = [
        [{ rid: 1103, password: "current-1103" }, "signed"],
        [{ rid: 1103, password: "before-1103", previous: true }, "signed"],
        [{ rid: 1104, password: PASSWORD, previous: true }, "signed"],
        [{ rid: 1104, password: PASSWORD, mode: 1 }, toMode1],
        [{ rid: 1104, password: "another" }, "badly-signed"],
        [{ rid: 9999, password: PASSWORD }, "no-answer"],
        [{ rid: 1104, password: PASSWORD }, "signed"]
      ]
      const answers = []
      for (const [question, verdict] of cases)
        answers.push(verdict === "no-answer" ? (await server.ask(question))[0] : await answered(question))
      expect(answers.map((answer) => answer?.verdict)).toEqual(cases.map(([, verdict]) => verdict))
      expect(answers[3]?.mode).toBe(toMode1 === "signed" ? 2 : 0)
      // Version 4 is not MS-SNTP to chronyd.
      const four = { rid: 1104, password: PASSWORD, version: 4 }
      const isChrony = name.startsWith("chronyd")
      const toFour = isChrony ? (await server.ask(four))[0] : await answered(four)
      expect(toFour?.verdict).toBe(isChrony ? "no-answer" : "signed")
      const { requests } = await daemon.counters()
      expect(requests["unknown-account"]).toBe(1)
      expect(requests["signed-previous"]).toBeGreaterThanOrEqual(1)
      expect(requests["signed-previous"]).toBeLessThanOrEqual(ATTEMPTS)
    } finally {
      await server.stop()
      await daemon.stop()
    }
  })
})
