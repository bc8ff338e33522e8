/** `meridian cluster init|status|rekey FILE|drain NODE|undrain NODE`. */
import {
  clusterDrainCommand,
  clusterInitCommand,
  clusterRekeyCommand,
  clusterStatusCommand,
  clusterUndrainCommand
} from "@meridian/config/cluster-command-lines"
import type { ClusterState } from "@meridian/ipc"
import { reasonOf } from "@meridian/system/errno-words"
import { errnoName } from "@meridian/system/native"
import { makeDirectory } from "@meridian/system/make-directory"
import { randomBytes } from "node:crypto"
import { writeFileSync } from "@meridian/system/files"
import { dirname, join, resolve } from "node:path"
import { memberTable } from "./cluster-view.ts"
import { ask, askState, stateDirectoryOf } from "./coordinator-client.ts"
import { carryOut, type Recorded } from "./recorded-events.ts"
import { OperatorProblem, print, printJson, runCommand, runVerb } from "./run-command.ts"
import { paint, printable } from "./text-table.ts"

export const runCluster = (args: readonly string[]): Promise<number> =>
  runVerb(
    "meridian cluster",
    {
      init,
      status,
      rekey,
      drain,
      undrain
    },
    args
  )

const CLUSTER_KEY_BYTES = 32

const init = (args: readonly string[]): Promise<number> =>
  runCommand(clusterInitCommand, args, ({ values: { out, state, json } }) => {
    const file = out === undefined ? join(stateDirectoryOf(state), "cluster-key") : resolve(out)
    writeFresh(file, `${randomBytes(CLUSTER_KEY_BYTES).toString("hex")}\n`)
    if (json) return printJson({ file })
    process.stdout.write(initText(file))
  })

/** Hexadecimal digits and a newline, as the coordinator reads them; only its owner may. Never over another key. */
const writeFresh = (file: string, text: string): void => {
  try {
    makeDirectory(dirname(file), 0o750)
    writeFileSync(file, text, { mode: 0o600, flag: "wx", flush: true })
  } catch (error) {
    throw new OperatorProblem(
      1,
      errnoName(error) === "EEXIST"
        ? `${file} exists and may be the key that keys are sealed under: nothing was changed; choose another place with --out FILE`
        : `cannot write ${file}: ${reasonOf(error)}`
    )
  }
}

const initText = (file: string): string =>
  [
    `made the cluster key ${file} (mode 0600)`,
    "",
    "Every node of the cluster needs the same file. To the next node, over a safe way:",
    `  scp -p ${file} NEXT:/etc/meridian/cluster-key        (then, there: chown to the node's user, chmod 600)`,
    "Each node is told of it in one of these ways:",
    "  meridian up --cluster-key /etc/meridian/cluster-key   or in its ntp.conf: cluster key /etc/meridian/cluster-key",
    "  LoadCredential=cluster-key:/etc/meridian/cluster-key  in its systemd unit",
    "Who has this file and the key store can read every key: keep a copy in a safe, and none in a backup of the log.",
    ""
  ].join("\n")

const status = (args: readonly string[]): Promise<number> =>
  runCommand(clusterStatusCommand, args, async ({ values: { state, json } }) => {
    print(json, await askState(state), formatCluster)
  })

const nobodyLeads = ({ lastLeader = null, leaseHolder = null }: ClusterState): string => {
  const last = lastLeader === null ? "" : ` (${lastLeader} led last)`
  if (leaseHolder !== null && leaseHolder !== lastLeader)
    return `nobody leads: ${leaseHolder} has the lease and has not taken over${last}`
  return lastLeader === null ? "nobody leads yet" : `nobody leads${last}`
}

/** The cluster as one screen. */
export const formatCluster = (view: ClusterState): string => {
  const { node, leader, leading, term, log, ready, reason, drained, members, clusterKey, ntsKeys, symmetricSets } = view
  const leads = leader === null ? nobodyLeads(view) : leading ? "leads" : `follows ${leader}`
  const self = drained
    ? paint("drained", "warn")
    : ready
      ? paint("ready", "good")
      : paint(`not ready: ${printable(reason)}`, "bad")
  const behind = log.lastSeq - log.foldedSeq
  const position =
    log.adapter === null
      ? "out of reach"
      : `${log.adapter}, at ${log.foldedSeq}${behind > 0 ? `, ${behind} behind` : ""}`
  const active = ntsKeys.filter((it) => it.status === "active").map(({ generation }) => generation)
  const trusted = symmetricSets.filter((it) => it.status === "trusted").map(({ set }) => set)
  const changing = clusterKey.changingTo === null ? "" : `, changing to ${clusterKey.changingTo}`
  return [
    `node ${paint(printable(node), "bold")}  ${paint(printable(leads), leader === null ? "bad" : "plain")}, term ${term}  ${self}\n`,
    `log          ${position}${log.quarantined > 0 ? paint(`, ${log.quarantined} put aside`, "bad") : ""}\n`,
    `cluster key  ${printable(clusterKey.current ?? "none yet")}${printable(changing)}\n`,
    `keys         NTS generation ${active.join(", ") || "none"}, symmetric set ${trusted.join(", ") || "none"}\n`,
    ...(view.clockDoubt === "" ? [] : [`clock        ${paint(printable(view.clockDoubt), "bad")}\n`]),
    ...(view.nameDoubt === "" ? [] : [`name         ${paint(printable(view.nameDoubt), "bad")}\n`]),
    ...view.putAside.map((what) => `put aside    ${paint(printable(what), "bad")}\n`),
    memberTable(members, leader)
  ].join("")
}

const rekey = (args: readonly string[]): Promise<number> =>
  runCommand(clusterRekeyCommand, args, async ({ values: { state, json }, positionals }) => {
    const done = await ask<Recorded & { readonly key: string }>(stateDirectoryOf(state), {
      method: "POST",
      path: "/cluster/key",
      body: { newKeyFile: resolve(positionals[0] ?? "") }
    })
    if (json) return printJson(done)
    process.stdout.write(
      [
        `this node has the next cluster key, ${done.key}`,
        done.events.length > 0 ? "the change to it has begun" : "the change to it is under way or done",
        "give it to every other node: meridian cluster rekey FILE there; `cluster status` shows when the change is complete",
        "then put it in place of the old key, and destroy every copy of that",
        ""
      ].join("\n")
    )
  })

const drain = (args: readonly string[]): Promise<number> =>
  runCommand(clusterDrainCommand, args, ({ values, positionals: [node] }) =>
    carryOut(values, "/cluster/drain", { node, reason: values.reason })
  )

const undrain = (args: readonly string[]): Promise<number> =>
  runCommand(clusterUndrainCommand, args, ({ values, positionals: [node] }) =>
    carryOut(values, "/cluster/undrain", { node })
  )
