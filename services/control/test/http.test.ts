/** What the HTTP listener answers, to friends and to others. */
import { once } from "node:events"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { type AddressInfo, connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import fc from "fast-check"
import { afterEach, describe, expect, it } from "vitest"
import { Admission, type Operators, readToken } from "../src/http/admission.ts"
import { CoordinatorQuestions } from "../src/http/coordinator-questions.ts"
import { HttpListener } from "../src/http/http-server.ts"
import { unreadyReasons } from "../src/http/readiness.ts"
import { Outcomes } from "../src/outcomes.ts"
import { clientsOf, snapshotOf } from "./snapshots.ts"
import { askRaw } from "./raw-request.ts"

const TOKEN = "0123456789abcdef0123456789abcdef"
const folder = mkdtempSync(join(tmpdir(), "meridian-http-"))
const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

interface Answer {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

/** Three below 2 µs, two below 4 µs, one beyond 33 ms. */
const batches = { batchLatencies: [3, 2, ...Array.from({ length: 13 }, () => 0), 1], batchMicroseconds: 50_000 }

const good = (): NodeSnapshot => {
  const snapshot = snapshotOf({})
  const { status } = snapshot
  const worker = {
    ...status.totals,
    index: 0,
    pid: 1,
    state: "running" as const,
    restarts: 0,
    rss: 50e6,
    heapUsed: 10e6,
    newestKey: { generation: 3, since: 0 },
    received: 12,
    replied: 10
  }
  return {
    ...snapshot,
    status: {
      ...status,
      clock: { ...status.clock, synchronised: true, stratum: 2, leap: 0, rootDelay: 0.01, rootDispersion: 0.002 },
      workers: [worker],
      totals: {
        ...status.totals,
        received: 12,
        replied: 10,
        served: { "served-plain": 10 },
        dropped: { short: 2 },
        ...batches
      }
    }
  }
}

const open = async (
  snapshot: NodeSnapshot | undefined,
  token?: string,
  tokenAddress = "127.0.0.1",
  operators?: Operators
): Promise<{ readonly listener: HttpListener; readonly outcomes: Outcomes; readonly port: number }> => {
  const outcomes = new Outcomes()
  let seconds = 5_000
  const listener = new HttpListener({
    admission: () => new Admission({ address: tokenAddress, token, operators }),
    outcomes,
    coordinator: new CoordinatorQuestions(folder),
    current: () => snapshot,
    fresh: () => Promise.resolve(),
    look: () => {},
    monotonic: () => (seconds += 0.01),
    own: () => ({ rss: 1, processorSeconds: () => 1 })
  })
  listener.server.listen(0, "127.0.0.1")
  await once(listener.server, "listening")
  closing.push(() => listener.close())
  return { listener, outcomes, port: (listener.server.address() as AddressInfo).port }
}

const ask = (
  port: number,
  path: string,
  { method = "GET", headers = {} }: { readonly method?: string; readonly headers?: Record<string, string> } = {}
): Promise<Answer> =>
  new Promise((done, failed) => {
    const asking = request({ host: "127.0.0.1", port, path, method, headers, agent: false }, (response) => {
      let body = ""
      response.on("data", (chunk: Buffer) => (body += chunk.toString("utf8")))
      response.on("end", () => done({ status: response.statusCode, headers: response.headers, body }))
    })
    asking.on("error", failed)
    asking.end()
  })

describe("metrics", () => {
  it("are Prometheus's text, and OpenMetrics where that is asked for", async () => {
    const { port } = await open(good())
    const plain = await ask(port, "/metrics")
    expect(plain.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8")
    expect(plain.body).toContain(
      '# TYPE meridian_replies_total counter\nmeridian_replies_total{outcome="served-plain"} 10\n'
    )
    expect(plain.body).toContain('# TYPE meridian_build_info gauge\nmeridian_build_info{version="0.1.0"')
    expect(plain.body).toContain("meridian_clock_error_bound_seconds 0.007\n")
    expect(plain.body).not.toContain("# EOF")
    const durations = [...plain.body.matchAll(/^meridian_batch_duration_seconds_(\S+) (\S+)$/gm)].map(([, name, n]) => [
      name,
      n
    ])
    expect(durations).toContainEqual(['bucket{le="0.000002"}', "3"])
    expect(durations.slice(-4)).toEqual([
      ['bucket{le="0.032768"}', "5"],
      ['bucket{le="+Inf"}', "6"],
      ["sum", "0.05"],
      ["count", "6"]
    ])
    const { body, headers } = await ask(port, "/metrics", {
      headers: { accept: "application/openmetrics-text;version=1.0.0,text/plain;q=0.5" }
    })
    expect(headers["content-type"]).toContain("application/openmetrics-text; version=1.0.0")
    expect(body).toContain('# TYPE meridian_replies counter\nmeridian_replies_total{outcome="served-plain"} 10\n')
    expect(body).toContain("# TYPE meridian_build info\n")
    expect(body.endsWith("\n# EOF\n")).toBe(true)
    const names = [...body.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name)
    expect(new Set(names).size).toBe(names.length)
  })

  it("count what XDP answers beside the workers, and what it leaves to them", async () => {
    const { status } = good()
    const passed = { rule: 3, kind: 4, damaged: 0, clock: 0 }
    const counts = { received: 70, replied: 60, limited: 10, receivedPerSecond: 0, repliedPerSecond: 0 }
    const xdp = { interface: "eth0", mode: "native", answers: true, passed, ...counts } as const
    const { port } = await open({ ...good(), status: { ...status, xdp } })
    const { body } = await ask(port, "/metrics")
    expect(body).toContain('meridian_requests_received_total{worker="xdp"} 70\n')
    expect(body).toContain('meridian_replies_sent_total{worker="xdp"} 60\n')
    expect(body).toContain('meridian_xdp_answers{interface="eth0",mode="native"} 1\n')
    expect(body).toContain('meridian_xdp_passed_total{reason="rule"} 3\n')
    const without = await open(good())
    expect((await ask(without.port, "/metrics")).body).not.toContain("xdp")
  })

  it("hold what sources call themselves as text, whatever it is", async () => {
    const { tracking } = snapshotOf({})
    const source = { address: '1"\n\\x', name: null, mode: "client", verdict: "selected", referenceId: "a\nb" }
    const rest = { reach: "377", dropped: { "bad-mac": 1 }, authentication: { kind: "none" }, stratum: 1 }
    const { port } = await open({ ...good(), tracking, sources: [{ ...source, ...rest } as never] })
    const { body } = await ask(port, "/metrics")
    expect(body).toContain('meridian_source_reach_ratio{source="1\\"\\n\\\\x",name=""} 1\n')
    for (const line of body.trimEnd().split("\n"))
      expect(line).toMatch(
        /^(?:# (?:HELP|TYPE) \w+ .+|\w+(?:\{\w+="(?:[^"\\\n]|\\["\\n])*"(?:,\w+="(?:[^"\\\n]|\\["\\n])*")*\})? \S+)$/
      )
  })
})

describe("health", () => {
  it("says why the node is not ready", async () => {
    const { port } = await open(snapshotOf({}))
    expect(await ask(port, "/healthz")).toMatchObject({ status: 200, body: "alive\n" })
    expect(await ask(port, "/readyz")).toMatchObject({
      status: 503,
      body: "not ready\nno worker answers\nnot synchronised\n"
    })
    const other = await open(good())
    expect(await ask(other.port, "/readyz")).toMatchObject({ status: 200, body: "ready\n" })
  })

  it("counts a drain, a daemon on the same port, a wide bound, missing keys and a silent supervisor as reasons", () => {
    const fine = good()
    const { status } = fine
    const reasons = (change: Partial<NodeSnapshot["status"]>, age = 1): readonly string[] =>
      unreadyReasons({ ...fine, status: { ...status, ...change } }, fine.monotonic + age)
    expect(reasons({})).toEqual([])
    expect(reasons({}, 60)).toEqual(["the supervisor has said nothing for 60 s"])
    expect(reasons({ shared: ["ntpd has joined"] })).toEqual(["ntpd has joined"])
    expect(reasons({ coordinator: { drained: true } as never })).toEqual(["an operator drained the node"])
    expect(reasons({ drain: { state: "draining", waitingFor: ["a", "b"] } })).toEqual([
      "an operator drained the node, waiting for a and b"
    ])
    expect(reasons({ drain: { state: "drained", waitingFor: [] } })).toEqual(["an operator drained the node"])
    expect(reasons({ drain: { state: "returning", waitingFor: ["c"] } })).toEqual([
      "an operator undrained the node, waiting for c"
    ])
    expect(reasons({ ntsKe: [{} as never] })).toEqual(["there is no NTS master key yet"])
    expect(reasons({ clock: { ...status.clock, rootDispersion: 2 } })[0]).toContain("may be off by 2.005 s")
    expect(unreadyReasons(undefined, 0)).toEqual(["the node is starting"])
  })
})

describe("JSON", () => {
  it("is there for each resource that is listed", async () => {
    const { port } = await open({ ...good(), clients: clientsOf(3) })
    const { resources } = JSON.parse((await ask(port, "/api/v1/")).body) as { resources: readonly string[] }
    for (const resource of resources.filter((name) => !/events|cluster|explain|log/.test(name))) {
      const { status, body } = await ask(port, resource)
      expect([resource, status]).toEqual([resource, 200])
      expect(() => JSON.parse(body) as unknown).not.toThrow()
    }
    for (const unknown of ["/api/v1/toString", "/api/v1/keys/export", "/api/v1/../metrics", "/api/v2/status"])
      expect((await ask(port, unknown)).status).toBe(404)
    expect(await ask(port, "/api/v1/cluster")).toMatchObject({ status: 503 })
  })

  it("streams each picture, with the clients that ask most", async () => {
    const snapshot = { ...good(), clients: clientsOf(100) }
    const { listener, port } = await open(snapshot)
    const events: NodeSnapshot[] = []
    await new Promise<void>((done, failed) => {
      const asking = request({ host: "127.0.0.1", port, path: "/api/v1/events", agent: false }, (response) => {
        let text = ""
        response.on("data", (chunk: Buffer) => {
          text += chunk.toString("utf8")
          for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
            const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1]
            text = text.slice(end + 2)
            if (data !== undefined) events.push(JSON.parse(data) as NodeSnapshot)
          }
          if (events.length === 1) listener.tell({ ...snapshot, sequence: 2 })
          if (events.length === 2) {
            asking.destroy()
            done()
          }
        })
      })
      asking.on("error", failed)
      asking.end()
    })
    expect(events.map(({ sequence }) => sequence)).toEqual([1, 2])
    expect(events[0]?.clients?.entries.map(({ packets }) => packets)).toEqual(
      Array.from({ length: 20 }, (_, place) => 100 - place)
    )
  })
})

describe("the page", () => {
  it("is a few files of the node's own, which no other place can add to", async () => {
    const { port } = await open(good(), TOKEN)
    const { body, headers } = await ask(port, "/")
    expect(headers["content-security-policy"]).toContain("default-src 'none'; script-src 'self'; style-src 'self'")
    // Inline styles and scripts would be refused by the policy.
    expect(body).not.toMatch(/ style=| on[a-z]+=|<style|<script(?! type="module" src="\/page\.js"><\/script>)|https?:/)
    const asked = ["page.css", "page.js", "plots.js", "rows.js", "acts.js"].map((name) => `/${name}`)
    asked.push("/event-log.js", "/history-view.js", "/keys-view.js", "/node-api.js")
    const files = await Promise.all(asked.map((path) => ask(port, path)))
    for (const { status, body: text } of files) {
      expect(status).toBe(200)
      expect(text.replaceAll("http://www.w3.org/2000/svg", "")).not.toMatch(/innerHTML|eval\(|https?:\/\//)
      for (const [, imported] of text.matchAll(/ from "([^"]+)"/g)) expect(asked).toContain(imported)
    }
    expect(files.reduce((sum, { body: text }) => sum + text.length, body.length)).toBeLessThan(150_000)
    for (const path of ["/page", "/page.js/", "/../http/api.ts", "/%2e%2e/main.ts", "/index.html", "/constructor"])
      expect((await ask(port, path, { headers: { authorization: `Bearer ${TOKEN}` } })).status).toBe(404)
  })
})

describe("who may ask", () => {
  it("needs the token where there is one, for all but the page and bare health", async () => {
    const { port, outcomes } = await open(good(), TOKEN, "192.0.2.1")
    for (const path of ["/metrics", "/api/v1/status", "/api/v1/events", "/nothing"]) {
      for (const authorization of [
        undefined,
        "Bearer",
        `Bearer ${TOKEN}0`,
        `Basic ${TOKEN}`,
        `Bearer ${"x".repeat(4_000)}`
      ]) {
        const { status, body } = await ask(port, path, {
          headers: authorization === undefined ? {} : { authorization }
        })
        expect([path, status]).toEqual([path, 401])
        expect(body).not.toContain(TOKEN)
      }
    }
    expect((await ask(port, "/metrics", { headers: { authorization: `Bearer ${TOKEN}` } })).status).toBe(200)
    expect(await ask(port, "/readyz")).toMatchObject({ status: 200, body: "ready\n" })
    expect(outcomes.all["http-unauthorised"]).toBe(20)
  })

  it("is read from a file that others may not read", () => {
    const file = join(folder, "token")
    writeFileSync(file, `${TOKEN}\n`)
    chmodSync(file, 0o640)
    expect(readToken(file)).toBe(TOKEN)
    chmodSync(file, 0o644)
    expect(() => readToken(file)).toThrow("everybody may read it")
    writeFileSync(file, "short")
    chmodSync(file, 0o600)
    expect(() => readToken(file)).toThrow("holds no token")
    expect(() => readToken(folder)).toThrow("it is a directory")
    rmSync(folder, { recursive: true })
  })

  it("does not answer a page elsewhere that calls 127.0.0.1 by its own name", async () => {
    const { port } = await open(good())
    for (const host of ["evil.example", `evil.example:${port}`, "127.0.0.1.evil.example", "localhost."])
      expect((await ask(port, "/metrics", { headers: { host } })).status).toBe(421)
    for (const host of ["localhost", `LOCALHOST:${port}`, "[::1]:80"])
      expect((await ask(port, "/metrics", { headers: { host } })).status).toBe(200)
  })

  it("changes nothing, by whatever method", async () => {
    const { port } = await open(good(), TOKEN)
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]) {
      const authorised = { method, headers: { authorization: `Bearer ${TOKEN}` } }
      const { status, headers } = await ask(port, "/api/v1/status", authorised)
      expect([method, status, headers["allow"]]).toEqual([method, 405, "GET, HEAD"])
      const act = await ask(port, "/api/v1/keys/rotate", authorised)
      expect([method, act.status]).toEqual([method, method === "POST" ? 403 : 405])
    }
  })
})

describe("hostile input", () => {
  it("has an end, and leaves the listener open", async () => {
    const { port, outcomes } = await open(good())
    const starts = fc.constantFrom(
      "",
      "GET / HTTP/1.1\r\n",
      "GET /api/v1/",
      "POST /metrics HTTP/1.1\r\ncontent-length: 9\r\n\r\n"
    )
    await fc.assert(
      fc.asyncProperty(starts, fc.uint8Array({ maxLength: 300 }), async (start, rest) => {
        const answer = await askRaw(port, Buffer.concat([Buffer.from(start), Buffer.from(rest)]))
        expect(answer).toMatch(/^(?:$|HTTP\/1\.1 [2-5]\d\d )/)
      }),
      { numRuns: 60 }
    )
    expect((await ask(port, "/healthz")).status).toBe(200)
    expect(outcomes.all["http-malformed"]).toBeGreaterThan(0)
    expect(outcomes.all["http-failed"]).toBeUndefined()
  })

  it("of great length is refused", async () => {
    const { port } = await open(good())
    expect(await askRaw(port, `GET /${"a".repeat(3_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`)).toContain(" 414 ")
    expect(await askRaw(port, `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"a".repeat(20_000)}\r\n\r\n`)).toMatch(
      /^(?:$|HTTP\/1\.1 4)/
    )
    expect(await askRaw(port, "CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n")).toContain(" 400 ")
  })

  it("that comes too often is told to wait", async () => {
    const { port, outcomes } = await open(good())
    const burst = Array.from({ length: 700 }, () => "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").join("")
    const socket = connect(port, "127.0.0.1")
    socket.end(burst)
    socket.resume()
    await once(socket, "close")
    expect((outcomes.all["http-health"] ?? 0) + (outcomes.all["http-rate-limited"] ?? 0)).toBe(700)
  })
})
