/** Spelling help: the known word that a mistyped one was most likely meant to be. */

/** Words longer than this are not compared: nobody mistypes forty characters into a keyword. */
const LONGEST_COMPARED = 40

/** Edits forgiven for a word of this many characters: 1 up to five, 2 up to eight, then 3. */
const forgiven = (length: number): number => (length <= 5 ? 1 : length <= 8 ? 2 : 3)

/**
 * Damerau–Levenshtein distance in its restricted form (optimal string alignment): insertions, deletions, substitutions
 * and swaps of neighbours cost 1 each. Both words are at most LONGEST_COMPARED long, so this is bounded.
 */
export const editDistance = (a: string, b: string): number => {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let cost = Math.min(last[column]! + 1, current[column - 1]! + 1, last[column - 1]! + (same ? 0 : 1))
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        cost = Math.min(cost, beforeLast[column - 2]! + 1)
      }
      current.push(cost)
    }
    beforeLast = last
    last = current
  }
  return last[b.length]!
}

/**
 * The nearest of `words` to `word`, letter case aside, or undefined when none is near enough to be worth naming. Of
 * equally near ones the first of `words` wins.
 */
export const nearestWord = (word: string, words: Iterable<string>): string | undefined => {
  if (word.length < 2 || word.length > LONGEST_COMPARED) return undefined
  const wanted = word.toLowerCase()
  let nearest: string | undefined
  let smallest = forgiven(word.length) + 1
  for (const candidate of words) {
    if (Math.abs(candidate.length - word.length) >= smallest) continue
    const distance = editDistance(wanted, candidate.toLowerCase())
    if (distance < smallest) {
      nearest = candidate
      smallest = distance
    }
  }
  return nearest
}

/** The end of a message about a word that is not known; empty where no word is near. */
export const didYouMean = (near: string | undefined): string => (near === undefined ? "" : `; did you mean '${near}'?`)
