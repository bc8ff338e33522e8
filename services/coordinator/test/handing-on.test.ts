import { describe, expect, it } from "vitest"
import type { Authenticity } from "@meridian/event-log"
import { STREAM } from "../src/log-names.ts"
import { COMMAND_AGE_MS, HandingOn } from "../src/handing-on.ts"
import { signerWith } from "./signing.ts"

const KEY = new Uint8Array(32).fill(7)
const command = { path: "/keys/rotate", body: "{}" }

/** A node's authenticity; sealed where the log is. */
const authenticity = (key = KEY, sealed = true): Authenticity => {
  const it = signerWith(key, STREAM)
  it.restore({ sealedAt: sealed ? 1 : null, former: [], signers: [], lacking: [] })
  return it
}

const handing = (node: string, at = 1_000_000, keys = authenticity()): HandingOn => new HandingOn(node, keys, () => at)

describe("a command that is handed on", () => {
  it("is carried out by the node that it is for, once", () => {
    const leader = handing("b")
    const text = handing("a").wrap("b", command)
    expect(leader.open(text)).toEqual(command)
    expect(leader.open(text)).toBe("that was handed on before")
    expect(handing("c").open(text)).toBe("that was for another node than c")
  })

  it("is refused when it is older than a minute, or newer", () => {
    const text = handing("a").wrap("b", command)
    for (const off of [COMMAND_AGE_MS + 1, -COMMAND_AGE_MS - 1])
      expect(handing("b", 1_000_000 + off).open(text)).toContain("compare the clocks")
  })

  it("is refused without the cluster key, changed, or without a proof in a sealed log", () => {
    const text = handing("a", 1_000_000, authenticity(new Uint8Array(32).fill(8))).wrap("b", command)
    const changed = handing("a").wrap("b", command).replace("rotate", "revoke")
    for (const forged of [text, changed, JSON.stringify(command), "", "[]", "null", "{"])
      expect(handing("b").open(forged)).toBe("no node with the cluster key has handed that on")
  })

  it("of release 0.2 is carried out until the log is sealed", () => {
    const leader = handing("b", 1_000_000, authenticity(KEY, false))
    expect(leader.open(JSON.stringify(command))).toEqual(command)
    expect(leader.open(JSON.stringify({ path: 1 }))).toBe("a command has a path and a body")
  })
})
