/** Lines that are there as before, and stand elsewhere among those that they go over or are gone over by. */
import type { SettingLine } from "@meridian/config"

/** Of these words the later line takes from the earlier, adds to it or goes over it. */
const LISTS: readonly (readonly string[])[] = [
  ["restrict", "unrestrict"],
  ["allow", "deny"]
]

/** The fewest of the new lines that moved: all others stand as they stood to each other. */
export const movedLines = (before: readonly SettingLine[], after: readonly SettingLine[]): readonly SettingLine[] =>
  LISTS.flatMap((words) => movedOf(before.filter(isOneOf(words)), after.filter(isOneOf(words))))

const isOneOf =
  (words: readonly string[]) =>
  ({ directive }: SettingLine): boolean =>
    words.includes(directive)

const movedOf = (before: readonly SettingLine[], after: readonly SettingLine[]): readonly SettingLine[] => {
  const places = new Map<string, number[]>()
  for (const [place, line] of before.entries()) {
    const known = places.get(textOf(line))
    if (known === undefined) places.set(textOf(line), [place])
    else known.push(place)
  }
  // Of lines that are the same the first was the first.
  const taken = new Map<string, number>()
  const kept = after.flatMap((line) => {
    const text = textOf(line)
    const count = taken.get(text) ?? 0
    taken.set(text, count + 1)
    const place = places.get(text)?.[count]
    return place === undefined ? [] : [{ line, place }]
  })
  const standing = longestRising(kept.map(({ place }) => place))
  return kept.flatMap(({ line }, index) => (standing.has(index) ? [] : [line]))
}

const textOf = ({ directive, value }: SettingLine): string => `${directive} ${value}`

/** The indices of a longest part of the numbers, all different, that rises (patience sorting). */
const longestRising = (numbers: readonly number[]): ReadonlySet<number> => {
  const ends: number[] = []
  const former: number[] = []
  for (const [index, number] of numbers.entries()) {
    let low = 0
    let high = ends.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (numbers[ends[middle]!]! < number) low = middle + 1
      else high = middle
    }
    former.push(low === 0 ? -1 : ends[low - 1]!)
    ends[low] = index
  }
  const rising = new Set<number>()
  for (let index = ends.at(-1) ?? -1; index !== -1; index = former[index]!) rising.add(index)
  return rising
}
