/** /api/v1: what the command line shows, as JSON; the acts of operators are in operator-requests.ts. */
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { ntsFigures } from "@meridian/ipc/nts-figures"
import { systemCounters } from "@meridian/ipc/system-counters"
import {
  type CoordinatorAnswer,
  type CoordinatorQuestions,
  type LogQuestion,
  problem
} from "./coordinator-questions.ts"
import type { OperatorRequests } from "./operator-requests.ts"

export const API = "/api/v1"

/** By the last part of the path: what is read from a picture. */
const views: Readonly<Record<string, (snapshot: NodeSnapshot) => unknown>> = {
  snapshot: (snapshot) => snapshot,
  status: ({ status }) => status,
  sources: ({ sources }) => ({ sources }),
  tracking: ({ tracking }) => tracking,
  clients: ({ clients }) => clients,
  keys: ({ status }) => status.keys,
  counters: ({ status }) => systemCounters(status.totals),
  nts: (snapshot) => ntsFigures(snapshot),
  processes: ({ processes, facts }) => ({ processes, facts })
}

const resources: readonly string[] = [...Object.keys(views), "cluster", "explain", "log", "events", "operator"].map(
  (name) => `${API}/${name}`
)

const LONGEST_TIME = 64
const MOST_LINES = 1_000
const LINES = 200
/** How far back the last lines are looked for. */
const MOST_LOOKED_AT = 20_000

interface ApiParts {
  readonly snapshot: NodeSnapshot | undefined
  readonly coordinator: CoordinatorQuestions
  readonly operators: Pick<OperatorRequests, "consequence">
  /** Who asks, where it is an operator. */
  readonly operator: string | undefined
  /** Whether there are operators at all. */
  readonly mayAct: boolean
}

/** The answer; undefined where there is no such resource. */
export const answerApi = async (
  path: string,
  query: URLSearchParams,
  { snapshot, coordinator, operators, operator, mayAct }: ApiParts
): Promise<CoordinatorAnswer | undefined> => {
  if (path === API || path === `${API}/`) return { status: 200, body: JSON.stringify({ resources }) }
  const name = path.slice(API.length + 1)
  if (name === "cluster") return coordinator.state()
  if (name === "explain") {
    const at = query.get("at") ?? undefined
    return at !== undefined && at.length > LONGEST_TIME
      ? problem(400, "expected at, a time such as 2026-11-21T12:00:00Z")
      : coordinator.explain(at)
  }
  if (name === "log") return answerLog(query, coordinator)
  if (name === "consequence") return operators.consequence(query)
  if (name === "operator") return { status: 200, body: JSON.stringify({ operator: operator ?? null, mayAct }) }
  const view = Object.hasOwn(views, name) ? views[name] : undefined
  if (view === undefined) return undefined
  if (snapshot === undefined) return problem(503, "the node is starting; ask again")
  return { status: 200, body: JSON.stringify(view(snapshot)) }
}

/** `from` and `limit`, or the last `last` lines; `subject`; `quiet=1` leaves heartbeats out. */
const answerLog = async (query: URLSearchParams, coordinator: CoordinatorQuestions): Promise<CoordinatorAnswer> => {
  const number = (name: string, otherwise: number): number => {
    const text = query.get(name)
    return text === null ? otherwise : /^[1-9]\d{0,14}$/.test(text) ? Number(text) : Number.NaN
  }
  const [from, last, limit] = [number("from", 1), number("last", 0), number("limit", LINES)]
  const subject = query.get("subject") ?? undefined
  if (!(last <= MOST_LINES) || !(limit <= MOST_LINES) || !Number.isFinite(from) || (subject?.length ?? 0) > 128)
    return problem(400, `expected from, a place from 1, and limit or last, at most ${MOST_LINES} lines`)
  const question: LogQuestion = { from, subject, limit, isLast: false, isQuiet: query.get("quiet") === "1" }
  if (last === 0) return coordinator.log(question)
  const cluster = await coordinator.cluster()
  if (cluster === undefined) return problem(503, "the coordinator does not answer; ask again")
  const first = Math.max(from, cluster.log.lastSeq - MOST_LOOKED_AT + 1, 1)
  return coordinator.log({ ...question, from: first, limit: last, isLast: true })
}
