/** What befalls a fleet under load, and what each has to come to. A time is in seconds. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Finding } from "./scenario.ts"
import { type Stage, until } from "./stage.ts"

const DRAINED_LIMIT = 10
const ROUTED_LIMIT = 30
/** Of a node whose next coordinator finds a key missing that the log names. */
const KEYLESS_LIMIT = 2
/** After that a node that was ordered to leave must lead nothing, and be sent no client. */
const LEAVING_LIMIT = 1

const seconds = (what: string, found: number, limit: number): Finding => ({ what, found, limit, unit: "s" })

/** Drains the node that leads, so that it has most to give away; returns its number besides. */
export const drainLeader = async (
  stage: Stage
): Promise<{ readonly node: number; readonly findings: readonly Finding[] }> => {
  const node = (await stage.leader()) ?? 1
  await stage.fleet.command(node, "cluster", "drain", `n${node}`)
  const ordered = performance.now()
  const since = (): number => (performance.now() - ordered) / 1e3
  const [leads, routed] = await Promise.all([
    until(`n${node} leads nothing`, async () => !(await stage.leads(node))).then(since),
    until(`no route to n${node}`, () => !stage.routed().includes(node)).then(since)
  ])
  await until(`n${node} is drained`, async () => (await stage.status(node))?.drain?.state === "drained")
  return {
    node,
    findings: [
      seconds(`n${node} led nothing, after the order`, leads, LEAVING_LIMIT),
      seconds(`no route to n${node}, after the order`, routed, LEAVING_LIMIT),
      seconds(`n${node} drained, after the order`, since(), DRAINED_LIMIT)
    ]
  }
}

export const undrain = async (stage: Stage, node: number): Promise<readonly Finding[]> => {
  await stage.fleet.command(node, "cluster", "undrain", `n${node}`)
  return [
    seconds(`n${node} back`, await until(`a route to n${node}`, () => stage.routed().includes(node)), ROUTED_LIMIT)
  ]
}

/** Each node in turn leaves in good order, ends, and comes back. */
export const rollingRestart = async (stage: Stage): Promise<readonly Finding[]> => {
  const findings: Finding[] = []
  for (const node of stage.numbers) {
    const from = performance.now()
    await stage.stopNode(node)
    await stage.startNode(node)
    await until(`a route to n${node}`, () => stage.routed().includes(node))
    findings.push(seconds(`n${node} restarted`, (performance.now() - from) / 1e3, 2 * ROUTED_LIMIT))
  }
  return findings
}

/** Rotates the NTS key; every node must have put the next generation to use. */
export const rotate = async (stage: Stage): Promise<readonly Finding[]> => {
  await stage.fleet.command(stage.numbers[0] ?? 1, "keys", "rotate")
  return []
}

/** Kills a worker with SIGKILL. */
export const killWorker = async (stage: Stage, node: number): Promise<readonly Finding[]> => {
  const before = await stage.status(node)
  const pid = before?.workers[0]?.pid
  if (pid === undefined || pid === null) throw new Error(`n${node} says no worker's process id`)
  process.kill(pid, "SIGKILL")
  const took = await until(`a new worker of n${node}`, async () => {
    const worker = (await stage.status(node))?.workers[0]
    return worker?.state === "running" && worker.pid !== pid
  })
  return [seconds(`a new worker of n${node}`, took, ROUTED_LIMIT)]
}

/** All of Meridian on a node ends at once, as when the machine runs out of memory; its BIRD lives on. */
export const killNode = async (stage: Stage, node: number): Promise<readonly Finding[]> => {
  stage.fleet.kill(node, "/bird ")
  return [seconds(`no route to n${node}`, await until(`no route to n${node}`, () => !stage.routed().includes(node)), 2)]
}

/** A node's coordinator dies with the keys that it held, its copies are gone, and the cluster's key store is out of reach until NATS is back. */
export const loseKeys = async (stage: Stage, node: number): Promise<readonly Finding[]> => {
  await stage.stopNats()
  stage.loseKeys(node)
  const gone = await until(`no route to n${node}`, () => !stage.routed().includes(node))
  const missing = (await stage.status(node))?.anycast?.problems.some((it) =>
    /key is missing|no NTS master key/.test(it)
  )
  stage.startNats()
  const back = await until(`a route to n${node}`, () => stage.routed().includes(node))
  return [
    seconds(`no route to n${node}, after its coordinator died`, gone, KEYLESS_LIMIT),
    { what: `n${node} says another reason than its keys`, found: Number(missing !== true), limit: 0, unit: "count" },
    seconds(`n${node} back, after NATS was`, back, ROUTED_LIMIT)
  ]
}

/** Says how many nodes clients are sent to, which must be that many. */
const expectRouted = (stage: Stage, count: number, when: string): readonly Finding[] => {
  const missing = count - stage.routed().length
  return [{ what: `nodes without a route ${when}`, found: missing, limit: 0, unit: "count" }]
}

/** NATS is gone for a while, and back: nobody stops serving. */
export const natsAway = async (stage: Stage, length: number): Promise<readonly Finding[]> => {
  await stage.stopNats()
  await sleep(length * 1e3)
  const during = expectRouted(stage, stage.numbers.length, "without NATS")
  stage.startNats()
  const back = await until("one node leads again", async () => (await stage.leader()) !== undefined)
  return [...during, seconds("one node led again after NATS was back", back, ROUTED_LIMIT)]
}

/** No source of time answers for a while: nodes go on by their clocks. */
export const sourcesAway = async (stage: Stage, length: number): Promise<readonly Finding[]> => {
  stage.silenceSources(true)
  await sleep(length * 1e3)
  const during = expectRouted(stage, stage.numbers.length, "without sources")
  stage.silenceSources(false)
  return during
}

/** A node joins whose source is off by so many seconds: no client may meet it. */
export const joinWithWrongClock = async (stage: Stage, node: number, offset: number): Promise<readonly Finding[]> => {
  stage.tellSource(node, 0.001, offset)
  await stage.startNode(node)
  await until(`n${node} knows that it is wrong`, async () =>
    ((await stage.status(node))?.anycast?.problems ?? []).some((it) => it.includes("this node's clock is"))
  )
  return [
    {
      what: `n${node}, which is wrong, was routed`,
      found: Number(stage.routed().includes(node)),
      limit: 0,
      unit: "count"
    }
  ]
}
