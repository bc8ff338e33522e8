/** The acts of operators: who may, what is passed on, and what is not. The coordinator here only writes down what it is told. */
import { once } from "node:events"
import { chmodSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from "node:fs"
import { createServer, request, type Server } from "node:http"
import { type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { ClusterState } from "@meridian/ipc"
import fc from "fast-check"
import { afterAll, afterEach, beforeAll, expect, it } from "vitest"
import { askRaw } from "./raw-request.ts"
import { readOperators } from "../src/http/admission.ts"
import { CoordinatorQuestions } from "../src/http/coordinator-questions.ts"
import { Credentials } from "../src/http/credentials.ts"
import { HttpListener } from "../src/http/http-server.ts"
import { consequence, readAct } from "../src/http/operator-acts.ts"
import { Outcomes } from "../src/outcomes.ts"
import { snapshotOf } from "./snapshots.ts"

const READER = "reader-0123456789abcdef"
const ALICE = "alice-0123456789abcdef"
const BOB = "bob-0123456789abcdef"

const folder = mkdtempSync(join(tmpdir(), "meridian-acts-"))
const tokenFile = join(folder, "token")
const operatorsFile = join(folder, "operators")
const told: { readonly path: string; readonly body: string }[] = []
const sealed = "c2VhbGVkIGtleSBvZiB0aGUgdGVzdA"
const cluster: Partial<ClusterState> = {
  leader: "a",
  log: { adapter: "sqlite", foldedSeq: 4, lastSeq: 4, quarantined: 0 },
  policy: { ntsLeadMs: 10_000 },
  symmetricSets: [],
  ntsKeys: [
    { generation: 2, status: "past" },
    { generation: 3, status: "active" },
    { generation: 4, status: "pending" }
  ] as never,
  members: [
    { node: "a", drained: false, serving: true },
    { node: "b", drained: false, serving: true }
  ] as never
}
const log = [
  { seq: 1, event: { type: "NtsGenerationPublished", data: { generation: 1, sealed } } },
  { seq: 2, event: { type: "MemberHeartbeat", data: {} } },
  { seq: 3, event: { type: "MemberReady", data: {} } },
  { seq: 4, event: { type: "MemberDrained", author: "http alice", data: { reason: "r" } } }
]

let coordinator: Server
const closing: (() => void)[] = []

beforeAll(async () => {
  coordinator = createServer((asked, response) => {
    let body = ""
    asked.on("data", (chunk: Buffer) => (body += chunk.toString("utf8")))
    asked.on("end", () => {
      const path = asked.url ?? ""
      if (asked.method === "POST") told.push({ path, body })
      const answer = path.startsWith("/log?")
        ? log
            .slice(Number(new URLSearchParams(path.slice(5)).get("from")) - 1)
            .map((line) => `${JSON.stringify(line)}\n`)
            .join("")
        : JSON.stringify(path === "/state" ? cluster : { events: [] })
      response.end(answer)
    })
  })
  coordinator.listen(join(folder, "coordinator.sock"))
  await once(coordinator, "listening")
})
afterAll(() => {
  coordinator.close()
  rmSync(folder, { recursive: true })
})
afterEach(() => {
  for (const close of closing.splice(0)) close()
  told.splice(0)
})

const writePrivately = (file: string, text: string): void => {
  writeFileSync(file, text, { mode: 0o600 })
  chmodSync(file, 0o600)
}

/** A listener with one reader and two operators, unless told otherwise. Each look at its clock is three seconds later. */
const open = async (operators: string | null = `# who may act\nalice ${ALICE}\n\nbob\t${BOB}\n`) => {
  writePrivately(tokenFile, READER)
  if (operators !== null) writePrivately(operatorsFile, operators)
  const outcomes = new Outcomes()
  const warnings: string[] = []
  const clock = { seconds: 0, step: 3 }
  const monotonic = (): number => (clock.seconds += clock.step)
  const credentials = new Credentials(
    {
      address: "127.0.0.1",
      tokenFile,
      operatorsFile: operators === null ? null : operatorsFile,
      takesCertificates: false
    },
    monotonic,
    (message) => warnings.push(message)
  )
  const listener = new HttpListener({
    admission: () => credentials.admission,
    outcomes,
    coordinator: new CoordinatorQuestions(folder),
    current: () => snapshotOf({}),
    fresh: () => Promise.resolve(),
    look: () => {},
    monotonic,
    own: () => ({ rss: 1, processorSeconds: () => 1 })
  })
  listener.server.listen(0, "127.0.0.1")
  await once(listener.server, "listening")
  closing.push(() => listener.close())
  const { port } = listener.server.address() as AddressInfo
  const send = (
    path: string,
    token: string | undefined,
    body: string | undefined,
    type = "application/json"
  ): Promise<{ readonly status: number; readonly body: string }> =>
    new Promise((done, failed) => {
      const method = body === undefined ? "GET" : "POST"
      const headers = {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": type })
      }
      const asking = request({ host: "127.0.0.1", port, path, method, headers, agent: false }, (response) => {
        let text = ""
        response.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")))
        response.on("end", () => done({ status: response.statusCode ?? 0, body: text }))
      })
      asking.on("error", failed)
      asking.end(body)
    })
  return { send, outcomes, warnings, clock, port }
}

it("passes an operator's acts on, with the operator as their author", async () => {
  const { send, outcomes } = await open()
  const acts = [
    ["/keys/rotate", {}, { kind: "nts" }],
    ["/keys/rotate", { kind: "symmetric" }, { kind: "symmetric" }],
    ["/keys/revoke", { generation: 3, reason: "lost" }, { generation: 3, reason: "lost" }],
    ["/keys/revoke", { set: 1 }, { set: 1, reason: "revoked by an operator" }],
    ["/cluster/drain", { node: "b" }, { node: "b" }],
    ["/cluster/undrain", { node: "b" }, { node: "b" }]
  ] as const
  for (const [path, given] of acts) expect((await send(`/api/v1${path}`, BOB, JSON.stringify(given))).status).toBe(200)
  expect(told.map(({ path, body }) => [path, JSON.parse(body) as unknown])).toEqual(
    acts.map(([path, , passed]) => [path, { ...passed, author: "http bob" }])
  )
  expect(outcomes.all["http-act-done"]).toBe(acts.length)
})

it("passes nothing on for anybody else", async () => {
  const { send, outcomes } = await open()
  for (const token of [undefined, "", READER, `${ALICE}0`, ALICE.slice(0, -1), "alice", `${"x".repeat(5_000)}`])
    for (const path of ["/keys/rotate", "/keys/revoke", "/cluster/drain", "/cluster/undrain"])
      expect((await send(`/api/v1${path}`, token, JSON.stringify({ node: "a", generation: 1 }))).status).toBe(401)
  expect(told).toEqual([])
  expect(outcomes.all["http-act-unauthorised"]).toBe(28)
  const closed = await open(null)
  expect((await closed.send("/api/v1/keys/rotate", ALICE, "{}")).status).toBe(403)
})

it("passes nothing on for a header or body that was made up", async () => {
  const { port, outcomes } = await open()
  const token = fc.oneof(
    fc.string({ unit: "binary-ascii" }),
    fc.constantFrom(READER, ALICE.toUpperCase(), `${ALICE} ${BOB}`, `alice ${ALICE}`, ALICE.slice(1), `${ALICE},`)
  )
  const scheme = fc.constantFrom("Bearer ", "bearer  ", "Basic ", "", "Bearer\t")
  const path = fc.constantFrom("keys/rotate", "keys/revoke", "cluster/drain", "cluster/undrain", "keys/rotate?", "log")
  await fc.assert(
    fc.asyncProperty(path, scheme, token, fc.uint8Array({ maxLength: 200 }), async (to, how, words, body) => {
      const head = `POST /api/v1/${to} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`
      const lines = `Content-Length: ${body.length}\r\nAuthorization: ${how}${words}\r\n\r\n`
      const answer = await askRaw(port, Buffer.concat([Buffer.from(`${head}${lines}`, "latin1"), Buffer.from(body)]))
      expect(answer).toMatch(/^(?:$|HTTP\/1\.1 4\d\d )/)
      expect(answer).not.toContain(ALICE)
    }),
    { numRuns: 200 }
  )
  expect(told).toEqual([])
  expect(outcomes.all["http-act-done"]).toBeUndefined()
  expect(outcomes.all["http-failed"]).toBeUndefined()
  expect(outcomes.all["http-act-unauthorised"]).toBeGreaterThan(50)
})

it("passes nothing on that cannot be meant", async () => {
  const { send } = await open()
  const wrong = [
    ["/keys/rotate", '{"kind":"all"}', 400],
    ["/keys/rotate", '{"author":"mallory"}', 400],
    ["/keys/revoke", "{}", 400],
    ["/keys/revoke", '{"generation":1,"set":1}', 400],
    ["/keys/revoke", '{"generation":1.5}', 400],
    ["/keys/revoke", '{"generation":1,"reason":"a\\nb"}', 400],
    ["/keys/revoke", `{"generation":1,"reason":"${"a".repeat(201)}"}`, 400],
    ["/cluster/drain", '{"node":"A/../b"}', 400],
    ["/cluster/undrain", "[]", 400],
    ["/cluster/undrain", "null", 400],
    ["/cluster/undrain", "", 400],
    ["/keys/rotate", `{"kind":"${"a".repeat(5_000)}"}`, 413],
    ["/keys/rotate", "a".repeat(2_000_000), 413],
    ["/policy", '{"changes":{}}', 405],
    ["/cluster/key", '{"newKeyFile":"/etc/passwd"}', 405]
  ] as const
  for (const [path, body, status] of wrong)
    expect([path, body, (await send(`/api/v1${path}`, ALICE, body)).status]).toEqual([path, body, status])
  expect((await send("/api/v1/keys/rotate", ALICE, "{}", "text/plain")).status).toBe(415)
  expect((await send("/api/v1/keys/rotate", ALICE, undefined)).status).toBe(405)
  expect(told).toEqual([])
})

it("reads nothing but acts from whatever comes", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("/keys/rotate", "/keys/revoke", "/cluster/drain", "/cluster/undrain"),
      fc.oneof(
        fc.jsonValue(),
        fc.record(
          {
            kind: fc.jsonValue(),
            generation: fc.oneof(fc.integer(), fc.jsonValue()),
            set: fc.oneof(fc.integer(), fc.jsonValue()),
            node: fc.oneof(fc.string(), fc.jsonValue()),
            reason: fc.oneof(fc.string(), fc.jsonValue())
          },
          { requiredKeys: [] }
        )
      ),
      (command, given) => {
        const act = readAct(command, given)
        if (typeof act === "string") return
        expect(act.command).toBe(command)
        for (const [name, value] of Object.entries(act.arguments)) {
          expect(["kind", "generation", "set", "node", "reason"]).toContain(name)
          expect(typeof value === "number" ? value >= 1 : value.length <= 200).toBe(true)
        }
        for (const line of consequence(act, cluster as ClusterState)) expect(line).toMatch(/^[^\n]+\.$/)
      }
    )
  )
})

it("lets nobody act too often", async () => {
  const { send, outcomes, clock } = await open()
  expect((await send("/api/v1/keys/rotate", ALICE, "{}")).status).toBe(200)
  clock.step = 0
  for (let act = 0; act < 40; act += 1) await send("/api/v1/keys/rotate", ALICE, "{}")
  expect([told.length, outcomes.all["http-act-limited"]]).toEqual([20, 21])
  clock.seconds += 3
  expect((await send("/api/v1/keys/rotate", ALICE, "{}")).status).toBe(200)
})

it("says what would come of an act, to readers too, and does nothing", async () => {
  const { send } = await open()
  const ask = async (query: string): Promise<readonly string[]> => {
    const { status, body } = await send(`/api/v1/consequence?act=${query}`, READER, undefined)
    expect([query, status]).toEqual([query, 200])
    return (JSON.parse(body) as { readonly consequence: readonly string[] }).consequence
  }
  expect(await ask("/keys/revoke&generation=3")).toEqual([
    "Generation 3 is refused at once by every node that the log reaches, and its key is destroyed: this cannot be undone.",
    "Every client that holds its cookies is answered with NTS NAK and has to exchange keys again.",
    "It is the active one: generation 4 takes its place."
  ])
  expect((await ask("/keys/revoke&generation=4")).at(-1)).toContain("clients notice nothing")
  expect(await ask("/keys/revoke&generation=9")).toEqual(["There is no generation 9: this will be refused."])
  expect((await ask("/keys/rotate")).join(" ")).toContain("Generation 4 takes over once every node holds it, 10 s")
  expect((await ask("/cluster/drain&node=a")).join(" ")).toContain("It leads, and gives that to another node. 1 other")
  expect((await ask("/cluster/undrain&node=a")).join(" ")).toContain("not drained: nothing changes")
  expect((await send("/api/v1/consequence?act=/policy", READER, undefined)).status).toBe(400)
  expect((await send("/api/v1/consequence?act=/keys/rotate", undefined, undefined)).status).toBe(401)
  expect(told).toEqual([])
})

it("says who asks", async () => {
  const { send } = await open()
  const ask = async (token: string): Promise<unknown> =>
    JSON.parse((await send("/api/v1/operator", token, undefined)).body) as unknown
  expect(await ask(ALICE)).toEqual({ operator: "alice", mayAct: true })
  expect(await ask(READER)).toEqual({ operator: null, mayAct: true })
})

it("shows the log without the boxes of keys", async () => {
  const { send } = await open()
  const ask = async (query: string): Promise<readonly number[]> => {
    const { status, body } = await send(`/api/v1/log?${query}`, READER, undefined)
    expect([query, status, body.includes("sealed")]).toEqual([query, 200, false])
    return (JSON.parse(body) as { readonly lines: readonly { readonly seq: number }[] }).lines.map(({ seq }) => seq)
  }
  expect(await ask("")).toEqual([1, 2, 3, 4])
  expect(await ask("limit=2")).toEqual([1, 2])
  expect(await ask("from=3")).toEqual([3, 4])
  expect(await ask("last=2")).toEqual([3, 4])
  expect(await ask("quiet=1&limit=2")).toEqual([1, 3])
  for (const wrong of ["from=0", "from=x", "limit=1001", "last=1e9", `subject=${"a".repeat(200)}`])
    expect((await send(`/api/v1/log?${wrong}`, READER, undefined)).status).toBe(400)
})

it("forgets an operator as soon as the file does", async () => {
  const { send, warnings } = await open()
  expect((await send("/api/v1/keys/rotate", ALICE, "{}")).status).toBe(200)
  writePrivately(operatorsFile, `bob ${BOB}\n`)
  expect((await send("/api/v1/keys/rotate", ALICE, "{}")).status).toBe(401)
  expect((await send("/api/v1/keys/rotate", BOB, "{}")).status).toBe(200)
  unlinkSync(operatorsFile)
  expect((await send("/api/v1/keys/rotate", BOB, "{}")).status).toBe(401)
  expect(warnings).toEqual([`HTTP: no operator may act: ${operatorsFile} cannot be read: it is not there`])
  writePrivately(tokenFile, "short")
  expect((await send("/api/v1/status", READER, undefined)).status).toBe(401)
  expect(warnings.at(-1)).toContain("holds no token")
  expect(warnings.join("\n")).not.toContain("short\n")
})

it("refuses a file of operators that leaves in doubt who acts", () => {
  const read = (text: string) => {
    writePrivately(operatorsFile, text)
    return readOperators(operatorsFile)
  }
  expect([...read(`a ${ALICE}\r\nb ${BOB}`).keys()]).toEqual(["a", "b"])
  expect(() => read("")).toThrow("names no operator")
  expect(() => read(`a ${ALICE}\na ${BOB}`)).toThrow("line 2: a stands there twice")
  expect(() => read(`a ${ALICE}\nb ${ALICE}`)).toThrow("line 2: another operator has this token")
  for (const line of ["a", "a short", `a b ${ALICE}`, `a/b ${ALICE}`, ALICE])
    expect(() => read(line)).toThrow("line 1: expected NAME TOKEN")
  read(`a ${ALICE}`)
  chmodSync(operatorsFile, 0o644)
  expect(() => readOperators(operatorsFile)).toThrow("everybody may read it")
})
