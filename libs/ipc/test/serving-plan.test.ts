/** The plan is declared once: the plain check that workers make and the Effect Schema take and refuse the same. */
import { noKeys } from "@meridian/auth/serving-keys"
import { coordinatorPlan } from "@meridian/ipc/coordinator-plan"
import { defaultTinker, defaultTos, disciplineConfiguration } from "../src/plans/discipline-configuration.ts"
import {
  controlPlan,
  disciplinePlan,
  ntsKePlan,
  type NtsKePlan,
  projections,
  readPlanMessage,
  type ServingPlan,
  servingKeys,
  workerPlan
} from "@meridian/ipc/serving-plan"
import { bins, fits, InvalidMessage, read, record, type Shape, tagged, whole as wholeNumber } from "@meridian/ipc/shape"
import { schemaOf } from "./shape-schema.ts"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import fc from "fast-check"
import { describe, expect, it } from "vitest"

const source = {
  kind: "server",
  host: "192.0.2.1",
  family: null,
  port: 123,
  iburst: true,
  burst: false,
  minpoll: 6,
  maxpoll: 10,
  prefer: false,
  noselect: false,
  true: false,
  keyId: 5,
  nts: { host: null, port: 4460, ca: null, noval: false, aead: [15] },
  version: 4,
  xleave: false,
  bias: 0,
  screen: null
} as const
const clock = {
  driver: "pps",
  unit: 0,
  path: "/dev/pps0",
  refid: "PPS",
  stratum: 0,
  minpoll: 4,
  maxpoll: 4,
  prefer: false,
  noselect: false,
  true: false,
  time1: 0,
  time2: 0,
  mode: 0,
  flags: [false, false, false, false]
} as const

const whole: ServingPlan = {
  keys: {
    type: "keys",
    generations: [{ id: 7, key: new Uint8Array(32).fill(1), activation: 0, retirement: 4e9, revoked: false }],
    symmetric: [
      { id: 5, algorithm: "SHA1", secret: new Uint8Array(20).fill(0xab) },
      { id: 6, algorithm: "AES-128", secret: new Uint8Array(16).fill(0xcd) }
    ],
    trusted: [{ first: 1, last: 5 }],
    sendCryptoNak: false
  },
  servesKeys: true,
  acceptsNtsKe: true,
  autokey: null,
  serving: { minimumPoll: 0, gatherMicroseconds: 200, precision: null, tellPeers: false, access: new Uint8Array(3) },
  anycast: null,
  identity: null,
  announces: true,
  signd: { socket: "/run/ntpsignd/socket" },
  ntsKe: {
    certificates: [{ certificate: "/c.pem", key: "/c.key" }],
    developmentDirectory: "/state",
    tls: { minimum: null, maximum: "TLSv1.3", cipherSuites: null, curves: "X25519" },
    handshakeSeconds: null,
    exchangeSeconds: 2,
    reportSeconds: 1,
    aeads: [15, 30],
    timeServer: { host: "ntp.example", port: 1123 },
    admission: { connections: 5, connectionsPerAddress: null, rate: { perSecond: 1, burst: 2 }, ratePerAddress: null }
  },
  discipline: {
    sources: [source],
    referenceClocks: [clock],
    localReference: { stratum: 10 },
    tos: defaultTos,
    tinker: defaultTinker,
    driftfile: "/drift",
    leapfile: null,
    leapfileHashIgnored: false,
    statsdir: "/stats/",
    filegen: [{ name: "loopstats", file: "loopstats", type: "day", link: true }],
    mode: "virtual",
    cookieDirectory: "/state",
    leapSmearSeconds: 0,
    serving: [{ address: "::", port: 123 }],
    passivePeers: 16,
    passiveKeys: [{ first: 1, last: 5 }]
  },
  coordinator: {
    directory: "/state",
    node: "a",
    version: "1.2.3",
    workers: 2,
    nats: { servers: ["nats:4222"], seedFile: "/seed", authorityFile: null, replicas: 3, logBytes: 1_048_576 },
    clusterKeyFile: null,
    clusterKey: "ab".repeat(32),
    mint: { nts: true, symmetric: false },
    rotationMs: null,
    clockRetention: { ms: 86_400_000, count: 100 },
    cookieKeyFile: null,
    readyLimitMs: 3_000,
    clockOffsetMs: 0
  },
  control: {
    stateDirectory: "/state",
    http: {
      address: "127.0.0.1",
      port: 11_180,
      asked: true,
      tokenFile: "/token",
      operatorsFile: "/operators",
      certificateFile: "/cert.pem",
      keyFile: "/key.pem",
      clientsFile: null
    },
    controlKey: 5,
    rules: [{ address: "192.0.2.0", length: 24, ntpPort: false, flags: 0x40 }]
  }
}

const parts: readonly (readonly [string, Shape<unknown>, unknown])[] = [
  ["worker", workerPlan, projections.worker(whole)],
  ["nts-ke", ntsKePlan, projections.ntsKe(whole)],
  ["discipline", disciplinePlan, projections.discipline(whole)],
  ["control", controlPlan, projections.control(whole)],
  ["coordinator", coordinatorPlan, projections.coordinator(whole)]
]

/** Every value inside, by the path that leads to it. */
const places = (value: unknown, path: readonly string[] = []): readonly (readonly string[])[] =>
  typeof value === "object" && value !== null && !ArrayBuffer.isView(value)
    ? [path, ...Object.entries(value).flatMap(([name, inner]) => places(inner, [...path, name]))]
    : [path]

const withChange = (value: unknown, [name, ...path]: readonly string[], change: unknown): unknown => {
  if (name === undefined) return change
  const copy: Record<string, unknown> = Array.isArray(value)
    ? (Object.assign([], value) as unknown as Record<string, unknown>)
    : { ...(value as Record<string, unknown>) }
  copy[name] = withChange(copy[name], path, change)
  return copy
}

it("hands the access list to every process that answers the network", () => {
  const autokey = {
    host: null,
    parameters: [],
    notes: ["ntpkey_RSAhost_alice.1 mod 2048"],
    certificates: [],
    lists: [],
    secrets: [],
    digest: "MD5",
    leapFile: null,
    leapFileHashIgnored: false
  } as const
  const parts = [projections.worker, projections.autokey, projections.signd, projections.control]
  for (const part of parts) expect(part({ ...whole, autokey })?.access).toEqual(whole.serving.access)
})

describe.each(parts)("the part of %s", (_name, shape, good) => {
  const accepts = Schema.decodeUnknownExit(schemaOf(shape))

  it("is read as it was sent", () => {
    const sent = structuredClone({ type: "plan", version: 3, sockets: [{ address: "::", port: 123 }], plan: good })
    expect(readPlanMessage(shape, sent)).toEqual(sent)
    expect(Exit.isSuccess(accepts(good))).toBe(true)
  })

  it("with any value in any place is taken by both checks or by neither", () => {
    const all = places(good)
    const other = fc.oneof(
      fc.constantFrom<unknown>(undefined, null, -1, 0, 1, 3.5, 2 ** 40, Number.NaN, Infinity, "", "x", [], {}, true),
      fc.constantFrom<unknown>(new Uint8Array(0), new Uint8Array(32), "x".repeat(5_000), { first: 5, last: 4 }),
      fc.anything({ withTypedArray: true })
    )
    fc.assert(
      fc.property(fc.nat(all.length - 1), other, (at, value) => {
        const changed = withChange(good, all[at]!, value)
        expect({ path: all[at], fits: fits(shape, changed) }).toEqual({
          path: all[at],
          fits: Exit.isSuccess(accepts(changed))
        })
      }),
      { numRuns: 2_000 }
    )
  })
})

const authentication = tagged("kind", {
  none: record({}),
  symmetric: record({ key: wholeNumber(1, 65_535), seen: bins(3) })
})

describe("shapes that plans do not have", () => {
  it("are taken and refused by both checks alike", () => {
    const accepts = Schema.decodeUnknownExit(schemaOf(authentication))
    const good = { kind: "symmetric", key: 5, seen: [0, 1, 2] }
    const cases: readonly (readonly [unknown, boolean])[] = [
      [good, true],
      [{ kind: "none" }, true],
      [{ ...good, kind: "none" }, true],
      [{ ...good, kind: "nts" }, false],
      [{ ...good, kind: "toString" }, false],
      [{ ...good, kind: undefined }, false],
      [{ ...good, key: 0 }, false],
      [{ ...good, seen: [0, 1] }, false],
      [{ ...good, seen: [0, 1, 2, 3] }, false],
      [{ ...good, seen: [0, 1, -1] }, false],
      [null, false]
    ]
    for (const [value, isGood] of cases)
      expect([value, fits(authentication, value), Exit.isSuccess(accepts(value))]).toEqual([value, isGood, isGood])
    expect(() => read(authentication, "it", { kind: "nts" })).toThrow(
      /^it\.kind: expected none, symmetric, found "nts"$/
    )
  })
})

describe("what a process is given", () => {
  it("is no key beyond what it works with", () => {
    expect(projections.ntsKe(whole)).not.toHaveProperty("keys")
    expect(projections.ntsKe({ ...whole, ntsKe: null })).toBeUndefined()
    expect(projections.discipline(whole).keys.generations).toEqual([])
    expect(projections.control(whole).keys).toMatchObject({ generations: [], symmetric: [{ id: 5 }] })
    expect(projections.worker({ ...whole, servesKeys: false }).keys).toBeNull()
  })
})

describe("a message that cannot be", () => {
  const configuration = whole.discipline
  it.each([
    [{ mode: "fast" }, /^plan\.mode: expected virtual, kernel, found "fast"$/],
    [{ sources: [{ ...source, minpoll: 6, maxpoll: 5 }] }, /^plan\.sources\[0\]: expected maxpoll not below minpoll/],
    [{ sources: [{ ...source, kind: "broadcast" }] }, /^plan\.sources\[0\]\.kind: expected server, pool, peer/],
    [{ referenceClocks: [{ ...clock, driver: "nmea" }] }, /^plan\.referenceClocks\[0\]\.driver: expected shm, sock/],
    [{ referenceClocks: [{ ...clock, path: null }] }, /^plan\.referenceClocks\[0\]: expected the path of a device/],
    [{ referenceClocks: [{ ...clock, unit: 256 }] }, /^plan\.referenceClocks\[0\]\.unit: .*from 0 to 255, found 256$/],
    [
      { referenceClocks: [{ ...clock, time1: "1" }] },
      /^plan\.referenceClocks\[0\]\.time1: expected a number, found "1"/
    ],
    [{ localReference: { stratum: 16 } }, /^plan\.localReference\.stratum: /],
    [{ tos: { ...defaultTos, maxdist: -1 } }, /^plan\.tos\.maxdist: expected a number that is not negative/],
    [{ filegen: [{ name: "loopstats", file: "../../etc/x", type: "day", link: true }] }, /without \.\./],
    [{ cookieDirectory: 5 }, /^plan\.cookieDirectory: expected a text of 1 to 4096 characters, found 5$/],
    [{ statsdir: undefined }, /^plan\.statsdir: .*found nothing$/]
  ])("with %j is refused by place, expectation and finding", (change, message) => {
    expect(() => read(disciplineConfiguration, "plan", { ...configuration, ...change })).toThrow(message)
  })

  it("is refused without quoting a key", () => {
    const secret = "73656372657421"
    for (const change of [
      { symmetric: [{ id: 5, algorithm: "SHA1", secret }] },
      { symmetric: [{ id: 0, algorithm: "SHA1", secret: Buffer.from(secret, "hex") }] },
      { symmetric: [{ id: 5, algorithm: "SHA1", secret: Buffer.from(secret.repeat(9), "hex") }] }
    ])
      expect(() => read(servingKeys, "keys", { ...noKeys, ...change })).toThrow(
        /^keys\.symmetric\[0\]\.(?:(?!736563|secret!).)*$/
      )
  })

  it("is refused without quoting the cluster's key", () => {
    const clusterKey = "73656372657421".repeat(600)
    expect(() => read(coordinatorPlan, "plan", { ...whole.coordinator, clusterKey })).toThrow(
      /^plan\.clusterKey: (?:(?!736563).)*$/
    )
  })

  it.each([
    [{ node: "Node_A" }, /^plan\.node: expected a name of a-z, 0-9 and inner hyphens, at most 63/],
    [{ nats: { ...whole.coordinator.nats, servers: [] } }, /^plan\.nats\.servers: expected one server at least/],
    [{ workers: -1 }, /^plan\.workers: /]
  ])("to a coordinator with %j is refused by place, expectation and finding", (change, message) => {
    expect(() => read(coordinatorPlan, "plan", { ...whole.coordinator, ...change })).toThrow(message)
  })

  it("says what was expected of the envelope, too", () => {
    const good = { type: "plan", version: 1, sockets: [], plan: projections.ntsKe(whole) as NtsKePlan }
    for (const change of [{ version: 0 }, { version: "1" }, { sockets: [{ address: "", port: 1 }] }, { plan: null }])
      expect(() => readPlanMessage(ntsKePlan, { ...good, ...change })).toThrow(InvalidMessage)
  })
})
