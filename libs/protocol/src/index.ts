/** The server's side: a batch of requests in, what is answered out. */
export { NtpServer } from "./server.ts"
export { LOCAL_ADDRESS_STRIDE, type RequestBatch, noBatch } from "./request-batch.ts"
export { type Outcome, ignore, ignoreReasons, outcomeReasons, respondReasons } from "./outcome.ts"
export type { Admission } from "./admission.ts"
export type { Authenticator } from "./authenticator.ts"
