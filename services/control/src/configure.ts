/** ntpq's `:config`: lines of ntp.conf for a node that runs. They are read as the file is; the supervisor says what they did. */
import { isError } from "@meridian/config/diagnostic"
import { parseText } from "@meridian/config/parse"
import type { Acts } from "./acts.ts"

/**
 * "Config Succeeded" where all of it is in force, which is what ntpq looks for; else what is wrong, or why nothing was changed,
 * one line each.
 */
export const configureLive = async (text: string, author: string, acts: Acts): Promise<string> => {
  const { diagnostics } = parseText("config", text)
  const errors = diagnostics.filter(isError)
  if (errors.length > 0) return errors.map(({ column, message }) => `column ${column} ${message}`).join("\r\n")
  const { ok, message } = await acts.ask("configure", { text }, author)
  return ok ? "Config Succeeded" : message
}
