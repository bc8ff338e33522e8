/** Asks until an answer is as it should be. */
import { setTimeout as sleep } from "node:timers/promises"
import { PATIENCE_MS } from "@meridian/testkit/patience"

export const until = async <A>(
  question: () => Promise<A>,
  holds: (answer: A) => boolean,
  patience = 2 * PATIENCE_MS
): Promise<A> => {
  let answer = await question()
  for (let waited = 0; !holds(answer) && waited < patience; waited += 500) {
    await sleep(500)
    answer = await question()
  }
  if (!holds(answer)) throw new Error(`no such answer came, the last was ${JSON.stringify(answer, null, 1)}`)
  return answer
}
