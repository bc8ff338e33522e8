/**
 * Modules of Node's that are loaded when they are used first. An import costs a process at its start, also where nothing of it is used: CPU time
 * on the machine of docs/performance.md is 15 ms for node:crypto, and 70 for node:http, 12 without a client for web sockets that its import reads.
 */
const loaded: { crypto?: typeof import("node:crypto") } = {}

export const crypto = (): typeof import("node:crypto") => (loaded.crypto ??= process.getBuiltinModule("node:crypto"))

export const http = (): typeof import("node:http") => process.getBuiltinModule("node:http")

export const util = (): typeof import("node:util") => process.getBuiltinModule("node:util")
