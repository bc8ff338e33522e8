/** The first contact of a machine that starts without the time: real chronyds with NTS, and a CLOCK_REALTIME of the test's own. */
import { execFileSync } from "node:child_process"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { closeClockPage, makeClockPage, originNow } from "@meridian/clocks/clock-page"
import { defaultTinker, type UpstreamConfiguration } from "@meridian/ipc/discipline-report"
import { freePort } from "@meridian/testkit/running-node"
import { SteppedRealtime } from "@meridian/testkit/stepped-realtime"
import { canJudge } from "@meridian/tls/certificate-time"
import { startDiscipline, servedOffset, upstream } from "./running-discipline.ts"
import { Stage } from "./stage.ts"

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

/** A certificate for an address, as good as its number of days says. */
const certify = (
  stage: Stage,
  address: string,
  days: number
): { readonly key: string; readonly certificate: string } => {
  const file = (kind: string): string => stage.folder.file(`${address}.${kind}`)
  const openssl = (...args: readonly string[]): void => void execFileSync("openssl", args, { stdio: "ignore" })
  const names = ["-addext", `subjectAltName=IP:${address}`, "-copy_extensions", "copy"]
  openssl(
    "req",
    "-new",
    ...NEW_KEY,
    "-keyout",
    file("key"),
    "-out",
    file("request"),
    "-subj",
    "/CN=x",
    ...names.slice(0, 2)
  )
  const signed = ["-req", "-in", file("request"), "-signkey", file("key"), ...names.slice(2), "-days", String(days)]
  openssl("x509", ...signed, "-out", file("pem"))
  return { key: file("key"), certificate: file("pem") }
}

/** A source with NTS under such a certificate. */
const served = async (stage: Stage, address: string, days: number): Promise<UpstreamConfiguration> => {
  const { key, certificate } = certify(stage, address, days)
  const port = await freePort()
  const lines = [`ntsserverkey ${key}`, `ntsservercert ${certificate}`, `ntsport ${port}`]
  const server = await stage.chronyd(address, lines)
  const nts = { host: null, port, ca: certificate, noval: false, aead: null }
  return upstream(server.address, server.port, { nts })
}

let starts = 0
let stage: Stage
let sources: readonly UpstreamConfiguration[]
beforeAll(async () => {
  stage = new Stage()
  const made = [30, 30, -1].map((days, index) => served(stage, `127.0.5.${index + 1}`, days))
  sources = await Promise.all(made)
})
afterAll(() => stage.end())

/** The process on a machine whose clock says so, with its page. @param unix Unix seconds */
const startAt = async (unix: number, change: Parameters<typeof startDiscipline>[1]) => {
  const realtime = new SteppedRealtime()
  const shift = Math.round(unix - Date.now() / 1e3)
  realtime.step(shift)
  const { seconds, nanoseconds } = originNow()
  const page = makeClockPage({ seconds: seconds + shift, nanoseconds })
  const before = process.env["LD_PRELOAD"]
  Object.assign(process.env, realtime.environment)
  try {
    const tinker = { ...defaultTinker, firstMayPanic: true }
    // No keys of a start before.
    const cookieDirectory = stage.folder.file(`cookies-${(starts += 1)}`)
    const discipline = await startDiscipline({ ...stage.folder, page }, { tinker, cookieDirectory, ...change })
    const end = async (): Promise<void> => {
      await discipline.stop()
      realtime.close()
      closeClockPage(page)
    }
    return { discipline, end }
  } finally {
    delete process.env["MERIDIAN_TEST_REALTIME"]
    if (before === undefined) delete process.env["LD_PRELOAD"]
    else process.env["LD_PRELOAD"] = before
  }
}

const moments = [
  ["1970", 86_400],
  ["2036", Date.UTC(2036, 5) / 1e3]
] as const

describe.runIf(canJudge())("a start in another year, with NTS alone", () => {
  it.each(moments)(
    "%s: has the right time, then drops the server whose certificate has expired by it",
    async (_year, unix) => {
      const { discipline, end } = await startAt(unix, { sources, certificateTimeUpdates: 1 })
      const { sources: shown } = await discipline.report(
        ({ tracking, sources: now }) =>
          tracking.state === "synchronised" &&
          now.some(({ authentication }) => authentication.kind === "nts" && authentication.cookies === 0)
      )
      expect(Math.abs(servedOffset(discipline.page()))).toBeLessThan(0.1)
      expect(discipline.page()).toMatchObject({ leap: 0 })
      const keyed = shown.filter(({ authentication }) => authentication.kind === "nts" && authentication.cookies > 0)
      expect(new Set(keyed.map(({ address }) => address))).toEqual(new Set(["127.0.5.1", "127.0.5.2"]))
      expect(discipline.warnings).toEqual([
        expect.stringMatching(/^NTS keys of 127\.0\.5\.3 .*are dropped: certificate has expired/)
      ])
      await end()
    }
  )

  it("has none by the expired server alone, and says why", async () => {
    const { discipline, end } = await startAt(86_400, { sources: sources.slice(2), certificateTimeUpdates: 1 })
    const { tracking } = await discipline.report(() =>
      discipline.warnings.some((it) => it.includes("nothing is known of the time"))
    )
    expect(tracking).toMatchObject({ systemPeer: null })
    await discipline.report((report) => report.tracking.stratum === 16)
    await end()
  })

  it("shows while it is so whose dates were not looked at", async () => {
    const { discipline, end } = await startAt(86_400, { sources: sources.slice(0, 1), certificateTimeUpdates: 1_000 })
    const { sources: shown } = await discipline.report(({ tracking }) => tracking.state === "synchronised")
    expect(shown[0]?.authentication).toMatchObject({ kind: "nts", provisional: true })
    await end()
  })

  it("takes no certificate that is not valid yet unless it is told to", async () => {
    const { discipline, end } = await startAt(86_400, { sources: sources.slice(0, 1) })
    const { tracking } = await discipline.report((report) =>
      report.tracking.waitingFor.some((it) => it.includes("not yet valid"))
    )
    expect(tracking.stratum).toBe(16)
    await end()
  })
})

describe("a start with more sources that cannot be asked than others", () => {
  it("waits for none of them: keys are missing, or their exchange is refused", async () => {
    const able = await Promise.all(["127.0.5.21", "127.0.5.22"].map((address) => stage.chronyd(address)))
    const usual = { iburst: true, minpoll: 6, maxpoll: 10 }
    const nts = { host: null, port: await freePort(), ca: null, noval: true, aead: null }
    const unable = [{ kind: "peer" as const, keyId: 7 }, { keyId: 7 }, { nts }, { nts }].map((change, index) =>
      upstream(`127.0.5.${31 + index}`, 9, { ...usual, ...change })
    )
    const lines = [...able.map(({ address, port }) => upstream(address, port, usual)), ...unable]
    const discipline = await startDiscipline(stage.folder, { sources: lines })
    const { tracking } = await discipline.report((report) => report.tracking.state === "synchronised")
    expect(able.map(({ address }) => address)).toContain(tracking.systemPeer)
    await discipline.stop()
  })
})
