/** Coordinators over one NATS, and what a test asks of them together. */
import { basename, join } from "node:path"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import type { AnyEvent } from "@meridian/events"
import type { ClusterState } from "@meridian/ipc"
import { afterEach, beforeEach, describe } from "vitest"
import { natsBinary, type RunningNats, startNats } from "./nats-cluster.ts"
import { ids, makePlace, type Place, type RunningCoordinator, startCoordinator, until } from "./running-coordinator.ts"

export const NODES = ["a", "b", "c"]

/** Numbers and keys of what a node serves with. */
export const keysText = (keys: ServingKeys): string =>
  JSON.stringify(keys.generations.map(({ id, key }) => [id, Buffer.from(key).toString("hex")]))

export const nameOf = ({ directory }: RunningCoordinator): string => basename(directory)

/** One generation waits, the one before it has become active, and every node says that it holds what waits. */
export const readyToRotate = ({ ntsKeys, members }: ClusterState): boolean => {
  const [next, ...more] = ntsKeys.filter(({ status }) => status === "pending")
  const held = members.every(({ health }) => (health?.ntsGeneration ?? 0) >= (next?.generation ?? 0))
  return next !== undefined && more.length === 0 && held
}

/** What every node must agree on. */
const agreed = ({ leader, term, ntsKeys }: ClusterState): string =>
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

/** Waits until exactly one says that it leads: reports are a second old, and leading may just have passed on. */
export const oneLeads = async (nodes: ReadonlyArray<RunningCoordinator>): Promise<void> => {
  let leading = 0
  await until(
    async () => {
      leading = (await Promise.all(nodes.map((it) => it.report()))).filter((it) => it.leading).length
      return leading === 1 ? true : undefined
    },
    () => `one leader; ${leading} say that they lead`
  )
}

/** Waits until every node serves with the same keys, as many as `count` where that is given. */
export const sameKeys = async (nodes: ReadonlyArray<RunningCoordinator>, count?: number): Promise<void> => {
  let texts: ReadonlyArray<string> = []
  await until(
    () => {
      const last = nodes.map((it) => it.allKeys.at(-1))
      texts = last.map((it) => (it === undefined ? "none" : ids(it).join()))
      const keys = new Set(last.map((it) => (it === undefined ? "" : keysText(it))))
      const [first] = last
      return keys.size === 1 && first !== undefined && first.generations.length === (count ?? first.generations.length)
        ? true
        : undefined
    },
    () => `the same ${count ?? ""} keys on every node, found ${texts.join("; ")}`
  )
}

/** The state that all agree on. */
export const agreement = async (
  nodes: ReadonlyArray<RunningCoordinator>,
  good: (state: ClusterState) => boolean
): Promise<ClusterState> => {
  let last: ReadonlyArray<string> = []
  return until(
    async () => {
      const states = await Promise.all(nodes.map((it) => it.state())).catch((): ReadonlyArray<ClusterState> => [])
      last = states.map(agreed)
      const [first] = states
      return first !== undefined && new Set(last).size === 1 && states.every(good) ? first : undefined
    },
    () => [...last, ...nodes.map((it) => it.said())].join("\n")
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

/** Of the events of keys.nts, those that somebody else wrote than the leader whose term it was; and terms that came twice. */
export const outOfTerm = (events: ReadonlyArray<AnyEvent>): ReadonlyArray<string> => {
  let leader = "nobody"
  let term = 0
  return events.flatMap((event) => {
    const { type, node, version } = event
    if (event.type === "NtsLeaderTookOver") {
      const again = event.data.term <= term
      leader = event.data.leader
      term = event.data.term
      if (again) return [`${version}: term ${term} does not follow the one before`]
    }
    return node === leader ? [] : [`${version}: ${type} by ${node} while ${leader} led with term ${term}`]
  })
}

/** What each test of {@link describeOverNats} has to itself. */
interface ClusterStage {
  readonly nats: RunningNats
  readonly cluster: RunningCluster
}

/** A suite over a NATS of Debian trixie and an empty cluster for each of its tests; says why where there is no NATS. */
export const describeOverNats = (title: string, tests: (stage: ClusterStage) => void, timeout?: number): void => {
  const binary = natsBinary()
  const why =
    binary === undefined ? " NOT RUN: no nats-server of Debian trixie (set PEERS, or let infra/peers fetch it)" : ""
  const options = timeout === undefined ? {} : { timeout }
  describe.runIf(binary !== undefined)(`${title}${why}`, options, () => {
    let nats: RunningNats
    let cluster: RunningCluster
    beforeEach(async () => {
      nats = await startNats(binary ?? [])
      cluster = makeCluster(() => nats.urls)
    })
    afterEach(async () => {
      await cluster.stop()
      await nats.stop()
    })
    tests({
      get nats() {
        return nats
      },
      get cluster() {
        return cluster
      }
    })
  })
}
