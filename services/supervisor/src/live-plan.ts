/** The serving plan as it stands. Whoever changes it has every process told, whole, under the next version. */
import type { ServingPlan } from "@meridian/ipc/serving-plan"

export class LivePlan {
  /** Counts up with each change. */
  version = 1
  private current: ServingPlan
  private readonly told: (() => void)[] = []

  constructor(first: ServingPlan) {
    this.current = first
  }

  get plan(): ServingPlan {
    return this.current
  }

  /** Has somebody told after each change. */
  whenChanged(tell: () => void): void {
    this.told.push(tell)
  }

  change(part: Partial<ServingPlan>): void {
    this.current = { ...this.current, ...part }
    this.version += 1
    for (const tell of this.told) tell()
  }
}
