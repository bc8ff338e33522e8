/**
 * A node that was away while a key was revoked and the cluster key was changed: what its disk holds meanwhile, what is left of
 * the key elsewhere, and that it comes into line. Real processes over a real NATS.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { join } from "node:path"
import { expect, it } from "vitest"
import { agreement, eventsOf, keysText, describeOverNats, NODES } from "./running-cluster.ts"
import { ids, type RunningCoordinator, startCoordinator, until } from "./running-coordinator.ts"

/** Files below a directory that hold some bytes. */
const filesWith = (directory: string, bytes: Buffer): ReadonlyArray<string> =>
  readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(directory, name))
    .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile() === true)
    .filter((file) => readFileSync(file).includes(bytes))

/** What wraps a slot on a node's own key store. */
const slotOf = (directory: string, slot: string): { readonly under: string; readonly box: Buffer } | undefined => {
  const keyStore = new DatabaseSync(join(directory, "shelf", "keys.sqlite"), { readOnly: true, timeout: 5_000 })
  try {
    const row = keyStore.prepare("SELECT under, box FROM slots WHERE slot = ?").get(slot)
    return row === undefined ? undefined : { under: String(row["under"]), box: Buffer.from(row["box"] as Uint8Array) }
  } finally {
    keyStore.close()
  }
}

describeOverNats(
  "a node that was away",
  (stage) => {
    it("holds a revoked key's wrapping until it is back, and nobody else does; comes back over a change of the cluster key", async () => {
      const [a, b, c] = NODES.map((node) => stage.cluster.start(node)) as [
        RunningCoordinator,
        RunningCoordinator,
        RunningCoordinator
      ]
      await agreement([a, b, c], ({ leader, ntsKeys }) => leader !== null && ntsKeys.length === 2)
      for (const node of [a, b, c]) await node.keys((keys) => ids(keys).length === 2)
      const published = (await eventsOf(a, "keys.nts")).find(
        (event) => event.type === "NtsGenerationPublished" && event.data.generation === 1
      )
      const slot = published?.type === "NtsGenerationPublished" ? published.data.sealed.slot : "none"
      const boxes = NODES.map((node) => slotOf(join(stage.cluster.place.path, node), slot)?.box)
      const box = boxes[0] ?? Buffer.from("none")
      expect(boxes).toEqual([box, box, box])
      // It comes back from its snapshot; one that has none and a former key only is refused at the start.
      const snapshot = join(c.directory, "snapshots", "coordinator.snapshot")
      await until(
        () => (existsSync(snapshot) && /generation..:2,/.test(readFileSync(snapshot, "utf8")) ? true : undefined),
        () => "a snapshot of c"
      )
      await c.kill()

      const revoked = await until(
        async () => {
          const answer = await a.ask("POST", "/keys/revoke", { generation: 1, reason: "laptop lost" })
          return answer.status === 200 ? answer : undefined
        },
        () => "a revocation"
      )
      expect(revoked.text).toContain("NtsGenerationRevoked")
      const places = [join(stage.cluster.place.path, "a"), join(stage.cluster.place.path, "b"), stage.nats.directory]
      await until(
        () => (places.every((place) => filesWith(place, box).length === 0) ? true : undefined),
        () => `the box in ${places.flatMap((place) => filesWith(place, box)).join(", ")}`
      )
      // What docs/operations.md says of a node that is away, so that nobody believes otherwise.
      expect(filesWith(join(stage.cluster.place.path, "c"), box)).not.toEqual([])

      // The change of the cluster key: begun on one node, killed at once, taken up by the others.
      const fresh = stage.cluster.place.clusterKey("fresh")
      const rekey = (node: RunningCoordinator) =>
        until(
          async () =>
            (await node.ask("POST", "/cluster/key", { newKeyFile: fresh })).status === 200 ? true : undefined,
          () => "a change of the cluster key"
        )
      const before = (await a.state()).clusterKey.current
      await rekey(a)
      await a.kill()
      await rekey(b)
      const again = stage.cluster.start("a")
      const isChanged = ({
        clusterKey
      }: {
        clusterKey: { current: string | null; changingTo: string | null }
      }): boolean => clusterKey.changingTo === null && clusterKey.current !== before
      await agreement([again, b], isChanged)

      // Its snapshot knows of no change: it starts, says which key it lacks, takes that, and has let go of what was revoked.
      const back = stage.cluster.start("c")
      expect(await back.warning(/lacks cluster key/)).toContain("meridian cluster rekey FILE")
      await rekey(back)
      const texts = await until(
        async () => {
          const all = await Promise.all([again, b, back].map(async (node) => keysText(await node.keys())))
          return new Set(all).size === 1 ? all : undefined
        },
        () => [again, b, back].map((node) => node.warnings.join("\n")).join("\n")
      )
      expect(texts[0]).not.toContain("[1,")
      await until(
        () => (filesWith(join(stage.cluster.place.path, "c"), box).length === 0 ? true : undefined),
        () => `${slot} in the key store of c`
      )

      // Another node that calls itself b: both say so.
      const impostor = startCoordinator(
        join(stage.cluster.place.path, "impostor"),
        "b",
        [...stage.nats.urls.flatMap((url) => ["--nats", url]), "--replicas", "3", "--log-bytes", "100000000"].concat([
          "--cluster-key",
          fresh
        ])
      )
      try {
        for (const node of [b, impostor]) {
          expect(await node.warning(/registered as node b/)).toContain("a name of its own")
          expect((await node.state()).nameDoubt).toContain("node b")
        }
        // Where it had put a commit aside for want of the key it has begun anew, which is a supervisor's to see to.
        const present = back.process.exitCode === null ? back : stage.cluster.start("c")
        expect((await present.stateWhen(({ members }) => members.length > 0)).nameDoubt).toBe("")
      } finally {
        await impostor.kill()
      }
    })
  },
  300_000
)
