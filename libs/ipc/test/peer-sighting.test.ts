/** What workers tell of peers: nothing but what it should be gets through. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseToDiscipline } from "@meridian/ipc/discipline-report"
import { MOST_SIGHTINGS, type PeerSighting, type PeersSeen } from "@meridian/ipc/peer-sighting"
import { parseFromWorker } from "@meridian/ipc/worker-report"

const sighting: PeerSighting = {
  address: "192.0.2.1",
  port: 123,
  localAddress: "192.0.2.2",
  localPort: 123,
  keyId: 5,
  version: 4,
  poll: 6
}
const parsePeersSeen = (message: unknown) => parseToDiscipline(message) as PeersSeen | undefined
const message = (change: object = {}) => ({ type: "peers-seen", peers: [{ ...sighting, ...change }], overlooked: 0 })

describe("peers that workers saw", () => {
  it("go from a worker to the clock's process as they are", () => {
    const seen = message({ address: "fe80::1%2", localAddress: null })
    expect(parseFromWorker(structuredClone(seen))).toEqual(seen)
    expect(parseToDiscipline(structuredClone(seen))).toEqual(seen)
  })

  it.each([
    ["a name", { address: "ntp.example" }],
    ["port 0", { port: 0 }],
    ["no address of ours", { localAddress: undefined }],
    ["key 0", { keyId: 0 }],
    ["a large key id", { keyId: 65_536 }],
    ["version 5", { version: 5 }],
    ["a poll that is no byte", { poll: 200 }]
  ])("with %s are not taken", (_name, change) => {
    expect(parsePeersSeen(message(change))).toBeUndefined()
  })

  it("are bounded in number", () => {
    const peers = Array.from({ length: MOST_SIGHTINGS + 1 }, () => sighting)
    expect(parsePeersSeen({ type: "peers-seen", peers, overlooked: 0 })).toBeUndefined()
    expect(parsePeersSeen({ type: "peers-seen", peers: peers.slice(1), overlooked: 0 })?.peers).toHaveLength(64)
    expect(parsePeersSeen({ type: "peers-seen", peers: [], overlooked: -1 })).toBeUndefined()
  })

  it("never throw, whatever the message", () => {
    fc.assert(
      fc.property(
        fc.anything(),
        fc.dictionary(fc.constantFrom(...Object.keys(sighting)), fc.anything()),
        (any, odd) => {
          expect(parsePeersSeen(any)).toBeUndefined()
          expect([undefined, 1]).toContain(parsePeersSeen(message(odd))?.peers.length)
        }
      )
    )
  })
})
