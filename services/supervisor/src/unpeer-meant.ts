/** What `unpeer` means to a running node: besides a line's own name, an association or an address as ntpq shows them. */
import { type Diagnostic, errorAt } from "@meridian/config/diagnostic"
import { poolDirective, unpeerDirective, withoutTakenBack, type Statement, statementsOf } from "@meridian/config"
import type { SourceReport } from "@meridian/ipc/discipline-report"

type Unpeer = Statement<typeof unpeerDirective>

interface UnpeerMeant {
  /** With the names of their lines in place of associations and addresses. */
  readonly statements: readonly Statement[]
  readonly diagnostics: readonly Diagnostic[]
}

const NTP_PORT = 123

/** @param before lines that the node has */
export const unpeerMeant = (
  statements: readonly Statement[],
  before: readonly Statement[],
  sources: readonly SourceReport[]
): UnpeerMeant => {
  const { idle } = withoutTakenBack([...withoutTakenBack(before).kept, ...statements])
  const diagnostics: Diagnostic[] = []
  const meant = statements.map((statement): Statement => {
    const [line] = statementsOf([statement], unpeerDirective)
    if (line === undefined || !idle.includes(line)) return statement
    const source = sources.find(
      ({ address, detail }) => address === line.values.host || String(detail?.association) === line.values.host
    )
    if (source === undefined) return statement
    const why = whyNot(source, before)
    if (why !== undefined) diagnostics.push(errorAt(line.places.get("host") ?? line.location, why))
    return { ...line, values: named(line, source) } as Statement
  })
  return { statements: meant, diagnostics }
}

const named = ({ values }: Unpeer, { mode, address, name, port }: SourceReport): Unpeer["values"] => {
  const [, driver, unit] = /^(\w+)\((\d+)\)$/.exec(address) ?? []
  if (mode === "clock" && driver !== undefined) return { ...values, host: "clock", clock: driver, unit: Number(unit) }
  const host = name ?? address
  const bracketed = host.includes(":") ? `[${host}]` : host
  return { ...values, host: port === NTP_PORT ? host : `${bracketed}:${port}` }
}

/** A line stands for some sources and not for one alone, and for others there is none. */
const whyNot = ({ address, name, mode }: SourceReport, before: readonly Statement[]): string | undefined => {
  if (mode === "passive" || mode === "broadcast" || (name === null && mode !== "clock"))
    return `${address} came by itself and goes by itself: no line names it`
  const isOfPool = statementsOf(before, poolDirective).some(({ values }) => values.host === name)
  return isOfPool
    ? `${address} is one of the pool ${name}, whose others are asked too: unpeer ${name} takes all back`
    : undefined
}
