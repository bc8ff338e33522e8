/**
 * `meridian query HOST[:PORT]`. Exit codes: 0 every request was answered with good time, 1 one was not answered, 2 wrong flag,
 * 3 an answer was unsynchronised, or beyond a limit of --check.
 */
import { DEFAULT_NTS_KE_PORT } from "@meridian/config"
import type { CheckLimits } from "@meridian/config/check-limits"
import { queryCommand } from "@meridian/config/command-lines"
import type { FlagValues } from "@meridian/config/flags"
import { healthProblems, NOT_GOOD } from "./health.ts"
import { printJson, runCommand } from "./run-command.ts"
import { type Answer, formatAnswer, parseTarget, query, QueryFailed } from "./query.ts"

const NTP_PORT = 123
const TIMEOUT_MS = 3_000

type Values = FlagValues<typeof queryCommand.flags>
type Target = NonNullable<ReturnType<typeof parseTarget>>

const say = (message: string): void => void process.stderr.write(`meridian query: ${message}\n`)

const refuse = (message: string): number => {
  say(message)
  return 2
}

export const runQuery = (args: readonly string[]): Promise<number> =>
  runCommand(queryCommand, args, ({ values, positionals: [text = ""] }) => {
    const target = parseTarget(text, values.nts ? DEFAULT_NTS_KE_PORT : NTP_PORT)
    if (target === undefined)
      return refuse(
        `found ${JSON.stringify(text)}, expected HOST, HOST:PORT or [IPV6]:PORT with a port from 1 to 65535`
      )
    // Extension fields are version 4's, and those of NTS are under its keys.
    if (values.identify && (values.nts || values.version === 3))
      return refuse("--identify is of plain requests of NTP version 4")
    if (values.nts) return values.version === 3 ? refuse("--nts is of NTP version 4") : askWithNts(target, values)
    const idle = (["ca", "aead", "state"] as const).find((name) => values[name] !== undefined)
    return idle === undefined ? askPlainly(target, values) : refuse(`--${idle} is about --nts, which is not given`)
  })

const askPlainly = async (
  target: Target,
  { count = 1, version = 4, identify, check, json }: Values
): Promise<number> => {
  if (check?.["certificate-days"] !== undefined) return refuse("certificate-days is about --nts, which is not given")
  const { good, failed } = sorted(await query({ ...target, count, version, identify, timeoutMs: TIMEOUT_MS }))
  const problems = problemsOf(good, undefined, check)
  if (json) printJson({ ...target, answers: good, error: failed?.message ?? null, problems })
  else for (const answer of good) process.stdout.write(`${formatAnswer(answer)}\n`)
  return failed === undefined ? judged(target, problems) : fail(failed)
}

/** Of several answers the one with the shortest delay says most about the offset; every one must be synchronised. */
const problemsOf = (
  answers: readonly Answer[],
  certificateUntil: number | undefined,
  limits: CheckLimits = {}
): readonly string[] => {
  const [best] = answers.toSorted((a, b) => a.delay - b.delay)
  if (best === undefined) return []
  const synchronised = answers.every((answer) => answer.synchronised)
  return healthProblems({ ...best, synchronised, certificateUntil }, limits, Date.now() / 1000)
}

const judged = ({ host, port }: Target, problems: readonly string[]): number => {
  if (problems.length > 0) say(`${host} port ${port}: ${problems.join("; ")}`)
  return problems.length === 0 ? 0 : NOT_GOOD
}

/** TLS and ciphers are loaded only here. */
const askWithNts = async (target: Target, { count = 1, ca, aead, state, check, json }: Values): Promise<number> => {
  const [{ queryNts }, { formatKeys, formatNtsAnswer }, { aeadParameters }] = await Promise.all([
    import("./query-nts.ts"),
    import("./query-nts-text.ts"),
    import("@meridian/auth/aead")
  ])
  const algorithm = aead === undefined ? undefined : aeadParameters(aead)?.id
  const plan = { ...target, count, timeoutMs: TIMEOUT_MS, ca: ca ?? null, aead: algorithm, state }
  const { keys, answers, warnings } = await queryNts(plan)
  const { good, failed } = sorted(answers)
  for (const warning of warnings) say(warning)
  const expires = keys?.certificate?.expires
  const problems = problemsOf(good, expires === undefined ? undefined : Date.parse(expires) / 1000, check)
  if (json) printJson({ ...target, keys: keys ?? null, answers: good, error: failed?.message ?? null, problems })
  else {
    if (keys !== undefined) process.stdout.write(`${formatKeys(target, keys)}\n`)
    for (const answer of good) process.stdout.write(`${formatNtsAnswer(answer)}\n`)
  }
  return failed === undefined ? judged(target, problems) : fail(failed)
}

const sorted = <A extends Answer>(answers: readonly (A | QueryFailed)[]) => ({
  good: answers.filter((answer): answer is A => !(answer instanceof QueryFailed)),
  failed: answers.find((answer) => answer instanceof QueryFailed)
})

const fail = ({ message }: QueryFailed): number => {
  say(message)
  return 1
}
