/**
 * The HTTP listener of the node: metrics, health, JSON, the page, and the acts of operators where the configuration names any.
 * Every request is bounded in size, time and number, and has one outcome that is counted.
 */
import type { IncomingMessage, RequestListener, Server, ServerOptions, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import * as onUse from "@meridian/system/on-use"
import type { Outcomes } from "../outcomes.ts"
import { queryLimit } from "../query-limit.ts"
import type { Admission } from "./admission.ts"
import { answerApi, API } from "./api.ts"
import { type CoordinatorQuestions, problem } from "./coordinator-questions.ts"
import { EventStream, pictureEvent } from "./event-stream.ts"
import { CONTENT_TYPES, expose, formatFor } from "./exposition.ts"
import { metrics, type OwnFigures } from "./node-metrics.ts"
import { actOf, OperatorRequests } from "./operator-requests.ts"
import { pageFile } from "./page-files.ts"
import { unreadyReasons } from "./readiness.ts"

const MOST_CONNECTIONS = 128
const LONGEST_URL = 2_048
const LONGEST_HEADERS = 8_192
const REQUEST_MS = 5_000
const IDLE_MS = 10_000

/** Nothing is loaded from elsewhere, nothing runs that is no file of the page, and nobody frames it. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const HEADERS = {
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store"
} as const

const JSON_TYPE = "application/json; charset=utf-8"
const TEXT_TYPE = "text/plain; charset=utf-8"

/** As `createServer` of node:http; HTTPS brings its own. */
export type MakeServer = (options: ServerOptions, listener: RequestListener) => Server

export interface HttpParts {
  /** As the files that say so are now. */
  readonly admission: () => Admission
  readonly outcomes: Outcomes
  readonly coordinator: CoordinatorQuestions
  readonly current: () => NodeSnapshot | undefined
  /** Waits until that is a picture of now. */
  readonly fresh: () => Promise<void>
  /** Asks for a new picture. */
  readonly look: () => void
  /** CLOCK_MONOTONIC, seconds. */
  readonly monotonic: () => number
  readonly own: () => Pick<OwnFigures, "rss" | "processorSeconds">
}

export class HttpListener {
  readonly server: Server
  readonly #parts: HttpParts
  readonly #streams: EventStream
  readonly #limit = queryLimit()
  readonly #operators: OperatorRequests

  constructor(parts: HttpParts, makeServer: MakeServer = onUse.http().createServer) {
    this.#parts = parts
    this.#streams = new EventStream(parts.look)
    this.#operators = new OperatorRequests(parts.coordinator, parts.monotonic)
    this.server = makeServer(
      {
        maxHeaderSize: LONGEST_HEADERS,
        requestTimeout: REQUEST_MS,
        headersTimeout: REQUEST_MS,
        keepAliveTimeout: IDLE_MS
      },
      (asked, response) => void this.#serve(asked, response)
    )
    this.server.maxConnections = MOST_CONNECTIONS
    this.server.on("clientError", (_error, socket) => this.#refuseBroken(socket as Socket))
    this.server.on("tlsClientError", () => parts.outcomes.count("http-tls-failed"))
    this.server.on("drop", () => parts.outcomes.count("http-too-many-connections"))
    this.server.on("checkExpectation", (asked, response) => void this.#serve(asked, response))
    this.server.on("connect", (_asked, socket) => this.#refuseBroken(socket as Socket))
  }

  /** Tells streams of a new picture. */
  tell(snapshot: NodeSnapshot): void {
    this.#streams.tell(snapshot, this.#unready())
  }

  close(): void {
    this.#streams.close()
    this.server.close()
    this.server.closeAllConnections()
  }

  #unready(): readonly string[] {
    return unreadyReasons(this.#parts.current(), this.#parts.monotonic())
  }

  #refuseBroken(socket: Socket): void {
    this.#parts.outcomes.count("http-malformed")
    socket.on("error", () => {})
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    else socket.destroy()
  }

  async #serve(asked: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => {})
    try {
      const outcome = await this.#answer(asked, response)
      this.#parts.outcomes.count(`http-${outcome}`)
    } catch {
      this.#parts.outcomes.count("http-failed")
      if (response.headersSent) response.destroy()
      else send(response, 500, JSON_TYPE, problem(500, "this could not be answered; the node's log may say more").body)
    }
  }

  /** The outcome's name. */
  async #answer(asked: IncomingMessage, response: ServerResponse): Promise<string> {
    const admission = this.#parts.admission()
    const { method, url = "/", headers } = asked
    // What a body holds is of no interest here; the connection that brings one ends with the answer.
    if (headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined)
      response.shouldKeepAlive = false
    const refuse = (status: number, message: string, outcome: string): string => {
      send(response, status, JSON_TYPE, problem(status, message).body)
      return outcome
    }
    if (!this.#limit.allows(asked.socket.remoteAddress ?? "", this.#parts.monotonic()))
      return refuse(429, "too many requests; ask less often", "rate-limited")
    if (url.length > LONGEST_URL) return refuse(414, `a path has at most ${LONGEST_URL} characters`, "too-long")
    const cut = url.indexOf("?")
    const path = cut === -1 ? url : url.slice(0, cut)
    const act = path.startsWith(API) ? actOf(path.slice(API.length)) : undefined
    if (act === undefined ? method !== "GET" && method !== "HEAD" : method !== "POST") {
      const allowed = act === undefined ? "GET, HEAD" : "POST"
      response.setHeader("allow", allowed)
      return refuse(405, `expected ${allowed} of this path`, "method")
    }
    if (!admission.isOurs(headers.host))
      return refuse(421, "expected a Host that names this node's own address, such as localhost", "other-host")
    if (act !== undefined) {
      const { status, body, outcome } = await this.#operators.act(act, admission, asked)
      if (status === 401) response.setHeader("www-authenticate", "Bearer")
      send(response, status, JSON_TYPE, body)
      return outcome
    }
    const isCertified = (asked.socket as Partial<TLSSocket>).authorized === true
    const isAuthorised = admission.mayRead(headers.authorization, isCertified)
    if (path === "/healthz" || path === "/readyz") return this.#health(path, isAuthorised, response)
    const file = pageFile(path)
    if (file !== undefined) {
      send(response, 200, file.type, file.bytes)
      return "page"
    }
    if (!isAuthorised) {
      response.setHeader("www-authenticate", "Bearer")
      return refuse(401, "expected 'Authorization: Bearer TOKEN' with the node's token", "unauthorised")
    }
    await this.#parts.fresh()
    if (path === "/metrics") return this.#metrics(headers.accept, response)
    if (path === `${API}/events`) return this.#events(method === "HEAD", response)
    const query = new URLSearchParams(cut === -1 ? "" : url.slice(cut + 1))
    const answer = path.startsWith(API)
      ? await answerApi(path, query, {
          snapshot: this.#parts.current(),
          coordinator: this.#parts.coordinator,
          operators: this.#operators,
          operator: admission.operator(headers.authorization),
          mayAct: admission.hasOperators
        })
      : undefined
    if (answer === undefined)
      return refuse(404, `no such resource; expected /, /metrics, /healthz, /readyz or ${API}/…`, "unknown")
    send(response, answer.status, JSON_TYPE, answer.body)
    return "api"
  }

  /** The reasons are for whoever may read the rest as well. */
  #health(path: "/healthz" | "/readyz", mayRead: boolean, response: ServerResponse): string {
    const reasons = path === "/readyz" ? this.#unready() : []
    const word = reasons.length > 0 ? "not ready" : path === "/readyz" ? "ready" : "alive"
    const lines = mayRead ? [word, ...reasons] : [word]
    send(response, reasons.length > 0 ? 503 : 200, TEXT_TYPE, `${lines.join("\n")}\n`)
    return "health"
  }

  #metrics(accept: string | undefined, response: ServerResponse): string {
    const { current, outcomes, own } = this.#parts
    const snapshot = current()
    if (snapshot === undefined) {
      send(response, 503, TEXT_TYPE, "the node is starting; ask again\n")
      return "metrics"
    }
    const format = formatFor(accept)
    const families = metrics(snapshot, { ...own(), outcomes: outcomes.all, unready: this.#unready() })
    send(response, 200, CONTENT_TYPES[format], expose(families, format))
    return "metrics"
  }

  #events(isHead: boolean, response: ServerResponse): string {
    if (isHead) {
      send(response, 200, "text/event-stream; charset=utf-8", "")
      return "events"
    }
    const snapshot = this.#parts.current()
    const first = snapshot === undefined ? "" : pictureEvent(snapshot, this.#unready())
    if (this.#streams.add(response, HEADERS, first)) return "events"
    send(response, 503, JSON_TYPE, problem(503, "too many event streams are open").body)
    return "too-many-streams"
  }
}

const send = (response: ServerResponse, status: number, type: string, body: string | Buffer): void => {
  response.writeHead(status, { ...HEADERS, "content-type": type, "content-length": Buffer.byteLength(body) })
  response.end(body)
}
