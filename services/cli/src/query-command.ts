/** `meridian query HOST[:PORT]`. Exit codes: 0 every request was answered, 1 one was not, 2 wrong flag. */
import { queryCommand } from "@meridian/config/command-lines"
import { parseFlags, renderHelp } from "@meridian/config/flags"
import { type Answer, formatAnswer, parseTarget, query, QueryFailed } from "./query.ts"

const NTP_PORT = 123
const TIMEOUT_MS = 3_000

const refuse = (message: string): number => {
  process.stderr.write(`meridian query: ${message}\n`)
  return 2
}

export const runQuery = async (args: readonly string[]): Promise<number> => {
  const parsed = parseFlags(queryCommand, args)
  if (!parsed.ok) return refuse(parsed.error.message)
  if (parsed.value.help) {
    process.stdout.write(renderHelp(queryCommand))
    return 0
  }
  const { values, positionals } = parsed.value
  const text = positionals[0] ?? ""
  const target = parseTarget(text, NTP_PORT)
  if (target === undefined)
    return refuse(`found ${JSON.stringify(text)}, expected HOST, HOST:PORT or [IPV6]:PORT with a port from 1 to 65535`)
  const answers = await query({
    ...target,
    count: values.count ?? 1,
    version: values.version ?? 4,
    timeoutMs: TIMEOUT_MS
  })
  const failed = answers.find((answer) => answer instanceof QueryFailed)
  const good = answers.filter((answer): answer is Answer => !(answer instanceof QueryFailed))
  if (values.json)
    process.stdout.write(`${JSON.stringify({ ...target, answers: good, error: failed?.message ?? null }, null, 2)}\n`)
  else for (const answer of good) process.stdout.write(`${formatAnswer(answer)}\n`)
  if (failed === undefined) return 0
  process.stderr.write(`meridian query: ${failed.message}\n`)
  return 1
}
