/** What `sources` says of a source is what `tracking` says of the clock, and what is awaited is what is not there. */
import { describe, expect, it } from "vitest"
import { onStage } from "./stage.ts"
import { upstream } from "./running-discipline.ts"

/** GPS receivers whose weeks have rolled over are this far off, seconds. */
const ROLLOVER = 1024 * 7 * 86_400

describe.concurrent("a source", () => {
  it(
    "that the clock does not follow is not shown as the system peer",
    onStage(async (stage) => {
      const discipline = await stage.follow(await stage.fakes({ offset: -ROLLOVER }))
      const { tracking, sources } = await discipline.report((report) =>
        report.tracking.waitingFor.some((it) => it.includes("panic"))
      )
      expect(tracking).toMatchObject({ systemPeer: null, stratum: 16 })
      expect(sources[0]).toMatchObject({
        verdict: "candidate",
        reason: expect.stringMatching(/^the best, and not followed: .*over the panic threshold$/)
      })
    })
  )

  it(
    "is the system peer for one exactly when it is for the other",
    onStage(async (stage) => {
      const discipline = await stage.follow(await stage.fakes({}, {}))
      const { tracking, sources } = await discipline.report((report) => report.tracking.state === "synchronised")
      const stars = sources.filter(({ verdict }) => verdict === "system-peer").map(({ address }) => address)
      expect(stars).toEqual([tracking.systemPeer])
      // A server that had to wait for a processor is as far away as that.
      await discipline.report(({ tracking: { systemPeer }, sources: all }) => {
        const followed = all.find(({ address }) => address === systemPeer)
        return followed?.verdict === "system-peer" && (followed.rootDistance ?? Infinity) < 5e-3
      })
    })
  )

  it(
    "whose key is not there was not asked, and the key is what is awaited",
    onStage(async (stage) => {
      const [server] = await stage.fakes({})
      const discipline = await stage.start({ sources: [upstream(server!.address, server!.port, { keyId: 7 })] })
      const { tracking, sources } = await discipline.report((report) => report.tracking.waitingFor.length > 0)
      expect(tracking.waitingFor).toEqual([
        `key 7, without which nothing is sent to 127.0.1.1:${server!.port}: it is in no key file, or no trustedkey line names it`
      ])
      expect(sources[0]?.reason).toMatch(/^nothing was sent yet; it waits for key 7, /)
      expect(server!.requests()).toBe(0)
    })
  )

  it(
    "whose NTS keys cannot be had was not asked, and the keys are what is awaited",
    onStage(async (stage) => {
      const nts = { host: null, port: 1, ca: null, noval: true, aead: null }
      const discipline = await stage.start({ sources: [upstream("127.0.1.1", 123, { nts })] })
      const { tracking } = await discipline.report((report) =>
        report.tracking.waitingFor.some((it) => it.includes("nobody listens there"))
      )
      expect(tracking.waitingFor).toEqual([expect.stringMatching(/^NTS keys from 127\.0\.1\.1 /)])
    })
  )

  it(
    "whose name has no address yet is named",
    onStage(async (stage) => {
      const discipline = await stage.start({ sources: [upstream("nothing.invalid", 123)] })
      const { tracking, sources } = await discipline.report((report) => report.tracking.unresolved !== undefined)
      expect(sources).toEqual([])
      expect(tracking.unresolved).toEqual([expect.stringMatching(/^nothing\.invalid/)])
    })
  )
})
