/** Whole exchanges with a server that proves its group, and with those that cannot. */
import { describe, expect, it } from "vitest"
import { makeGqGroup } from "../../src/autokey/gq.ts"
import { noParameters } from "../../src/autokey/group-parameters.ts"
import { gqGroupKeyNumbers, iffGroupKeyNumbers, mvServerKeyNumbers } from "../../src/autokey/identity-files.ts"
import { writeDsa, writeRsa } from "../../src/autokey/private-keys.ts"
import { associationOf, exchange, run } from "./exchanges.ts"
import { gq, groups, iff, makeMv, prime, stamp } from "./groups.ts"
import { hostOf, partyOf, randomBelow } from "./parties.ts"

describe("an association with a server of a group", () => {
  const schemes = ["iff", "gq", "mv"] as const
  const member = (scheme: (typeof schemes)[number], identity = groups[scheme].identity) =>
    partyOf(hostOf("alice@wonder", { kind: "trusted", identity: [identity], gqPublic: gq.v }))
  const bob = () => partyOf(hostOf("bob@wonder", { key: 1 }))

  it.each(schemes)("proves it with %s", (scheme) => {
    const lines: string[] = []
    const association = associationOf(bob(), groups[scheme].parameters, lines)
    expect(run(association, member(scheme))).toEqual({
      asked: ["association", "certificate", scheme, "cookie", "sign", "leap-seconds"],
      flags: groups[scheme].flags,
      isSynchronised: true
    })
    expect(lines).toContain(`${scheme} alice@wonder fs ${stamp}`)
  })

  it.each(schemes)("believes no impostor with %s", (scheme) => {
    const other = {
      iff: { ...groups.iff.identity, key: writeDsa(iffGroupKeyNumbers({ ...iff, b: iff.b + 1n })) },
      gq: {
        ...groups.gq.identity,
        key: writeRsa(gqGroupKeyNumbers(makeGqGroup(prime(256) * prime(256), randomBelow)))
      },
      mv: {
        ...groups.mv.identity,
        key: writeDsa(mvServerKeyNumbers(makeMv().server))
      }
    }
    const lines: string[] = []
    const association = associationOf(bob(), groups[scheme].parameters, lines)
    expect(run(association, member(scheme, other[scheme] as never), false, 8).isSynchronised).toBe(false)
    expect(lines.at(-1)).toMatch(/ 4711 10e bad_or_missing_group key$|protocol_error$/)
  })

  it("asks nothing further where it has no parameters of the group's, and says so", () => {
    const lines: string[] = []
    const association = associationOf(bob(), noParameters, lines)
    const { asked, isSynchronised } = run(association, member("iff"), false, 60)
    expect([asked, isSynchronised]).toEqual([["association", "certificate"], false])
    expect(lines.at(-1)).toBe("02000008 4711 10e bad_or_missing_group key")
  })

  it("takes no older group key than its own, nor one made since with IFF", () => {
    const later = { ...groups.iff.identity, filestamp: stamp + 5 }
    const lines: string[] = []
    const association = associationOf(bob(), groups.iff.parameters, lines)
    expect(run(association, member("iff", later), false, 6).isSynchronised).toBe(false)
    expect(lines.at(-1)).toContain("103 bad_filestamp")
    const gqLater = partyOf(
      hostOf("alice@wonder", {
        kind: "trusted",
        identity: [{ ...groups.gq.identity, filestamp: stamp + 5 }],
        gqPublic: gq.v
      })
    )
    expect(run(associationOf(bob(), groups.gq.parameters), gqLater).isSynchronised).toBe(true)
  })

  it("is not answered by a host of another group", () => {
    const carol = partyOf(hostOf("carol@elsewhere", { key: 2 }))
    const association = associationOf(carol)
    expect(exchange(association, member("iff"), undefined)).toMatchObject({ reason: "other-group" })
  })
})
