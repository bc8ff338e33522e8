/** The faults of a run: what each does to a node, its NATS server, its disk, its network, its clock or the sources, and undoes. */
import type { FaultCluster, FaultNode } from "./fault-cluster.ts"
import { canDisturb } from "./machines.ts"
import { childrenOf } from "./programs.ts"

/** Draws numbers from 0 to below 1. */
export type Chance = () => number

const pick = <A>(from: readonly A[], chance: Chance): A => from[Math.floor(chance() * from.length)] as A

/** A fault that has begun. */
export interface Begun {
  readonly words: string
  /** The node that cannot answer while it lasts, as the fault takes all of it away. */
  readonly takes?: string
  /** NATS servers that are away while it lasts. */
  readonly nats?: readonly string[]
  readonly heal: () => void | Promise<void>
}

export interface FaultKind {
  readonly name: string
  /** How much more often than others. */
  readonly weight: number
  /** Longest, seconds. */
  readonly longest: number
  readonly begin: (cluster: FaultCluster, chance: Chance) => Begun | undefined
}

const signalTo = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal)
  } catch {
    // It has been replaced since.
  }
}

/** Process ids of a service of a node; none where it does not run. */
const pidsOf = ({ program }: FaultNode, service: string): readonly number[] =>
  program.pid === undefined ? [] : (childrenOf(program.pid).get(service) ?? [])

const SERVICES = ["worker", "nts-ke", "coordinator", "discipline", "control"]

/** A signal to one process of a node. */
const toProcess = (signal: "SIGKILL" | "SIGSTOP"): FaultKind["begin"] => {
  const verb = signal === "SIGKILL" ? "killed" : "stopped"
  return ({ nodes }, chance) => {
    const node = pick(nodes, chance)
    const service = pick(SERVICES, chance)
    const pids = pidsOf(node, service)
    if (pids.length === 0) return undefined
    const pid = pick(pids, chance)
    signalTo(pid, signal)
    return {
      words: `${service} of ${node.name} ${verb}`,
      heal: () => (signal === "SIGSTOP" ? signalTo(pid, "SIGCONT") : undefined)
    }
  }
}

const node =
  (begin: (node: FaultNode, chance: Chance) => Omit<Begun, "words"> & { readonly did: string }): FaultKind["begin"] =>
  ({ nodes }, chance) => {
    const target = pick(nodes, chance)
    const { did, ...rest } = begin(target, chance)
    return { words: `${did} ${target.name}`, ...rest }
  }

const KINDS: readonly FaultKind[] = [
  { name: "process killed", weight: 4, longest: 1, begin: toProcess("SIGKILL") },
  { name: "process stopped", weight: 4, longest: 40, begin: toProcess("SIGSTOP") },
  {
    name: "node killed",
    weight: 2,
    longest: 10,
    begin: node((it) => {
      void it.program.kill()
      return { did: "killed: node", takes: it.name, heal: () => it.program.start() }
    })
  },
  {
    name: "node ended and started",
    weight: 1,
    longest: 1,
    begin: node((it) => {
      const ended = it.program.kill("SIGTERM")
      return { did: "ended in good order: node", takes: it.name, heal: async () => (await ended, it.program.start()) }
    })
  },
  {
    name: "supervisor stopped",
    weight: 1,
    longest: 8,
    begin: node((it) => {
      it.program.signal("SIGSTOP")
      return { did: "supervisor stopped of", heal: () => it.program.signal("SIGCONT") }
    })
  },
  {
    name: "disk full",
    weight: 2,
    longest: 20,
    begin: node((it) => {
      it.disk.fill()
      return { did: "disk full of", heal: () => it.disk.empty() }
    })
  },
  {
    name: "NATS killed",
    weight: 2,
    longest: 20,
    begin: node((it) => {
      void it.nats.kill()
      return { did: "killed: NATS server of", nats: [it.name], heal: () => it.nats.start() }
    })
  },
  {
    name: "NATS stopped",
    weight: 1,
    longest: 20,
    begin: node((it) => {
      it.nats.signal("SIGSTOP")
      return { did: "stopped: NATS server of", nats: [it.name], heal: () => it.nats.signal("SIGCONT") }
    })
  },
  {
    name: "all NATS servers killed",
    weight: 1,
    longest: 15,
    begin: ({ nodes }) => {
      for (const { nats } of nodes) void nats.kill()
      return {
        words: "all NATS servers killed",
        nats: nodes.map(({ name }) => name),
        heal: () => nodes.forEach(({ nats }) => nats.start())
      }
    }
  },
  {
    name: "machine cut off",
    weight: 3,
    longest: 30,
    begin: node((it) => {
      it.machine.cut()
      return { did: "cut off:", takes: it.name, nats: [it.name], heal: () => it.machine.heal() }
    })
  },
  {
    name: "network disturbed",
    weight: 2,
    longest: 20,
    begin: node((it, chance) => {
      const [delay, loss] = [5 + Math.floor(chance() * 100), Math.floor(chance() * 20)]
      it.machine.disturb(delay, loss)
      return {
        did: `${delay} ms of delay, ${loss} % lost on the way to`,
        takes: it.name,
        heal: () => it.machine.calm()
      }
    })
  },
  {
    name: "a source of time stopped",
    weight: 2,
    longest: 60,
    begin: ({ sources }, chance) => {
      const source = pick(sources, chance)
      source.signal("SIGSTOP")
      return { words: `stopped: ${source.command.name}`, heal: () => source.signal("SIGCONT") }
    }
  },
  {
    name: "all sources of time stopped",
    weight: 1,
    longest: 60,
    begin: ({ sources }) => {
      for (const it of sources) it.signal("SIGSTOP")
      return { words: "all sources of time stopped", heal: () => sources.forEach((it) => it.signal("SIGCONT")) }
    }
  },
  {
    name: "clock stepped",
    weight: 3,
    longest: 40,
    begin: node((it, chance) => {
      const most = pick([0.5, 30, 7_200, 1e8], chance)
      const by = (chance() < 0.5 ? -1 : 1) * chance() * most
      it.clock.step(by)
      // Somebody sets it right again: a node that was started anew meanwhile does not follow over the panic threshold.
      return { did: `clock stepped by ${by.toFixed(3)} s: that of`, heal: () => it.clock.step(-by) }
    })
  }
]

/** Those that this kernel can do. */
export const faultKinds = ({ nodes }: FaultCluster): readonly FaultKind[] => {
  const [first] = nodes
  const disturbs = first !== undefined && canDisturb(first.machine)
  return KINDS.filter(({ name }) => disturbs || name !== "network disturbed")
}

export const pickKind = (kinds: readonly FaultKind[], chance: Chance): FaultKind => {
  let left = chance() * kinds.reduce((sum, { weight }) => sum + weight, 0)
  return kinds.find(({ weight }) => (left -= weight) < 0) ?? (kinds[0] as FaultKind)
}
