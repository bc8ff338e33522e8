/** Tables that fit a width by leaving out what matters least. */
import { inColumns, printable } from "./text-table.ts"

/** A column, by how soon it goes where there is no room: 0 stays. */
export interface Column<Item> {
  readonly title: string
  readonly drop: number
  readonly isRight: boolean
  readonly text: (item: Item) => string
}

export const left = <Item>(title: string, drop: number, text: (item: Item) => string): Column<Item> => ({
  title,
  drop,
  isRight: false,
  text
})
export const right = <Item>(title: string, drop: number, text: (item: Item) => string): Column<Item> => ({
  title,
  drop,
  isRight: true,
  text
})

const GAP = "  "

/** Rows under their titles, no wider than asked: columns go one by one, then what is left is cut. */
export const fitted = <Item>(
  columns: readonly Column<Item>[],
  items: readonly Item[],
  width: number
): readonly string[] => {
  const texts = columns.map((column) => [column.title, ...items.map((item) => printable(column.text(item)))])
  const widths = texts.map((column) => Math.max(...column.map((text) => text.length)))
  const shown = new Set(columns.keys())
  const total = (): number => [...shown].reduce((sum, column) => sum + (widths[column] ?? 0) + GAP.length, -GAP.length)
  const least = (column: number): number => columns[column]?.drop ?? 0
  while (total() > width) {
    const next = [...shown].filter((column) => least(column) > 0).toSorted((a, b) => least(b) - least(a))[0]
    if (next === undefined) break
    shown.delete(next)
  }
  const rows = (texts[0] ?? []).map((_, row) => [...shown].map((column) => texts[column]?.[row] ?? ""))
  const numbers = [...shown].map((column) => columns[column]?.isRight === true)
  return inColumns(rows, (column) => numbers[column] === true, false).map((line) => line.slice(0, width))
}
