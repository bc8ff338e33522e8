/**
 * What three versions of ntpq print of one source, of a reference clock and of what is written, beside what they print of the daemon they
 * came with: plain, keyed, NTS and reference clock, from the same servers.
 */
import { describe, expect, it } from "vitest"
import type { NetworkNamespace } from "@meridian/testkit/network-namespace"
import { askAlone, askNtpq, type Ntpq, ntpqPairs } from "./ntpq.ts"
import { stageBesideDaemons } from "./ntpq-stage.ts"
import { eventually } from "./stage.ts"

const suite = "ntpq's screens of one source beside the real daemons"
const beside = stageBesideDaemons(suite)
const { daemons, isAvailable } = beside

/** By their places in the table of associations, which both have by their configuration. */
const sources = ["plain", "keyed", "nts", "clock"] as const
const CLOCK = 1 + sources.indexOf("clock")

/** Commands one after another, each about an association by its place (`&1`). */
const ask = async (ntpq: Ntpq, commands: readonly string[], where: NetworkNamespace): Promise<readonly string[]> =>
  (await askNtpq(beside.stage, ntpq, ["as", ...commands], where)).slice(1)

/** Asks until all four sources have answered. */
const whenAllAnswered = (ntpq: Ntpq, where: NetworkNamespace): Promise<unknown> =>
  eventually(
    async () => (await askNtpq(beside.stage, ntpq, ["as"], where))[0] ?? "",
    (table) => [...table.matchAll(/^ +\d+ +\d+ +[\da-f]{4} +yes +yes /gm)].length === sources.length
  )

/** `name=value, …` behind the association and its status word; values may be quoted, or rows of a filter. */
const variablesOf = (text: string): ReadonlyMap<string, string> => {
  const body = text.replace(/^associd=\d+ (status=.*\n)?/, "").replaceAll("\n", " ")
  const matches = body.matchAll(/([a-z][a-z\d]*) ?=("[^"]*"|.*?)(?=,\s+[a-z][a-z\d]* ?=|,?\s*$)/g)
  return new Map([...matches].map(([, name = "", value = ""]) => [name, value.trim()]))
}

/**
 * What classic ntpd alone prints, and not of each source: how long it took to send the packet before, which takes another stamp, and
 * the hops of a broadcast.
 */
const OF_CLASSIC = ["xleave", "ttl"]

/** What the two say of a server is what the server says, or how it was configured. */
const ALIKE = ["srcadr", "srcport", "leap", "hmode", "pmode", "stratum", "precision", "rootdelay", "refid", "keyid"]

/** Lines of `label:  value`. */
const linesOf = (text: string): ReadonlyMap<string, string> =>
  new Map(
    text
      .split("\n")
      .filter((line) => !line.startsWith("associd="))
      .map((line) => {
        const [, label = "", value = ""] = /^([^:]+):\s+(.*)$/.exec(line) ?? []
        return [label, value]
      })
  )

const withoutNumbers = (text: string): string => text.replaceAll(/\d+/g, "N")

describe.runIf(isAvailable)("ntpq shows a source as it shows one of its own daemon", () => {
  it.each(ntpqPairs)("$ntpq, rv N: the same variables, and the servers' values", async ({ ntpq, ntpd }) => {
    const { network } = daemons.get(ntpd)!
    await whenAllAnswered(ntpq, beside.stage.network)
    await whenAllAnswered(ntpq, network)
    const commands = sources.map((_, at) => `rv &${at + 1}`)
    const [node, daemon] = [await ask(ntpq, commands, beside.stage.network), await ask(ntpq, commands, network)]
    for (const [at, source] of sources.entries()) {
      const [own, theirs] = [variablesOf(node[at] ?? ""), variablesOf(daemon[at] ?? "")]
      const missing = [...theirs.keys()].filter((name) => !own.has(name) && !OF_CLASSIC.includes(name))
      expect([source, missing]).toEqual([source, []])
      for (const name of ALIKE) expect([source, name, own.get(name)]).toEqual([source, name, theirs.get(name)])
      for (const name of ["filtdelay", "filtoffset", "filtdisp"])
        expect([source, name, own.get(name)?.split(/\s+/).length]).toEqual([source, name, 8])
      expect(node[at]).toMatch(/^associd=\d+ status=[\da-f]{4} conf, (authenb, auth, )?reach, sel_/)
      for (const name of ["offset", "delay", "jitter"]) expect(Math.abs(Number(own.get(name)))).toBeLessThan(1_000)
    }
  })

  it.each(ntpqPairs)("$ntpq, pstats: the same lines", async ({ ntpq, ntpd }) => {
    const { network } = daemons.get(ntpd)!
    await whenAllAnswered(ntpq, beside.stage.network)
    await whenAllAnswered(ntpq, network)
    const commands = sources.map((_, at) => `pstats &${at + 1}`)
    const [node, daemon] = [await ask(ntpq, commands, beside.stage.network), await ask(ntpq, commands, network)]
    for (const [at, source] of sources.entries()) {
      const [own, theirs] = [linesOf(node[at] ?? ""), linesOf(daemon[at] ?? "")]
      expect([source, [...own.keys()]]).toEqual([source, [...theirs.keys()]])
      expect([source, own.get("remote host")]).toEqual([source, theirs.get("remote host")])
      expect(Number(own.get("packets sent"))).toBeGreaterThan(0)
      expect(Number(own.get("packets received"))).toBeGreaterThan(0)
      for (const label of ["bad authentication", "bogus origin", "duplicate"])
        expect([source, label, own.get(label)]).toEqual([source, label, "0"])
      const cookies = ntpq === "classic-ntpq" ? /^none$/ : source === "nts" ? /^\s*[1-8]$/ : /^\s*-1$/
      expect(own.get("count of nts cookies") ?? "none").toMatch(cookies)
    }
  })

  it.each(ntpqPairs)(
    "$ntpq, cv and clocklist: the reference clock's variables, and the same refusals",
    async ({ ntpq, ntpd }) => {
      const { network } = daemons.get(ntpd)!
      await whenAllAnswered(ntpq, beside.stage.network)
      await whenAllAnswered(ntpq, network)
      const commands = [`cv &${CLOCK}`, "clocklist", `cv &${CLOCK} device,refid`]
      const [node, daemon] = [await ask(ntpq, commands, beside.stage.network), await ask(ntpq, commands, network)]
      for (const [at, command] of commands.entries()) {
        const [own, theirs] = [variablesOf(node[at] ?? ""), variablesOf(daemon[at] ?? "")]
        expect([command, [...theirs.keys()].filter((name) => !own.has(name))]).toEqual([command, []])
        const same = ["device", "name", "stratum", "refid", "fudgetime1", "badformat", "flags"]
        for (const name of same.filter((each) => theirs.has(each)))
          expect([command, name, own.get(name)]).toEqual([command, name, theirs.get(name)])
        // A feeder that this machine held up is a poll without a reading, for whoever asked just then.
        expect([own, theirs].map((of) => /^\d*$/.test(of.get("noreply") ?? ""))).toEqual([true, true])
      }
      expect(variablesOf(node[0] ?? "").get("timecode")).toMatch(/^"\d{10}\.\d{6}"$/)
      for (const command of ["cv", "cv &1", `cv &${CLOCK} nonsuch`, "cv 4711"]) {
        const [own, theirs] = [
          await askAlone(beside.stage, ntpq, command),
          await askAlone(beside.stage, ntpq, command, { where: network })
        ]
        expect([command, withoutNumbers(own.error)]).toEqual([command, withoutNumbers(theirs.error)])
      }
    }
  )

  it.each(ntpqPairs)(
    "$ntpq, rv 0 cert and rv N flags: named and empty without Autokey, as of classic ntpd",
    async ({ ntpq, ntpd }) => {
      const { network } = daemons.get(ntpd)!
      for (const command of ["rv 0 cert", "rv &1 flags"]) {
        const [own, theirs] = [
          await askAlone(beside.stage, ntpq, command),
          await askAlone(beside.stage, ntpq, command, { where: network })
        ]
        expect([command, own.error]).toEqual([command, ""])
        // NTPsec's daemon does not know these names.
        const isKnown = ntpq === "classic-ntpq"
        expect([command, theirs.error]).toEqual([command, isKnown ? "" : "***Server error code UNKNOWNVAR"])
        expect([command, withoutNumbers(isKnown ? theirs.text : own.text)]).toEqual([command, withoutNumbers(own.text)])
      }
    }
  )

  it.each(ntpqPairs)(
    "$ntpq, writevar: is answered as by the daemon, and nothing is written",
    async ({ ntpq, ntpd }) => {
      const { network } = daemons.get(ntpd)!
      // NTPsec's ntpq sends no MAC with it, and says nothing of what came of it.
      const isSaid = ntpq === "classic-ntpq"
      for (const command of ["writevar 0 stratum=7", "writevar 0 nonsuch=1", "writevar &1 reach=1"]) {
        const [own, theirs] = [
          await askAlone(beside.stage, ntpq, command),
          await askAlone(beside.stage, ntpq, command, { where: network })
        ]
        expect([command, own]).toEqual([command, theirs])
        expect(own.error).toMatch(isSaid ? /^\*\*\*/ : /^$/)
        const [refused, theirRefusal] = [
          await askAlone(beside.stage, ntpq, command, { key: "other" }),
          await askAlone(beside.stage, ntpq, command, { key: "other", where: network })
        ]
        expect([command, refused]).toEqual([command, theirRefusal])
        expect(refused.error).toBe(isSaid ? "***Server disallowed request (authentication?)" : "")
      }
      expect((await askNtpq(beside.stage, ntpq, ["rv 0 stratum"]))[0]).toMatch(/stratum=[1-5]\b/)
    }
  )
})
