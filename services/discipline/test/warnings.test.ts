import { describe, expect, it } from "vitest"
import { Warnings } from "../src/announcements.ts"

const said = () => {
  const clock = { monotonic: 0 }
  const messages: string[] = []
  const warnings = new Warnings(
    (message) => void (message.type === "warning" && messages.push(message.message)),
    () => ({ seconds: 0, nanoseconds: 0, monotonic: clock.monotonic })
  )
  return { clock, messages, warnings }
}

describe("a warning", () => {
  it("is said once a day while its cause lasts", () => {
    const { clock, messages, warnings } = said()
    for (clock.monotonic = 0; clock.monotonic < 2 * 86_400; clock.monotonic += 600) warnings.say("over the threshold")
    expect(messages).toEqual(["over the threshold", "over the threshold"])
  })

  it("is said however many others were before it", () => {
    const { messages, warnings } = said()
    for (let number = 0; number < 1_000; number += 1) warnings.say(`the address ${number} refuses to serve us`)
    warnings.say("no key")
    warnings.say("no key")
    expect(messages).toHaveLength(1_001)
    expect(messages.at(-1)).toBe("no key")
  })
})
