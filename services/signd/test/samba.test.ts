/** Samba's own signing daemon: what the one of Meridian is measured by, asked with the same frames. */
import { createHash } from "node:crypto"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ntHash } from "@meridian/auth/md4"
import { Samba, SAMBA_PASSWORDS, sambaAvailable } from "@meridian/testkit/samba"
import { readSigndAnswer } from "@meridian/wire/signd-frames"
import { Asking, RunningDaemon, signRequest } from "./running-daemon.ts"

describe.runIf(sambaAvailable("Samba's ntp_signd"))("Samba 4.17 and meridian signd", () => {
  let samba: Samba
  let daemon: RunningDaemon
  beforeAll(async () => {
    samba = await new Samba().start()
    daemon = await new RunningDaemon().started()
    const { testpc1, testpc2 } = samba.accounts
    const { testpc1: one, testpc2: two, testpc2Before: before } = SAMBA_PASSWORDS
    await daemon.reload(`${testpc1} password ${one}\n${testpc2} password ${two} password ${before}\n`)
  })
  afterAll(async () => {
    await samba.stop()
    await daemon.stop()
  })

  it("give the same octets for the same requests", async () => {
    const { testpc1, testpc2, group } = samba.accounts
    const PREVIOUS = 2 ** 31
    const request = signRequest(600, testpc1)
    const requests = [
      request,
      signRequest(601, testpc2, 1),
      // An account without a previous password.
      signRequest(602, testpc1 + PREVIOUS, 2),
      signRequest(604, 99_999),
      signRequest(605, group),
      signRequest(606, 0),
      request.with(7, 1),
      ...[1, 2, 3, 4, 9].map((operation) => request.with(11, operation))
    ]
    const answers = []
    for (const path of [samba.socket, daemon.socket]) {
      const asking = new Asking(path)
      for (const one of requests) asking.send(one)
      answers.push((await asking.take(requests.length)).map((frame) => Buffer.from(frame).toString("hex")))
      asking.socket.destroy()
    }
    expect(answers[1]).toEqual(answers[0])
    const kinds = answers[0]!.map((hex) => readSigndAnswer(Buffer.from(hex, "hex")).kind)
    expect(kinds).toEqual([...Array(3).fill("signed"), ...Array(9).fill("refused")])
  })

  it("differ for an account with a previous password: Samba signs with the current one, whichever is asked for", async () => {
    const { testpc2 } = samba.accounts
    const digests = []
    for (const path of [samba.socket, daemon.socket]) {
      const asking = new Asking(path)
      asking.send(signRequest(1, testpc2 + 2 ** 31))
      digests.push(Buffer.from((await asking.take(1))[0]!.subarray(64)).toString("hex"))
      asking.socket.destroy()
    }
    const { testpc2: current, testpc2Before: before } = SAMBA_PASSWORDS
    const expected = [current, before].map((password) =>
      createHash("md5").update(ntHash(password)).update(new Uint8Array(48).fill(7)).digest("hex")
    )
    expect(digests).toEqual(expected)
  })

  it("differ where Samba closes the connection: accounts that are no machines, or disabled", async () => {
    const { person, disabled, testpc1 } = samba.accounts
    for (const rid of [person, disabled]) {
      const asking = new Asking(samba.socket)
      asking.send(signRequest(1, rid))
      asking.send(signRequest(2, testpc1))
      await asking.closed()
      expect(asking.frames).toEqual([])
    }
  })
})
