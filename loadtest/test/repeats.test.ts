/** A round that neighbours disturbed does not end a bench. */
import { describe, expect, it } from "vitest"
import { DelayedError, repeatsNote, takeRepeats, undisturbed } from "../repeats.ts"

describe("a round that was disturbed", () => {
  it("is measured again, counted and said", async () => {
    takeRepeats()
    let rounds = 0
    const found = await undisturbed(
      async () => {
        rounds += 1
        if (rounds === 1) throw new DelayedError("4672 answers came late")
        return rounds
      },
      (round) => round === 2
    )
    expect(found).toBe(3)
    expect(repeatsNote(takeRepeats())).toBe("2 rounds were disturbed and measured again")
    expect(takeRepeats()).toBe(0)
  })

  it("is taken as it is in the end; late answers each time, or a wrong one, end the bench", async () => {
    await expect(
      undisturbed(
        async () => 7,
        () => true
      )
    ).resolves.toBe(7)
    const late = async (): Promise<never> => {
      throw new DelayedError("late")
    }
    await expect(undisturbed(late)).rejects.toThrow("late")
    takeRepeats()
    const wrong = async (): Promise<never> => {
      throw new Error("a wrong answer")
    }
    await expect(undisturbed(wrong)).rejects.toThrow("a wrong answer")
    expect(takeRepeats()).toBe(0)
  })
})
