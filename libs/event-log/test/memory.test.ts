import { describe } from "vitest"
import { memoryStore } from "../src/memory.ts"
import { eventLogContract } from "./event-log-contract.ts"

describe("event log in memory", () => {
  eventLogContract(async () => {
    const store = memoryStore()
    return { store, inject: async (subject, body) => store.inject(subject, body), close: async () => {} }
  })
})
