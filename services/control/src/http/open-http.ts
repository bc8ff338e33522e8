/** Opens the HTTP listener where the plan says, and tries again where another process has the address. */
import type { ControlPlan } from "@meridian/ipc/serving-plan"
import { errnoAdvice } from "@meridian/system/errno-words"
import { errnoName } from "@meridian/system/native"
import { readToken } from "./admission.ts"
import { CoordinatorQuestions } from "./coordinator-questions.ts"
import { Credentials } from "./credentials.ts"
import { HttpListener, type HttpParts, type MakeServer } from "./http-server.ts"
import { processorSeconds } from "./processor-time.ts"

const RETRY_MS = 10_000

export interface Surroundings extends Pick<HttpParts, "outcomes" | "current" | "fresh" | "look" | "monotonic"> {
  readonly memory: () => number
  readonly warn: (message: string) => void
}

type HttpPlan = NonNullable<ControlPlan["http"]>

/**
 * Undefined where nothing is to be served, or token or certificate cannot be read. A node that serves time must not fail over
 * this, so that what goes wrong is said and no more.
 */
export const openHttp = async (
  { http, stateDirectory }: Pick<ControlPlan, "http" | "stateDirectory">,
  { memory, warn, ...parts }: Surroundings
): Promise<HttpListener | undefined> => {
  if (http === null) return undefined
  let makeServer: MakeServer | undefined
  try {
    if (http.tokenFile !== null) readToken(http.tokenFile)
    makeServer = await httpsMaker(http, warn)
  } catch (error) {
    warn(`HTTP is not served: ${(error as Error).message}`)
    return undefined
  }
  const credentials = new Credentials(
    {
      address: http.address,
      tokenFile: http.tokenFile,
      operatorsFile: http.operatorsFile,
      takesCertificates: http.clientsFile !== null
    },
    parts.monotonic,
    warn
  )
  const listener = new HttpListener(
    {
      ...parts,
      admission: () => credentials.admission,
      coordinator: new CoordinatorQuestions(stateDirectory),
      own: () => ({ rss: memory(), processorSeconds })
    },
    makeServer
  )
  listen(listener, http, (reason) => {
    // Several nodes on one machine have the same default; the first has it, and nobody asked for the others'.
    if (http.asked) warn(`HTTP is not served on ${http.address} port ${http.port} yet: ${reason}`)
    parts.outcomes.count("http-address-taken")
  })
  return listener
}

/** Undefined: plain HTTP. TLS is not loaded where nobody asked for it: it takes some megabytes. */
const httpsMaker = async (http: HttpPlan, warn: (message: string) => void): Promise<MakeServer | undefined> => {
  const { certificateFile, keyFile, clientsFile } = http
  if (certificateFile === null || keyFile === null) return undefined
  const { makeHttps } = await import("./https.ts")
  return makeHttps({ certificateFile, keyFile, clientsFile }, warn)
}

const listen = (listener: HttpListener, { address, port }: HttpPlan, failed: (reason: string) => void): void => {
  const { server } = listener
  let isTold = false
  server.on("error", (error) => {
    if (!isTold) failed(errnoAdvice("port", errnoName(error)))
    isTold = true
    setTimeout(() => server.listen(port, address), RETRY_MS).unref()
  })
  server.listen(port, address)
}
