/** Every scenario there is. */
import type { Scenario } from "./scenario.ts"
import { chronyScenarios } from "./scenario-chrony.ts"
import { ownScenarios } from "./scenario-own.ts"
import { uglyScenarios } from "./scenario-ugly.ts"

export const allScenarios: readonly Scenario[] = [...ownScenarios, ...uglyScenarios, ...chronyScenarios]
