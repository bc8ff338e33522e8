/**
 * One NTS session against a whole cluster: keys are exchanged with one node, and the cookies are good on every other, as
 * they are behind one anycast address; across a rotation too, and not after a revocation.
 */
import { randomBytes, randomFillSync } from "node:crypto"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { rmSync } from "node:fs"
import { join } from "node:path"
import { type Aead, AeadId } from "@meridian/auth/aead"
import { cookieGeneration } from "@meridian/auth/cookie"
import { NtsAssociation, type NtsReplyVerdict } from "@meridian/auth/nts-client"
import { aeadProvider } from "@meridian/ciphers/aead"
import { type ExchangedKeys, exchangeKeys } from "@meridian/tls/nts-key-exchange"
import { clientRequest } from "@meridian/protocol/sntp-client"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { meridian } from "@meridian/testkit/running-node"
import type { NtpTimestamp } from "@meridian/time/timestamp"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { cluster, type ClusterPlace, PATIENCE_MS, startCluster } from "./running-cluster.ts"

const NODES = ["a", "b", "c"]

let place: ClusterPlace
const portOf = (node: string): number => place.ntpPort + NODES.indexOf(node)
const stateOf = (node: string): string => join(place.directory, node)

const exchange = (node: string): Promise<ExchangedKeys> =>
  exchangeKeys({
    name: "localhost",
    address: "127.0.0.1",
    port: portOf(node) + 10,
    ca: join(stateOf(node), "nts-development-certificate.pem"),
    insecure: false,
    aeads: [AeadId.sivCmac256]
  })

const associate = (keys: Pick<ExchangedKeys, "c2s" | "s2c" | "cookies">): NtsAssociation =>
  new NtsAssociation(aeadProvider().aeads.get(AeadId.sivCmac256) as Aead, keys)

/** Asks a node once; a verdict on the first reply. */
const ask = async (node: string, association: NtsAssociation): Promise<NtsReplyVerdict> => {
  const header = clientRequest(4, randomBytes(8).readBigUInt64BE() as NtpTimestamp)
  const request = association.request(header, randomFillSync)
  if (request === undefined) throw new Error("no cookie is left")
  const socket = createSocket("udp4")
  try {
    socket.connect(portOf(node), "127.0.0.1")
    await once(socket, "connect")
    socket.send(request)
    const [reply] = (await once(socket, "message", { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Uint8Array]
    return association.accept(reply)
  } finally {
    socket.close()
  }
}

const generationOf = (cookie: Uint8Array = new Uint8Array(16)): number =>
  cookieGeneration(new DataView(cookie.buffer, cookie.byteOffset, cookie.byteLength), 0)

interface Generation {
  readonly generation: number
  readonly status: string
}
const run = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await meridian(args)
  if (code !== 0) throw new Error(`meridian ${args.join(" ")}: ${stderr}`)
  return stdout
}
const activeOn = async (node: string): Promise<number | undefined> => {
  const { nts } = JSON.parse(await run("keys", "list", "--json", "--state", stateOf(node))) as { nts: Generation[] }
  return nts.find(({ status }) => status === "active")?.generation
}

describe.runIf(peersAvailable("NTS on a cluster", ["nats-server-2.10"]))("cookies of one node", () => {
  let given: ExchangedKeys
  beforeAll(async () => {
    const { started, ...rest } = await startCluster("meridian-cluster-nts-")
    place = rest.place
    if (!started.output.includes("the nodes agree")) throw new Error(started.output)
    given = await vi.waitFor(() => exchange("a"), { timeout: PATIENCE_MS, interval: 200 })
  })
  afterAll(async () => {
    await cluster(place, "down")
    rmSync(place.directory, { recursive: true, force: true })
  })

  it("are answered and authenticated by the others, and theirs by it", async () => {
    expect(given).toMatchObject({ host: undefined, port: portOf("a") })
    const association = associate({ ...given, cookies: given.cookies.slice(0, 1) })
    // With one cookie in the jar each request takes along the cookies that the node before has given.
    for (const node of ["b", "c", "a", "c", "b"])
      expect(await ask(node, association)).toMatchObject({ _tag: "Authentic" })
    expect(association.cookies).toBe(8)
  })

  it("are so after a rotation on another node, old ones and new ones", async () => {
    const before = (await activeOn("a")) as number
    expect(given.cookies.map(generationOf)).toEqual(given.cookies.map(() => before))
    await vi.waitFor(() => run("keys", "rotate", "--state", stateOf("b")), {
      timeout: PATIENCE_MS,
      interval: 300
    })
    await vi.waitFor(async () => expect(await Promise.all(NODES.map(activeOn))).toEqual(Array(3).fill(before + 1)), {
      timeout: PATIENCE_MS,
      interval: 200
    })
    const association = associate({ ...given, cookies: given.cookies.slice(1, 2) })
    for (const node of ["c", "b", "a"]) expect(await ask(node, association)).toMatchObject({ _tag: "Authentic" })
    // What came last was sealed under the new generation.
    expect(generationOf(association.session().cookies.at(-1))).toBe(before + 1)
    const fresh = await exchange("b")
    expect(generationOf(fresh.cookies[0])).toBe(before + 1)
    expect(await ask("c", associate(fresh))).toEqual({ _tag: "Authentic", newCookies: 1 })
  })

  it("are refused by every node with the kiss NTSN once their generation is revoked, and later ones are not", async () => {
    const revoked = generationOf(given.cookies[0])
    const fresh = await exchange("c")
    await run("keys", "revoke", String(revoked), "--reason", "a test", "--state", stateOf("c"))
    for (const [index, node] of NODES.entries()) {
      const refused = await vi.waitFor(
        async () => {
          const association = associate({ ...given, cookies: given.cookies.slice(2) })
          expect(await ask(node, association)).toEqual({ _tag: "Nak" })
          return association
        },
        { timeout: PATIENCE_MS, interval: 300 }
      )
      expect(refused.needsKeyExchange).toBe(true)
      const later = associate({ ...fresh, cookies: fresh.cookies.slice(index) })
      expect(await ask(node, later)).toMatchObject({ _tag: "Authentic" })
    }
  })
})
