/** Opens the HTTP door where the plan says, and tries again where another process has the address. */
import type { ControlPlan } from "@meridian/ipc/serving-plan"
import { processorSeconds } from "./processor-time.ts"
import { Admission, readToken } from "./admission.ts"
import { CoordinatorQuestions } from "./coordinator-questions.ts"
import { HttpDoor, type HttpParts } from "./http-server.ts"

const RETRY_MS = 10_000

export interface Surroundings extends Pick<HttpParts, "outcomes" | "current" | "monotonic"> {
  readonly memory: () => number
  readonly warn: (message: string) => void
}

/**
 * Undefined where nothing is to be served, or the token cannot be read. A node that serves time must not fail over this, so
 * that what goes wrong is said and no more.
 */
export const openHttp = (
  { http, stateDirectory }: Pick<ControlPlan, "http" | "stateDirectory">,
  { memory, warn, ...parts }: Surroundings
): HttpDoor | undefined => {
  if (http === null) return undefined
  let token: string | undefined
  try {
    token = http.tokenFile === null ? undefined : readToken(http.tokenFile)
  } catch (error) {
    warn(`HTTP is not served: ${(error as Error).message}`)
    return undefined
  }
  const door = new HttpDoor({
    ...parts,
    admission: new Admission(http.address, token),
    coordinator: new CoordinatorQuestions(stateDirectory),
    own: () => ({ rss: memory(), processorSeconds })
  })
  listen(door, http, (reason) => {
    // Several nodes on one machine have the same default; the first has it, and nobody asked for the others'.
    if (http.asked) warn(`HTTP is not served on ${http.address} port ${http.port} yet: ${reason}`)
    parts.outcomes.count("http-address-taken")
  })
  return door
}

const listen = (
  door: HttpDoor,
  { address, port }: NonNullable<ControlPlan["http"]>,
  failed: (reason: string) => void
): void => {
  const { server } = door
  let isTold = false
  server.on("error", ({ code = "unknown error" }: NodeJS.ErrnoException) => {
    if (!isTold) failed(reasons[code] ?? code)
    isTold = true
    setTimeout(() => server.listen(port, address), RETRY_MS).unref()
  })
  server.listen(port, address)
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "another process has it; choose another port with 'control http', or end that process",
  EADDRNOTAVAIL: "this host does not have that address (any more)",
  EACCES: "ports below 1024 are root's; choose another"
}
