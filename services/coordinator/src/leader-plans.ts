/** What the policy says, as the rules of keys take it. */
import type { NtsKeysPlan, PolicySettings, SymmetricKeysPlan } from "@meridian/events"

/** A rotation set by hand shortens the lead where it would be too long. */
export const ntsPlan = (settings: PolicySettings, rotationMs: number | null): NtsKeysPlan => {
  const rotation = rotationMs ?? settings.ntsRotationMs
  return {
    aead: settings.ntsAead,
    rotationMs: rotation,
    acceptPast: settings.ntsAcceptPast,
    acceptFuture: settings.ntsAcceptFuture,
    leadMs: Math.min(settings.ntsLeadMs, Math.floor(rotation / 4))
  }
}

export const symmetricPlan = (settings: PolicySettings): SymmetricKeysPlan => ({
  rotationMs: settings.symmetricRotationMs,
  announceMs: settings.symmetricAnnounceMs,
  graceMs: settings.symmetricGraceMs,
  leadMs: settings.ntsLeadMs
})
