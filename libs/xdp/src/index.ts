/** Answering plain requests in the driver: loading the program, what it is told, what it has counted. */
export { XdpAnswering } from "./xdp-answering.ts"
export { XdpError } from "./bpf.ts"
export type { AnswerCounts, AnsweredClient } from "./answer-layout.ts"
export { type Listening, hopLimits, ownAddresses } from "./own-addresses.ts"
export type { Strangers } from "./strangers.ts"
