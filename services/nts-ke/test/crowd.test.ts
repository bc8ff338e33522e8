import { describe, expect, it } from "vitest"
import { Crowd, networkOf } from "../src/crowd.ts"

describe("a crowd", () => {
  it.each([
    ["192.0.2.7", "192.0.2"],
    ["::ffff:192.0.2.7", "192.0.2"],
    ["2001:db8:1:2::7", "20010db80001"],
    [undefined, "gone"]
  ])("has %s in network %s", (address, network) => expect(networkOf(address)).toBe(network))

  it("has whoever came first of the network that holds most make way, each connection once", () => {
    const crowd = new Crowd()
    for (const address of ["198.51.100.1", "192.0.2.1", "192.0.2.2", "192.0.2.1"]) crowd.enter(address)
    const next = (): string | undefined => crowd.oldestOfMost()?.address
    expect([next(), next()]).toEqual(["192.0.2.1", "192.0.2.2"])
    // One each is left: the network that came first.
    expect([next(), next(), crowd.oldestOfMost()]).toEqual(["198.51.100.1", "192.0.2.1", undefined])
  })

  it("takes who leaves for the one that was told to", () => {
    const crowd = new Crowd()
    for (const address of ["192.0.2.1", "192.0.2.1", "198.51.100.1"]) crowd.enter(address)
    expect(crowd.oldestOfMost()?.address).toBe("192.0.2.1")
    crowd.leave("192.0.2.1")
    crowd.leave("198.51.100.1")
    expect([crowd.oldestOfMost()?.address, crowd.oldestOfMost()]).toEqual(["192.0.2.1", undefined])
    crowd.leave("203.0.113.9")
  })
})
