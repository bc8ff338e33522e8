/** The settings that a text gives, and what is said of it. */
import { parseText } from "../src/parse.ts"
import { effectiveSettings } from "../src/settings.ts"

export const settle = (text: string) => {
  const { statements, diagnostics } = parseText("f", text)
  const effective = effectiveSettings(statements, {}, { cores: 1, interfaces: [] })
  return { ...effective, diagnostics: [...diagnostics, ...effective.diagnostics] }
}

/** The diagnostics besides the warnings that a line has no effect yet. */
export const problems = (text: string) =>
  settle(text)
    .diagnostics.filter(({ message }) => !message.includes("yet"))
    .map(({ severity, line, column, message }) => `${severity} ${line}:${column} ${message}`)

export const sources = (text: string) => settle(text).settings.sources.map(({ value }) => value)
