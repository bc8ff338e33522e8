/** The workers' counters as sysstats has them (ntp.conf(5)): fewer and broader than the outcomes that workers count. */
import type { SystemCounters } from "./discipline-report.ts"
import type { WorkerCounters } from "./worker-report.ts"

/** Not taken for a request to this server. */
const unprocessed = ["short", "long", "version", "mode", "malformed", "control"]
const badLength = ["short", "long", "malformed", "nts-malformed"]
const badAuthentication = ["crypto-nak", "unknown-key", "untrusted-key", "bad-mac", "nts-nak-limited"]
/** Answered, all the same, with the news that authentication failed. */
const answeredUnauthentic = ["crypto-nak-sent", "nts-nak-sent"]
const restricted = ["access-ignored", "access-flaked", "access-refused", "access-version", "access-unproven"]
/** Told that they may not ask. */
const restrictedKisses = ["deny-kiss-sent", "rstr-kiss-sent"]
const rateLimited = ["rate-limited", "rate-kiss-sent"]
const kisses = ["nts-nak-sent", "rate-kiss-sent", ...restrictedKisses]

/** Since the node's start. Drops that sysstats has no column for count as declined. */
export const systemCounters = ({ received, dropped, served, oldVersion }: WorkerCounters): SystemCounters => {
  const sum = (names: readonly string[]): number =>
    names.reduce((total, name) => total + (dropped[name] ?? 0) + (served[name] ?? 0), 0)
  const total = (counts: Readonly<Record<string, number>>): number =>
    Object.values(counts).reduce((all, count) => all + count, 0)
  const named = [...badLength, ...badAuthentication, ...restricted, ...rateLimited]
  const namedDrops = named.reduce((all, name) => all + (dropped[name] ?? 0), 0)
  return {
    type: "system-counters",
    received,
    processed: received - sum(unprocessed),
    currentVersion: total(served) - oldVersion,
    oldVersion,
    restricted: sum(restricted) + sum(restrictedKisses),
    badLength: sum(badLength),
    badAuthentication: sum(badAuthentication) + sum(answeredUnauthentic),
    declined: total(dropped) - namedDrops,
    rateLimited: sum(rateLimited),
    kissesSent: sum(kisses)
  }
}
