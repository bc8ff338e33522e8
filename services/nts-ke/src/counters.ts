/** What this process counts; see NtsKeCounters for what each means. */
import type { Declined, RefusalReason } from "@meridian/auth/nts-ke-server"
import type { ConnectionOutcome, NtsKeCounters } from "@meridian/ipc/nts-ke-report"

export type Outcome = "agreed" | ConnectionOutcome | RefusalReason | Declined["reason"]

export class Counters {
  accepted = 0
  cookies = 0
  unknownServerNames = 0
  private readonly outcomes = new Map<Outcome, number>()
  private readonly agreed = new Map<string, number>()

  countOutcome(outcome: Outcome): void {
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1)
  }

  /** @param aead the registry's name */
  countAgreement(aead: string, cookies: number): void {
    this.agreed.set(aead, (this.agreed.get(aead) ?? 0) + 1)
    this.cookies += cookies
  }

  snapshot(): NtsKeCounters {
    return {
      accepted: this.accepted,
      outcomes: Object.fromEntries(this.outcomes),
      agreed: Object.fromEntries(this.agreed),
      cookies: this.cookies,
      unknownServerNames: this.unknownServerNames
    }
  }
}
