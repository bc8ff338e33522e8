/** The settings that a text gives, and what is said of it. */
import { parseText } from "../src/parse.ts"
import { effectiveSettings, type Overrides } from "../src/settings.ts"

export const settle = (text: string, overrides: Overrides = {}) => {
  const { statements, diagnostics } = parseText("f", text)
  const effective = effectiveSettings(statements, overrides, { cores: 1, interfaces: [] })
  return { ...effective, diagnostics: [...diagnostics, ...effective.diagnostics] }
}

/** Every diagnostic as one line. */
export const allProblems = (text: string, overrides: Overrides = {}) =>
  settle(text, overrides).diagnostics.map(
    ({ severity, line, column, message }) => `${severity} ${line}:${column} ${message}`
  )

/** The diagnostics besides the warnings that a line has no effect yet. */
export const problems = (text: string) => allProblems(text).filter((problem) => !problem.includes("yet"))

export const sources = (text: string) => settle(text).settings.sources.map(({ value }) => value)
