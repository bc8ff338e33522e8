/** /api/v1: what the command line shows, as JSON. */
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { ntsFigures } from "@meridian/ipc/nts-figures"
import { systemCounters } from "@meridian/ipc/system-counters"
import type { CoordinatorAnswer, CoordinatorQuestions } from "./coordinator-questions.ts"

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

export const resources: readonly string[] = [...Object.keys(views), "cluster", "explain", "events"].map(
  (name) => `${API}/${name}`
)

const LONGEST_TIME = 64

/** The answer; undefined where there is no such resource. */
export const answerApi = async (
  path: string,
  query: URLSearchParams,
  snapshot: NodeSnapshot | undefined,
  coordinator: CoordinatorQuestions
): Promise<CoordinatorAnswer | undefined> => {
  if (path === API || path === `${API}/`) return { status: 200, body: JSON.stringify({ resources }) }
  const name = path.slice(API.length + 1)
  if (name === "cluster") return coordinator.state()
  if (name === "explain") {
    const at = query.get("at") ?? undefined
    return at !== undefined && at.length > LONGEST_TIME
      ? { status: 400, body: wrong("expected at, a time such as 2026-11-21T12:00:00Z") }
      : coordinator.explain(at)
  }
  const view = Object.hasOwn(views, name) ? views[name] : undefined
  if (view === undefined) return undefined
  if (snapshot === undefined) return { status: 503, body: wrong("the node is starting; ask again") }
  return { status: 200, body: JSON.stringify(view(snapshot)) }
}

export const wrong = (message: string): string => JSON.stringify({ error: { message } })
