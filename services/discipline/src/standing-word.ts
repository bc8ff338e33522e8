/** What is said of a source: the selection's word, as far as the clock follows it, and why nothing is heard. One truth for all screens. */
import { type DisciplineAction, formatSeconds, type SourceVerdict } from "@meridian/algorithms"
import { sourcePlace } from "@meridian/ipc/source-place"
import { STRATUM_UNSYNCHRONISED } from "@meridian/time/clock-curve"
import type { ClockKeeper } from "./clock-keeper.ts"
import type { Upstream } from "./upstream.ts"
import type { Upstreams } from "./upstreams.ts"

/** Whom served time follows; null where nobody vouches for it, or this machine's own clock does. */
export const followedPeer = ({ curve, isLocal, discipline }: ClockKeeper): string | null =>
  curve.stratum < STRATUM_UNSYNCHRONISED && !isLocal && discipline.state !== "holdover" && discipline.state !== "unset"
    ? (discipline.root?.peer ?? null)
    : null

/** Why the best source is not followed. */
const hindrance = (action: DisciplineAction): string => {
  switch (action._tag) {
    case "Waiting":
      return "the clock is not set before more sources can be judged"
    case "Panic":
      return `this clock is off by ${formatSeconds(action.offset)}, over the panic threshold`
    case "Spike":
      return `whether this clock is off by ${formatSeconds(action.offset)} is in question`
    case "Set":
    case "Slewed":
    case "Stepped":
    case "Holdover":
      return "what it says of this clock is too old, or too vague"
  }
}

/** The selection's words on the sources. The best one is the system peer only while the clock follows it. */
export const shownVerdicts = (
  verdicts: ReadonlyMap<string, SourceVerdict>,
  keeper: ClockKeeper,
  action: DisciplineAction
): ReadonlyMap<string, SourceVerdict> => {
  const followed = followedPeer(keeper)
  const reason = `the best, and not followed: ${hindrance(action)}`
  return new Map(
    [...verdicts].map(([id, said]) => [
      id,
      said.verdict !== "system-peer" || id === followed ? said : { id, verdict: "candidate", reason }
    ])
  )
}

/** Why a source was never asked, in words that follow "waiting for"; undefined where it was, or is about to be. */
export const unasked = (upstream: Upstream, upstreams: Upstreams): string | undefined => {
  const { sent, dropped, keyId, configuration, host, endpoint, id } = upstream
  if (sent > 0) return undefined
  const place = sourcePlace({ address: host ?? endpoint.address, port: endpoint.port, mode: "client" })
  if ((dropped["no-key"] ?? 0) > 0)
    return `key ${keyId}, without which nothing is sent to ${place}: it is in no key file, or no trustedkey line names it`
  if (configuration === undefined || configuration.nts === null) return undefined
  return upstreams.keyExchanges?.problem(id) ?? `NTS keys from ${host ?? endpoint.address}: an exchange is under way`
}
