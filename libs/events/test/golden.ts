/**
 * Golden files: one event of every type and schema version, as it once was written, with the schema it was written by.
 * `node test/golden.ts` writes the files that are missing and never touches one that is there: after a change of a schema,
 * raise its version (add an upcaster), run it, and keep the old file.
 */
import type * as SchemaAST from "effect/SchemaAST"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type AnyDefinition, definitions } from "../src/catalogue.ts"
import { schemaVersion } from "../src/event.ts"
import { defaultPolicy } from "../src/policy.ts"

export const GOLDEN = join(import.meta.dirname, "golden")

export interface Golden {
  /** The data's schema, see {@link describeSchema}. */
  readonly schema: unknown
  /** An event as it was written under this version. */
  readonly written: unknown
  /** The data as the newest version has it; absent in the newest version's own file. */
  readonly readAs?: unknown
}

export const goldenFile = (type: string, version: number): string => join(GOLDEN, `${type}.v${version}.json`)

/**
 * What of a schema is compared: its shape and every check on it, by what the check says it expects. A change of it needs a
 * new version. (JSON Schema would not do: it leaves the patterns out.)
 */
export const describeSchema = (definition: AnyDefinition): unknown => describeAst(definition.schema.ast)

const describeAst = (ast: SchemaAST.AST): unknown => {
  const checks = (ast.checks ?? []).map((check) => {
    const expected = check.annotations?.["expected"]
    if (typeof expected !== "string") throw new Error("a check does not say what it expects: annotate it")
    return expected
  })
  const described = shapeOf(ast)
  return checks.length === 0 ? described : { is: described, checks }
}

const shapeOf = (ast: SchemaAST.AST): unknown => {
  if (ast._tag === "Objects")
    return Object.fromEntries(
      ast.propertySignatures.map(({ name, type }) => [
        `${String(name)}${type.context?.isOptional === true ? "?" : ""}`,
        describeAst(type)
      ])
    )
  if (ast._tag === "Arrays") return { arrayOf: [...ast.elements, ...ast.rest].map(describeAst) }
  if (ast._tag === "Union") return { oneOf: ast.types.map(describeAst) }
  if (ast._tag === "Literal") return { literal: ast.literal }
  if (["String", "Number", "Boolean", "Null"].includes(ast._tag)) return ast._tag
  throw new Error(`no description of ${ast._tag}: add one to test/golden.ts`)
}

const instant = "2026-11-21T12:00:00.000Z"
const later = "2026-11-22T12:00:00.000Z"
const latest = "2026-12-03T12:00:00.000Z"
const sealed = { slot: "nts.7.k3v9x2", box: `${"q".repeat(86)}==` }
const measurement = {
  source: "192.0.2.1",
  stratum: 2,
  reach: 377 % 256,
  offset: -0.000123,
  delay: 0.0123,
  dispersion: 0.0004,
  jitter: 0.00001
}

/** Subject and data of one event of each type, in its newest version. */
const samples: Readonly<Record<string, readonly [subject: string, data: unknown]>> = {
  NtsLeaderTookOver: ["keys.nts", { term: 42, leader: "node-a" }],
  NtsGenerationPublished: [
    "keys.nts",
    {
      generation: 7,
      aead: 15,
      notBefore: instant,
      activation: later,
      retirement: latest,
      predecessorUntil: latest,
      sealed
    }
  ],
  NtsGenerationBroughtForward: [
    "keys.nts",
    { generation: 7, activation: instant, retirement: latest, reason: "rotate" }
  ],
  NtsGenerationActivated: ["keys.nts", { generation: 7 }],
  NtsGenerationRetired: ["keys.nts", { generation: 7, reason: "expired" }],
  NtsGenerationRevoked: ["keys.nts", { generation: 7, reason: "left on a train" }],
  NtsKeysRestored: [
    "keys.nts",
    {
      term: 42,
      leader: "node-a",
      next: 8,
      floor: 6,
      activated: 6,
      live: [
        {
          generation: 7,
          aead: 15,
          notBefore: instant,
          activation: later,
          retirement: latest,
          sealed,
          publishedBy: "cmd-0.0"
        }
      ],
      tombstones: [{ generation: 5, end: "revoked", at: instant, reason: "left on a train", endedBy: "cmd-0.1" }]
    }
  ],
  SymmetricKeysRestored: [
    "keys.symmetric",
    {
      term: 42,
      leader: null,
      next: 4,
      floor: 3,
      trusted: 3,
      live: [
        {
          set: 3,
          keys: [{ keyId: 11, type: "AES128CMAC", sealed }],
          announced: instant,
          trustedFrom: later,
          until: null,
          announcedBy: "cmd-0.0"
        }
      ]
    }
  ],
  SymmetricLeaderTookOver: ["keys.symmetric", { term: 42, leader: "node-a" }],
  SymmetricSetAnnounced: [
    "keys.symmetric",
    { set: 3, keys: [{ keyId: 11, type: "AES128CMAC", sealed }], trustedFrom: later, predecessorUntil: latest }
  ],
  SymmetricSetBroughtForward: ["keys.symmetric", { set: 3, trustedFrom: instant }],
  SymmetricSetTrusted: ["keys.symmetric", { set: 3 }],
  SymmetricSetRetired: ["keys.symmetric", { set: 3 }],
  SymmetricSetRevoked: ["keys.symmetric", { set: 3, reason: "left on a train" }],
  ClusterKeyIntroduced: ["keys.cluster", { key: "0123456789abcdef" }],
  ClusterKeyChangeStarted: [
    "keys.cluster",
    { from: "0123456789abcdef", to: "fedcba9876543210", log: `${"q".repeat(86)}==` }
  ],
  LogSealed: ["keys.cluster", {}],
  ClusterKeyRestored: [
    "keys.cluster",
    { current: "0123456789abcdef", changingTo: null, former: ["fedcba9876543210"], sealed: true }
  ],
  ClusterKeyChanged: ["keys.cluster", { key: "fedcba9876543210" }],
  MemberRegistered: ["members.node-a", { version: "0.1.0", workers: 2 }],
  MemberHeartbeat: [
    "members.node-a",
    { health: { workers: 2, synchronised: true, ntsGeneration: 7, symmetricSet: 3 } }
  ],
  MemberSummarised: [
    "members.node-a",
    {
      release: "0.1.0",
      workers: 2,
      health: { workers: 2, synchronised: true, ntsGeneration: 7, symmetricSet: 3 },
      ready: false,
      reason: "generation 8 is missing",
      drained: true
    }
  ],
  MemberReady: ["members.node-a", {}],
  MemberUnready: ["members.node-a", { reason: "generation 7 is missing" }],
  MemberDrained: ["members.node-a", { reason: "disk to be replaced" }],
  MemberUndrained: ["members.node-a", {}],
  PolicyChanged: [
    "policy",
    { changes: { ntsRotationMs: 3_600_000, ntsAcceptPast: 5, clockRetentionBytes: 1_000_000 } }
  ],
  PolicyRestored: ["policy", { settings: defaultPolicy }],
  SystemPeerChosen: [
    "clock.node-a",
    { peer: "192.0.2.1", previous: null, reason: "least root distance", measurements: [measurement] }
  ],
  SourceReachabilityChanged: ["clock.node-a", { source: "192.0.2.1", reachable: false, reach: 0 }],
  PassivePeerChanged: [
    "clock.node-a",
    { source: "192.0.2.1", key: 7, taken: true, reason: "symmetric active, under key 7" }
  ],
  ClockStepped: ["clock.node-a", { offset: -1.5, reason: "over the step threshold", measurements: [measurement] }],
  LeapArmed: ["clock.node-a", { leap: "insert", at: "2027-01-01T00:00:00.000Z", source: "192.0.2.1" }],
  HoldoverEntered: [
    "clock.node-a",
    { lastPeer: "192.0.2.1", rootDispersion: 0.002, reason: "no source in reach", measurements: [] }
  ],
  OperatorActed: [
    "clock.node-a",
    { act: "configure", changes: ["+ server 192.0.2.7 iburst (ntpq under key 5)"], unnamed: 0 }
  ]
}

const write = (): void => {
  mkdirSync(GOLDEN, { recursive: true })
  for (const definition of definitions) {
    const { type } = definition
    const version = schemaVersion(definition)
    const file = goldenFile(type, version)
    const sample = samples[type]
    if (existsSync(file)) continue
    if (sample === undefined) throw new Error(`no sample of ${type}: add one to test/golden.ts`)
    const [subject, data] = sample
    const written = {
      type,
      schema: version,
      id: "cmd-1.0",
      time: instant,
      node: "node-a",
      cause: "cmd-1",
      subject,
      version: 5,
      data
    }
    writeFileSync(file, `${JSON.stringify({ schema: describeSchema(definition), written }, null, 2)}\n`)
    console.log(`wrote ${file}`)
  }
}

if (import.meta.main) write()
