/** A node's settings: ntp.conf and the environment read, judged, amended while it runs, and written again. */
export { type LoadInput, type Loaded, checkReport, loadAmended, loadSettings } from "./load.ts"
export { type ReadFile, parseText } from "./parse.ts"
export { type Statement, statementsOf } from "./statement.ts"
export { type Machine, NTP_PORT, type Settings, effectiveSettings } from "./settings.ts"
export { type Origin, fromDefault } from "./sourced.ts"
export type { AccessSettings } from "./access-settings.ts"
export { DEFAULT_NTS_KE_PORT } from "./authentication-settings.ts"
export type { ManySettings } from "./broadcast-settings.ts"
export {
  type PathSettings,
  type ReferenceClockSettings,
  type SourceSettings,
  withoutTakenBack
} from "./source-settings.ts"
export type { ServiceAddress } from "./anycast-directives.ts"
export { findDirective, stateDirectoryDirective } from "./directives.ts"
export { poolDirective, unpeerDirective } from "./source-directives.ts"
export { accessRules, hostsOf } from "./access-rules.ts"
export { saysNothing } from "./access-settings.ts"
export { accessSummary } from "./access-rendering.ts"
export { type SettingLine, describeOrigin, describeSettings, quoteWord, renderSettings } from "./rendering.ts"
export { type Amendment, amend, amendmentProblems, readAmendment } from "./amendment.ts"
