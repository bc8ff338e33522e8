/** Every scenario of `npm run loadtest`, in the order in which they are listed. */
import type { Scenario } from "../fleet/scenario.ts"
import { drain } from "./drain.ts"
import { handshakeStorm } from "./handshake-storm.ts"
import { herd } from "./herd.ts"
import { hostileMix } from "./hostile-mix.ts"
import { missingKey } from "./missing-key.ts"
import { natsOutage } from "./nats-outage.ts"
import { nodeKill } from "./node-kill.ts"
import { ntsMix } from "./nts-mix.ts"
import { ramp } from "./ramp.ts"
import { rollingRestartUnderLoad } from "./rolling-restart.ts"
import { rotation } from "./rotation.ts"
import { soak } from "./soak.ts"
import { upstreamLoss } from "./upstream-loss.ts"
import { workerKill } from "./worker-kill.ts"
import { wrongClock } from "./wrong-clock.ts"

export const scenarios: readonly Scenario[] = [
  ramp,
  soak,
  herd,
  ntsMix,
  handshakeStorm,
  hostileMix,
  rotation,
  rollingRestartUnderLoad,
  workerKill,
  nodeKill,
  drain,
  missingKey,
  natsOutage,
  upstreamLoss,
  wrongClock
]
