/** `meridian keys list|rotate|revoke GENERATION|export`. */
import {
  keysExportCommand,
  keysListCommand,
  keysRevokeCommand,
  keysRotateCommand
} from "@meridian/config/cluster-command-lines"
import { renameSync, rmSync, writeFileSync } from "@meridian/system/files"
import { resolve } from "node:path"
import { reasonOf } from "@meridian/system/errno-words"
import { generationTable, setTable } from "./cluster-view.ts"
import { askForText, askState, stateDirectoryOf } from "./coordinator-client.ts"
import { carryOut } from "./recorded-events.ts"
import { OperatorProblem, printJson, runCommand, runVerb } from "./run-command.ts"
import { paint } from "./text-table.ts"

export const runKeys = (args: readonly string[]): Promise<number> =>
  runVerb("meridian keys", { list, rotate, revoke, export: exportKeys }, args)

const list = (args: readonly string[]): Promise<number> =>
  runCommand(keysListCommand, args, async ({ values: { kind, state, json } }) => {
    const { ntsKeys, symmetricSets } = await askState(state)
    const wanted = {
      ...(kind === "symmetric" ? {} : { nts: ntsKeys }),
      ...(kind === "nts" ? {} : { symmetric: symmetricSets })
    }
    if (json) return printJson(wanted)
    if (wanted.nts !== undefined)
      process.stdout.write(`${paint("NTS master keys", "bold")}\n${generationTable(wanted.nts)}`)
    if (wanted.symmetric !== undefined)
      process.stdout.write(`${paint("Symmetric keys", "bold")}\n${setTable(wanted.symmetric)}`)
  })

const rotate = (args: readonly string[]): Promise<number> =>
  runCommand(keysRotateCommand, args, ({ values }) => carryOut(values, "/keys/rotate", { kind: values.kind ?? "nts" }))

const revoke = (args: readonly string[]): Promise<number> =>
  runCommand(keysRevokeCommand, args, ({ values, positionals }) => {
    const { kind = "nts", reason = "revoked by an operator" } = values
    const text = positionals[0] ?? ""
    const number = /^\d{1,15}$/.test(text) ? Number(text) : 0
    if (number === 0)
      throw new OperatorProblem(2, `found ${JSON.stringify(text)}, expected the number of a generation, such as 3`)
    return carryOut(values, "/keys/revoke", { [kind === "nts" ? "generation" : "set"]: number, reason })
  })

const exportKeys = (args: readonly string[]): Promise<number> =>
  runCommand(keysExportCommand, args, async ({ values: { out, state } }) => {
    const text = await askForText(stateDirectoryOf(state), { method: "GET", path: "/keys/export" })
    if (out === undefined) process.stdout.write(text)
    else {
      writePrivate(resolve(out), text)
      process.stdout.write(
        `wrote ${out}: give it to the clients over a safe way, and name it in their ntp.conf with keys\n`
      )
    }
  })

/** Whole or not at all, and never readable by others. */
const writePrivate = (file: string, text: string): void => {
  const fresh = `${file}.${process.pid}.new`
  try {
    writeFileSync(fresh, text, { mode: 0o600, flag: "wx", flush: true })
    renameSync(fresh, file)
  } catch (error) {
    rmSync(fresh, { force: true })
    throw new OperatorProblem(1, `cannot write ${file}: ${reasonOf(error)}`)
  }
}
