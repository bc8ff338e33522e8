/** Coordinators over one NATS, and what a test asks of them together. */
import { join } from "node:path"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import type { AnyEvent } from "@meridian/events/catalogue"
import type { StateView } from "../src/state-view.ts"
import { makePlace, type Place, type RunningCoordinator, startCoordinator, until } from "./running-coordinator.ts"

export const NODES = ["a", "b", "c"]

/** Numbers and keys of what a node serves with. */
export const keysText = (keys: ServingKeys): string =>
  JSON.stringify(keys.generations.map(({ id, key }) => [id, Buffer.from(key).toString("hex")]))

/** What every node must agree on. */
const agreed = ({ leader, term, ntsKeys }: StateView): string =>
  JSON.stringify([
    leader,
    term,
    ntsKeys.map(({ generation, activation, retirement, event }) => [generation, activation, retirement, event])
  ])

export interface RunningCluster {
  readonly place: Place
  readonly clusterKey: string
  readonly running: ReadonlyArray<RunningCoordinator>
  /** Starts a node; it is ended with the cluster. `how`: words that begin its command line. */
  readonly start: (node: string, args?: ReadonlyArray<string>, how?: ReadonlyArray<string>) => RunningCoordinator
  readonly stop: () => Promise<void>
}

/** `urls`: the NATS servers that a node is told of. */
export const makeCluster = (urls: (node: string) => ReadonlyArray<string>): RunningCluster => {
  const place = makePlace()
  const clusterKey = place.clusterKey()
  const running: Array<RunningCoordinator> = []
  return {
    place,
    clusterKey,
    running,
    start: (node, args = [], how = []) => {
      const servers = urls(node).flatMap((url) => ["--nats", url])
      const key = args.includes("--cluster-key") ? [] : ["--cluster-key", clusterKey]
      const common = ["--replicas", "3", "--log-bytes", "100000000"]
      const started = startCoordinator(join(place.path, node), node, [...servers, ...common, ...key, ...args], how)
      running.push(started)
      return started
    },
    stop: async () => {
      await Promise.all(running.map((it) => it.kill()))
      place.remove()
    }
  }
}

/** The node that leads, as soon as one says so. */
export const leaderOf = async (nodes: ReadonlyArray<RunningCoordinator>): Promise<RunningCoordinator> =>
  until(
    async () => {
      const reports = await Promise.all(nodes.map((it) => it.report()))
      return nodes[reports.findIndex(({ leading }) => leading)]
    },
    () => "a leader"
  )

/** The state that all agree on. */
export const agreement = async (
  nodes: ReadonlyArray<RunningCoordinator>,
  good: (state: StateView) => boolean
): Promise<StateView> => {
  let last: ReadonlyArray<string> = []
  return until(
    async () => {
      const states = await Promise.all(nodes.map((it) => it.state())).catch((): ReadonlyArray<StateView> => [])
      last = states.map(agreed)
      const [first] = states
      return first !== undefined && new Set(last).size === 1 && states.every(good) ? first : undefined
    },
    () => [...last, ...nodes.map((it) => [...it.warnings, it.stderr()].join("\n"))].join("\n")
  )
}

/** The events of a subject as a node's log has them. */
export const eventsOf = async (node: RunningCoordinator, subject?: string): Promise<ReadonlyArray<AnyEvent>> => {
  const { text } = await node.ask("GET", subject === undefined ? "/log" : `/log?subject=${subject}`)
  const lines = text.split("\n").filter((line) => line !== "")
  return lines.flatMap((line) => {
    const { event } = JSON.parse(line) as { readonly event?: AnyEvent }
    return event === undefined ? [] : [event]
  })
}

/** Every subject's versions are 1, 2, 3 …: none lost, none twice. */
export const holesIn = (events: ReadonlyArray<AnyEvent>): ReadonlyArray<string> => {
  const versions = new Map<string, number>()
  return events.flatMap(({ subject, version, type }) => {
    const last = versions.get(subject) ?? 0
    versions.set(subject, version)
    return version === last + 1 ? [] : [`${subject}: ${type} ${version} after ${last}`]
  })
}
